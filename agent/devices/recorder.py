"""Recorder of one device: everything received from it and sent to it, for whoever listens. Costs one look at
a chunk while nobody does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gatepost.agent.devices.interfaces import Chunk
from gatepost.drivers.recording import RecordedMoment

MAX_WAITING = 20_000  # moments that wait for a slow listener before the oldest are dropped and counted


class RecordingQueue:
    """Queue of one listener's moments; `on_moment` is called when something comes."""

    def __init__(self) -> None:
        self.lost = 0
        self.on_moment: Callable[[], None] = lambda: None
        self._waiting: deque[RecordedMoment] = deque()

    def put(self, moment: RecordedMoment) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(moment)
        self.on_moment()

    def take(self) -> list[RecordedMoment]:
        """What came since, oldest first; where some were dropped, a note says how many."""
        moments = list(self._waiting)
        self._waiting.clear()
        if self.lost and moments:
            moments.insert(
                0, RecordedMoment(moments[0].at, note=f"{self.lost} moments went by faster than they were taken")
            )
            self.lost = 0
        return moments


class DeviceRecorder:
    """`received`, `sent` and `note` from the device; `listen` for a recorder. `now` gives seconds."""

    def __init__(self, now: Callable[[], float], on_use: Callable[[bool], None]) -> None:
        self._now = now
        self._on_use = on_use
        self._queues: list[RecordingQueue] = []

    def received(self, chunk: Chunk) -> None:
        self._put(RecordedMoment(self._now(), chunk))

    def sent(self, data: bytes, characteristic: str) -> None:
        self._put(RecordedMoment(self._now(), said=data, characteristic=characteristic))

    def note(self, what: str) -> None:
        if self._queues:
            self._put(RecordedMoment(self._now(), note=what))

    def _put(self, moment: RecordedMoment) -> None:
        for queue in self._queues:
            queue.put(moment)

    @contextmanager
    def listen(self) -> Iterator[RecordingQueue]:
        queue = RecordingQueue()
        self._queues.append(queue)
        self._on_use(True)
        try:
            yield queue
        finally:
            self._queues.remove(queue)
            self._on_use(bool(self._queues))
