"""Counters and states of the demo; its views only draw them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from gatepost.agent.core.views import PAYLOAD_MEMBERS

NOTES = 6


@dataclass(frozen=True)
class ReadingCounts:
    """Of one device, or of all, at one moment: delivered <= stored <= taken, whatever goes on meanwhile."""

    taken: int = 0
    stored: int = 0
    delivered: int = 0
    replayed: int = 0  # of the delivered: from the backlog
    repeated: int = 0  # deliveries of a reading that the broker had already

    def __add__(self, other: ReadingCounts) -> ReadingCounts:
        return ReadingCounts(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def backlog(self) -> int:
        return self.stored - self.delivered


@dataclass
class DeviceStatistics:
    """What was seen stored and delivered is kept by id; `counts` and `shown` are of the frame that is shown."""

    name: str
    driver: str
    status: str = "starting"
    reason: str = ""  # why it is not online
    shown: str = ""
    counts: ReadingCounts = ReadingCounts()
    values: str = ""
    stored: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    replayed: int = 0
    repeated: int = 0


class DemoStatistics:
    """Devices by id, the broker, and what happened last. Counts change by whole frames: `freeze`, then `show`."""

    def __init__(self, devices: dict[str, str], elapsed: Callable[[], float]) -> None:
        self.devices = {name: DeviceStatistics(name, driver) for name, driver in devices.items()}
        self.broker = "starting"
        self.oldest: str | None = None
        self.page = ""
        self.lost = 0
        self.notes: deque[str] = deque(maxlen=NOTES)
        self.elapsed = elapsed
        self.on_note: Callable[[str], None] = lambda _: None

    @property
    def total(self) -> ReadingCounts:
        return sum((device.counts for device in self.devices.values()), ReadingCounts())

    def note(self, text: str) -> None:
        """Something happened; the time since the start goes before it."""
        line = f"{self.elapsed():5.1f} s  {text}"
        self.notes.append(line)
        self.on_note(line)

    def stored(self, reading: dict[str, Any]) -> None:
        device = self.devices.get(str(reading.get("device_id")))
        if device is not None:
            device.stored.add(str(reading.get("id")))
            device.values = values(reading)

    def delivered(self, reading: dict[str, Any]) -> None:
        """The broker has it, so it was stored, even if the agent has not said so yet; the same id again is a repeat."""
        device = self.devices.get(str(reading.get("device_id")))
        if device is None:
            return
        name = str(reading.get("id"))
        if name in device.delivered:
            device.repeated += 1
            return
        device.stored.add(name)
        device.delivered.add(name)
        device.replayed += bool(reading.get("replayed"))

    def freeze(self) -> dict[str, ReadingCounts]:
        """What was stored and delivered until now. What was taken is asked for afterwards, so it is never less."""
        return {
            device.name: ReadingCounts(0, len(device.stored), len(device.delivered), device.replayed, device.repeated)
            for device in self.devices.values()
        }

    def show(
        self, frozen: dict[str, ReadingCounts], devices: Sequence[Mapping[str, Any]], lost: int, status: bool = True
    ) -> None:
        """The next frame, with what the agent says of its devices; without `status` their states stay as they are."""
        self.lost = lost
        for view in devices:
            device = self.devices.get(str(view["id"]))
            if device is not None:
                device.counts, device.shown = replace(frozen[device.name], taken=int(view["readings"])), device.values
                if status:
                    device.status = str(view["status"])
                    device.reason = str(view.get("message") or "") if device.status != "online" else ""

    def summary(self) -> list[str]:
        """The totals; readings that are still on their way are named, for they are not lost."""
        total = self.total
        lines = [
            f"taken {total.taken}, stored {total.stored}, delivered {total.delivered}, lost {self.lost}"
            f" (from the backlog {total.replayed}, repeated {total.repeated})"
        ]
        if total.backlog:
            lines.append(f"{total.backlog} were stored and still wait for the broker")
        if waiting := total.taken - total.stored:
            lines.append(f"{waiting} were taken and not stored yet")
        return lines


def values(reading: dict[str, Any]) -> str:
    """The readable part of a reading, units included."""
    units = reading.get("units", {})
    parts = [
        f"{name} {value}{' ' + units[name] if units.get(name) else ''}"
        for name, value in reading.items()
        if name not in PAYLOAD_MEMBERS and isinstance(value, int | float | str)
    ]
    if "samples" in reading:
        parts.append(f"{len(reading['samples'])} samples")
    return ", ".join(parts[:4]) + (" URGENT" if reading.get("urgent") else "")
