"""Watch over the sockets of all connections: while devices speak, all sockets are read together, a step apart."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

STEP = 0.04  # seconds: what arrives within it is read together, as from serial ports
BUSY = 0.05  # seconds between two wake-ups, below which the next look waits for its step
AT_ONCE = 64  # sockets that are read in one go


class SocketWatch:
    """Watch of one event loop. `add` a socket with what reads it: it returns whether there may be more, and never
    raises.

    A wake-up costs more than a message. When wake-ups follow each other closely, the next look is a step later, until
    nobody has spoken within one. What comes after a pause is read at once, and silent sockets cost nothing.
    """

    def __init__(self, step: float = STEP) -> None:
        self._step = step
        self._loop: asyncio.AbstractEventLoop | None = None  # while there is a socket, as is the next
        self._poll: select.epoll | None = None  # its own descriptor is readable when one of the sockets is
        self._reads: dict[int, Callable[[], bool]] = {}
        self._timer: asyncio.Handle | None = None  # of the next look; without one, the first octet is waited for
        self._looked = 0.0  # on the loop's clock
        self._since: float | None = None  # during a look: when the one before it was

    def add(self, descriptor: int, read: Callable[[], bool]) -> None:
        """Raises OSError."""
        if self._poll is None or self._loop is None:
            self._loop, self._poll = asyncio.get_running_loop(), select.epoll()
            self._loop.add_reader(self._poll.fileno(), self._on_readable)
        self._poll.register(descriptor, select.EPOLLIN)
        self._reads[descriptor] = read

    def remove(self, descriptor: int) -> None:
        """Before it is closed; twice does no harm."""
        if self._poll is None or self._loop is None or self._reads.pop(descriptor, None) is None:
            return
        self._poll.unregister(descriptor)
        if not self._reads:
            if self._timer is not None:
                self._timer.cancel()
            self._loop.remove_reader(self._poll.fileno())
            self._poll.close()
            self._loop = self._poll = self._timer = None

    def arrived(self) -> float:
        """A moment of the loop's clock that is not after the arrival of what is being read."""
        return asyncio.get_running_loop().time() if self._since is None else self._since

    def look(self) -> None:
        """Read now what would be read with the next step."""
        if self._timer is not None:
            self._look(self._looked)

    def expect(self) -> None:
        """A device was asked something: the next that comes is read at once."""
        if self._timer is not None and self._loop is not None and self._poll is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.add_reader(self._poll.fileno(), self._on_readable)

    def _look(self, since: float) -> tuple[bool, bool]:
        """Whether there was something, and whether there may be more."""
        poll, loop, reads = self._poll, self._loop, self._reads
        assert poll is not None
        assert loop is not None
        ready = poll.poll(0, AT_ONCE)
        more = len(ready) == AT_ONCE
        self._since = since
        for descriptor, _ in ready:
            read = reads.get(descriptor)  # none where another one's message has ended it
            if read is not None and read():
                more = True
        self._since = None
        if not more:
            self._looked = loop.time()
        return bool(ready), more

    def _on_readable(self) -> None:
        loop, poll = self._loop, self._poll
        assert loop is not None
        assert poll is not None
        now = loop.time()
        closely = now - self._looked < BUSY
        _, more = self._look(now)
        if closely and self._poll is poll:  # else the last socket has gone meanwhile
            loop.remove_reader(poll.fileno())
            self._look_later(more)

    def _on_time(self) -> None:
        loop, poll = self._loop, self._poll
        assert loop is not None
        assert poll is not None
        self._timer = None
        found, more = self._look(self._looked)
        if self._poll is not poll:
            return
        if found:
            self._look_later(more)
        else:
            loop.add_reader(poll.fileno(), self._on_readable)

    def _look_later(self, more: bool) -> None:
        loop = self._loop
        assert loop is not None
        self._timer = loop.call_soon(self._on_time) if more else loop.call_later(self._step, self._on_time)
