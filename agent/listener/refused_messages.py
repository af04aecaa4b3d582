"""Refused messages of devices: the newest of each device, topic and reason, for whoever maps topics; in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

MOST_REFUSED = 32
LONGEST = 512  # octets of a payload that are kept
# A payload with one of these is not shown.
_SECRET = re.compile(rb"token|passw|pwd|psk|secret|credential|bearer|api.?key|gp_", re.IGNORECASE)


class RefusedMessages:
    """Newest refused messages, MOST_REFUSED at most; the oldest goes first."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._newest: dict[tuple[str, str, str], tuple[float, int, int, bytes]] = {}  # when, how often, size, payload

    def add(self, device: str, topic: str, reason: str, payload: bytes) -> None:
        key = (device, topic, reason)
        count = self._newest.pop(key, (0.0, 0, 0, b""))[1]
        if len(self._newest) >= MOST_REFUSED:
            del self._newest[next(iter(self._newest))]
        self._newest[key] = (self._monotonic(), count + 1, len(payload), bytes(payload[:LONGEST]))

    def as_list(self) -> list[dict[str, Any]]:
        """The newest first."""
        now = self._monotonic()
        return [
            {
                "device": device,
                "topic": topic,
                "reason": reason,
                "age": round(now - when, 1),
                "count": count,
                "size": size,
                "payload": None if _SECRET.search(payload) else payload.decode("utf-8", "replace"),
            }
            for (device, topic, reason), (when, count, size, payload) in reversed(self._newest.items())
        ]
