"""What the demo knows at a moment; its views only draw it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NOTES = 6
# Members of a payload that are no values of the reading.
PLAIN = {
    *("id", "schema", "gateway_id", "device_id", "patient_id", "metric_type", "units", "timestamp", "device_timestamp"),
    *("clock", "urgent", "replayed", "quality", "flags", "samples", "rate_hz", "scale", "offset", "unit", "channel"),
}


@dataclass
class Device:
    """`taken` is the agent's own count; what was seen stored and delivered is kept by id."""

    name: str
    driver: str
    status: str = "starting"
    values: str = ""
    taken: int = 0
    stored: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    replayed: int = 0


class Board:
    """Devices by id, the broker, what is owed to it, and what happened last."""

    def __init__(self, devices: dict[str, str], elapsed: Callable[[], float]) -> None:
        self.devices = {name: Device(name, driver) for name, driver in devices.items()}
        self.broker = "starting"
        self.owed = 0
        self.oldest: str | None = None
        self.notes: deque[str] = deque(maxlen=NOTES)
        self.elapsed = elapsed
        self.heard: Callable[[str], None] = lambda _: None

    def note(self, text: str) -> None:
        """Something happened; the time since the start goes before it."""
        line = f"{self.elapsed():5.1f} s  {text}"
        self.notes.append(line)
        self.heard(line)

    def stored(self, reading: dict[str, Any]) -> None:
        device = self.devices.get(str(reading.get("device_id")))
        if device is not None:
            device.stored.add(str(reading.get("id")))
            device.values = values(reading)

    def delivered(self, told: dict[str, Any]) -> None:
        """The broker has it; the same id again is counted once."""
        device = self.devices.get(str(told.get("device_id")))
        if device is not None and str(told.get("id")) not in device.delivered:
            device.delivered.add(str(told.get("id")))
            device.replayed += bool(told.get("replayed"))

    def saw(self, devices: list[dict[str, Any]]) -> None:
        """The agent's own account of its devices."""
        for told in devices:
            device = self.devices.get(str(told["id"]))
            if device is not None:
                device.status, device.taken = str(told["status"]), int(told["readings"])


def values(reading: dict[str, Any]) -> str:
    """The readable part of a reading, units included."""
    units = reading.get("units", {})
    parts = [
        f"{name} {value}{' ' + units[name] if units.get(name) else ''}"
        for name, value in reading.items()
        if name not in PLAIN and isinstance(value, int | float | str)
    ]
    if "samples" in reading:
        parts.append(f"{len(reading['samples'])} samples")
    return ", ".join(parts[:4]) + (" URGENT" if reading.get("urgent") else "")
