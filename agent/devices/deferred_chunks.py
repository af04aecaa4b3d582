"""Chunks that are decoded together, just before the commit that is to hold their readings, each with its own time.

Code that runs a few times a second finds the processor's caches cold each time: with eight ports and 100 readings a
second, decoding at each look at the ports is an eighth to a third of all that the agent does (docs/measurements.md).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gatepost.agent.core.clock import Stamp
from gatepost.agent.devices.link_factory import CommitSchedule

log = logging.getLogger(__name__)

LONGEST = 1.0  # seconds that a chunk waits at most
LEAST = 0.05  # seconds to the commit below which waiting saves nothing
SHORT = 0.1  # seconds between two commits up to which ports are read with them (port_watch.py), so that nothing waits
LARGE = 512  # octets of one chunk from which its decoding warms the caches by itself
ROOM = 16_384  # octets that wait at most: on a small board they are decoded within some milliseconds

Decode = Callable[[bytes, Stamp], None]


class DeferredChunks:
    """Chunks of all devices, in the order in which they came. Whoever `keep`s one is called back with it and its stamp
    when the next commit begins or may begin, or as soon as somebody calls `decode`."""

    def __init__(self, commits: CommitSchedule) -> None:
        self.commits = commits
        self._chunks: list[tuple[Decode, bytes, Stamp]] = []
        self._octets = 0
        self._timer: asyncio.TimerHandle | None = None
        commits.on_commit.append(self.decode)

    def keep(self, decode: Decode, data: bytes, stamp: Stamp) -> bool:
        """Keep a chunk smaller than LARGE. False: it is to be decoded now, since it would be stored at once."""
        if self._timer is None:
            wait = self.commits.until_commit()
            if not LEAST < wait <= LONGEST:
                return False
            self._timer = asyncio.get_running_loop().call_later(wait, self.decode)
        self._chunks.append((decode, data, stamp))
        self._octets += len(data)
        if self._octets > ROOM:
            self.decode()
        return True

    def decode(self) -> None:
        """All that waits, now."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        chunks, self._chunks, self._octets = self._chunks, [], 0
        for decode, data, stamp in chunks:
            try:
                decode(data, stamp)
            except Exception:  # those of other devices go on
                log.exception("a chunk could not be decoded")
