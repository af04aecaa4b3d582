"""Readings, replies, waveforms and counted faults: the output of a decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

GOOD = "good"
UNCERTAIN = "uncertain"
BAD = "bad"
FROM_MEMORY = "from-memory"  # flag of a record that the device had stored
UNREAL = frozenset({"demo", "test-data", "quality-control"})  # flags of what is no measurement of a patient


class Waveform(msgspec.Struct, gc=False, omit_defaults=True):
    """A block of raw samples: value = sample * scale + offset, in `unit` (UCUM)."""

    samples: list[int]
    rate_hz: float
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""


class Reading(msgspec.Struct, gc=False):
    """One reading as the device gave it: `values` in `units` (UCUM), why a value is missing in `flags`.

    `metric` is a metric_type of the catalogue (drivers/metrics.py) or the user's own. `device_time` is the device's
    own clock, ISO 8601 without a zone, never mixed with the gateway's time. `bookmark` is only for a record that the
    device had stored: (name, JSON value) of the bookmark that holds once this reading is stored (drivers/driver.py).
    """

    metric: str
    values: dict[str, Any]
    units: dict[str, str] = {}
    flags: tuple[str, ...] = ()
    quality: str = GOOD
    device_time: str | None = None
    waveform: Waveform | None = None
    bookmark: tuple[str, Any] | None = None
    urgent: bool = False  # the device itself calls it so


class Reply(msgspec.Struct, gc=False):
    """A device's answer that is no reading: feedback to a command, an identity, a capability."""

    kind: str
    fields: dict[str, Any]


class Faults:
    """Counted faults of one decoder, by kind; the newest one explained (never with the data itself)."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.last = ""

    def add(self, kind: str, what: str = "", times: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + times
        self.last = what or kind

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.counts.items())

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def as_result(reading: Reading) -> dict[str, Any]:
    """What a command that measures gives back."""
    return {**reading.values, "units": reading.units, "flags": list(reading.flags), "quality": reading.quality}


def measured(
    metric: str,
    values: Mapping[str, Any],
    units: Mapping[str, str],
    why: str = "not-available",
    flags: tuple[str, ...] = (),
    device_time: str | None = None,
    partial: str = GOOD,
) -> Reading:
    """Reading of the values that are there. Each that is None is left out and flagged with `why`, before the other
    flags. `partial`: quality where some are missing; without any it is bad."""
    there = {name: value for name, value in values.items() if value is not None}
    missing = tuple(f"{name}:{why}" for name, value in values.items() if value is None)
    known = {name: units[name] for name in there if name in units}
    quality = BAD if not there else partial if missing else GOOD
    return Reading(metric, there, known, (*missing, *flags), quality, device_time)


def wall_time(parts: Iterable[int]) -> datetime | None:
    """Year, month, day, hour, minute and maybe second as a device's clock tells them; None where they are no date. It
    knows no zone."""
    try:
        return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001
    except (ValueError, TypeError):
        return None


def time_parts(parts: list[int]) -> list[int] | None:
    """A time as it was told, from the year down to any part; None where a part is out of its range."""
    limits = ((1, 12), (1, 31), (0, 23), (0, 59), (0, 60))
    fits = all(low <= part <= high for part, (low, high) in zip(parts[1:], limits, strict=False))
    return parts if fits else None


def iso_time(parts: Sequence[int] | None) -> str | None:
    """A wall time in ISO 8601; None where it is not told."""
    moment = wall_time(parts) if parts else None
    return None if moment is None else moment.isoformat()
