"""Acknowledgements after the disk: who waits for which commit, and a hurried commit when somebody waits too long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from gatepost.agent.listener.socket_watch import SocketWatch

LAST_ACKS = 0.5  # seconds for what is on its way to the disk when a connection is to end


class CommitLog(Protocol):
    """The part of the store that acknowledgements rest on. `on_turn` is called before a commit that waited for its
    turn."""

    on_turn: list[Callable[[], None]]
    together: bool  # while it is set, no reading is kept waiting for room that was there before the first of them

    @property
    def full(self) -> bool: ...

    async def wait_until_writable(self) -> None: ...

    @property
    def ticket(self) -> int:
        """Number of the commit that holds what is handed over now."""
        ...

    @property
    def committed(self) -> int:
        """Number of the newest commit that is on disk."""
        ...

    @property
    def next_seq(self) -> int:
        """The sequence number that the next reading gets."""
        ...

    def hurry(self) -> None: ...


class WaitsForDisk(Protocol):
    def settle(self, durable: int) -> bool:
        """Send what is due up to this commit; whether something is left."""
        ...


class StoredAcknowledger:
    """One listener of the store and one timer for all connections."""

    def __init__(self, commits: CommitLog, on_stored: list[Callable[[], None]], watch: SocketWatch) -> None:
        """`on_stored`: the store's listeners. What `watch` would read later is read before a commit, to go with it."""
        self.within = 0.25  # seconds; `listener.ack_within`
        self.stored = 0  # messages that are on disk
        self.commits = commits
        self._listeners = on_stored
        self._watch = watch
        self._waiting: dict[WaitsForDisk, None] = {}  # in order
        self._counts: dict[int, int] = {}  # commit -> messages in it
        self._newest = 0  # the last commit that somebody began to wait for, and since when
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._listeners.append(self._on_stored)
        self.commits.on_turn.append(self._watch.look)

    def stop(self) -> None:
        self._listeners.remove(self._on_stored)
        self.commits.on_turn.remove(self._watch.look)
        self._disarm()

    def count(self, ticket: int) -> None:
        """A message went into this commit."""
        self._counts[ticket] = self._counts.get(ticket, 0) + 1

    def wait(self, waiter: WaitsForDisk, ticket: int) -> None:
        """`waiter` is told when the commit is on disk, which is hurried after `within` seconds."""
        self._waiting[waiter] = None
        if ticket > self._newest:
            self._newest = ticket
            self._since = self._watch.arrived()
        if self._timer is None:
            self._arm()

    async def durable(self, ticket: int) -> None:
        """Until the commit is on disk."""
        if ticket > self.commits.committed:
            waiter = _FutureWaiter(ticket)
            self.wait(waiter, ticket)
            try:
                await waiter.done
            finally:
                self.leave(waiter)

    async def catch_up(self) -> None:
        """Commit now what somebody waits for, and let it be acknowledged: it would be sent again, and stored twice."""
        if self._newest > self.commits.committed:
            self.commits.hurry()
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_ACKS):
                    await self.durable(self._newest)

    def leave(self, waiter: WaitsForDisk) -> None:
        self._waiting.pop(waiter, None)

    def _on_stored(self) -> None:
        durable = self.commits.committed
        if self._counts:
            for ticket in [ticket for ticket in self._counts if ticket <= durable]:
                self.stored += self._counts.pop(ticket)
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting:
            if waiter.settle(durable):
                self._waiting[waiter] = None
        self._disarm()
        if self._newest > durable:
            self._arm()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._since + self.within, self._hurry)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hurry(self) -> None:
        self._watch.look()
        self._timer = None
        if self._waiting and self._newest > self.commits.committed:
            self.commits.hurry()


class _FutureWaiter:
    def __init__(self, ticket: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ticket = ticket

    def settle(self, durable: int) -> bool:
        if durable >= self._ticket and not self.done.done():
            self.done.set_result(None)
        return not self.done.done()
