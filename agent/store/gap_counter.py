"""Gap counter: adds up losses until they become gap records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gatepost.agent.core.clock import Stamp, rfc3339


def legible(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with its text, whatever damage has made of it."""
    return tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in row)


def gap_dict(row: tuple[Any, ...]) -> dict[str, Any]:
    """A gap without its number: what was lost, when and why."""
    time, reason, device, brokers, count, urgent, first, last, since, until = row[:10]
    return {
        "time": rfc3339(time),
        "reason": reason,
        "device_id": device or None,
        "brokers": brokers.split(",") if brokers else [],
        "count": count,
        "urgent": urgent,
        "first": first,
        "last": last,
        "since": rfc3339(since) if since is not None else None,
        "until": rfc3339(until) if until is not None else None,
    }


@dataclass
class GapCount:
    """Readings of one device lost for one reason since the last gap record; times are wall microseconds."""

    device: str
    reason: str
    count: int
    since: int
    until: int


class GapCounter:
    """Counter of losses by device and reason: a flood of them becomes one gap record a commit."""

    def __init__(self) -> None:
        self._losses: dict[tuple[str, str], GapCount] = {}
        self.total = 0

    def __bool__(self) -> bool:
        return bool(self._losses)

    def counts(self, reason: str) -> bool:
        """Whether there is such a loss."""
        return any(loss.reason == reason for loss in self._losses.values())

    @property
    def waiting(self) -> int:
        """Losses that are in no gap record yet."""
        return sum(loss.count for loss in self._losses.values())

    def add(self, device: str, count: int, reason: str, stamp: Stamp) -> None:
        """Count a loss, noticed at `stamp`."""
        self.total += count
        loss = self._losses.get((device, reason))
        if loss is None:
            self._losses[device, reason] = GapCount(device, reason, count, stamp.wall, stamp.wall)
        else:
            loss.count += count
            loss.until = stamp.wall

    def take(self) -> list[GapCount]:
        """All that waits, to be written as gap records."""
        taken = list(self._losses.values())
        self._losses = {}
        return taken

    def give_back(self, losses: list[GapCount]) -> None:
        """The commit failed: they are still to be recorded."""
        for loss in losses:
            newer = self._losses.get((loss.device, loss.reason))
            if newer is not None:
                loss.count += newer.count
                loss.until = newer.until
            self._losses[loss.device, loss.reason] = loss
