"""Dead letters as events: the first of a kind at once, those that follow together, less and less often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gatepost.agent.core.backoff import RepeatLimiter

MAX_KINDS = 50
Kind = tuple[str, int | None, str]  # broker, reason code, reason


@dataclass
class _Waiting:
    pace: RepeatLimiter = field(default_factory=RepeatLimiter)
    reading: str = ""
    count: int = 0


class DeadLetterEvents:
    """Events of dead letters; `tell` stores one."""

    def __init__(self, tell: Callable[[dict[str, Any]], object]) -> None:
        self._tell = tell
        self._kinds: dict[Kind, _Waiting] = {}

    def add(self, broker: str, reading: str, code: int | None, reason: str, now: float) -> None:
        """A dead letter; `now` in monotonic seconds."""
        kind = (broker, code, reason)
        if kind not in self._kinds and len(self._kinds) >= MAX_KINDS:
            del self._kinds[min(self._kinds, key=lambda each: self._kinds[each].count)]
        waiting = self._kinds.setdefault(kind, _Waiting())
        waiting.reading = waiting.reading or reading
        waiting.count += 1
        self.tell_due(now)

    def left(self, now: float) -> float | None:
        """Seconds until something is to be told; None when nothing waits."""
        return min((each.pace.left(now) for each in self._kinds.values() if each.count), default=None)

    def tell_due(self, now: float, all_of_it: bool = False) -> None:
        """Tell what may be told now, or `all_of_it`."""
        for (broker, code, reason), each in self._kinds.items():
            if each.count and (all_of_it or not each.pace.left(now)):
                fields = {"broker": broker, "reading": each.reading, "code": code, "reason": reason}
                self._tell({**fields, "count": each.count})
                each.pace.told(now)
                each.reading, each.count = "", 0
