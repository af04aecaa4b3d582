"""Thresholds: a value outside of them makes its reading urgent.

Values go by the driver's own names. A limit itself is inside. Only numbers are judged; a missing value is neither
outside nor back inside, so the state of that value stays what it was. The state is kept for each metric and value:
inside, below, above.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, NamedTuple

from gatepost.agent.settings.model import ThresholdSettings

MAX_METRICS = 64  # a device that makes up metric names shares one state beyond these


class ThresholdVerdict(NamedTuple):
    """`outside`: a value of this reading is outside; `changed`: one went out, came back, or changed sides."""

    outside: bool
    changed: bool


INSIDE = ThresholdVerdict(False, False)


class ThresholdWatch:
    """The limits of one device, and on which side of them its values are."""

    def __init__(self, limits: Mapping[str, ThresholdSettings]) -> None:
        self._limits = [
            (name, -inf if limit.min is None else limit.min, inf if limit.max is None else limit.max)
            for name, limit in limits.items()
        ]
        self._sides: dict[str, dict[str, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._limits)

    def judge(self, metric: str, values: Mapping[str, Any]) -> ThresholdVerdict:
        outside = changed = False
        sides: dict[str, int] | None = None
        for name, low, high in self._limits:
            value = values.get(name)
            if not (value.__class__ is int or value.__class__ is float) or value != value:
                continue
            side = -1 if value < low else 1 if value > high else 0
            if side:
                outside = True
            if sides is None:
                sides = self._sides.get(metric) or self._of(metric)
            if sides.get(name, 0) != side:
                sides[name] = side
                changed = True
        return ThresholdVerdict(outside, changed) if outside or changed else INSIDE

    def _of(self, metric: str) -> dict[str, int]:
        if metric not in self._sides and len(self._sides) >= MAX_METRICS:
            metric = ""
        return self._sides.setdefault(metric, {})
