"""Groups of values that become one reading each, with what is missing, doubted, or of no patient."""

from __future__ import annotations

from typing import Any

from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, UNREAL, Reading


class ValueGroup:
    """Values of one metric at one time. `names`: those that were given, with a value or without."""

    def __init__(self, metric: str, flags: tuple[str, ...], time: str | None) -> None:
        self.metric, self.time = metric, time
        self.flags = dict.fromkeys(flags)
        self.values: dict[str, Any] = {}
        self.units: dict[str, str] = {}
        self.names: set[str] = set()
        self._doubted = False

    def add(self, name: str, value: Any, unit: str, why: str = "", flags: tuple[str, ...] = ()) -> None:
        """`value` None: there is none, and `why` says why; else `why` is a doubt about it."""
        self.names.add(name)
        self.flags |= dict.fromkeys(flags)
        if why:
            self.flags[f"{name}:{why}"] = None
        if value is not None:
            self._doubted = self._doubted or bool(why)
            self.values[name] = value
            if unit:
                self.units[name] = unit

    def reading(self) -> Reading:
        measured = self.values.keys() - {"channel"}
        bad = not measured or not UNREAL.isdisjoint(self.flags)
        quality = BAD if bad else UNCERTAIN if self._doubted else GOOD
        return Reading(self.metric, self.values, self.units, tuple(self.flags), quality, self.time)
