"""Watch over open ports: while any of them speaks, all are read together, at the points of a time grid."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

STEP = 0.04  # seconds: arrivals within it are read together (a line of 40 octets takes as long at 9600 baud)
ANSWER = 0.1  # seconds after something was sent, in which the steps are a quarter as wide
FULL = 4095  # what a terminal's buffer gives at once: more is waiting
BUSY = 16384  # octets between two pauses from which a pause would slow the far end
WIDEST = 0.1  # seconds: as late as that what was read may be stamped, where it has to wait for a commit anyway
SPARSE = 10_000  # octets a second of one port, up to which a step may be wide: a quarter of a terminal's buffer
CALM = 2.0  # seconds after an answer was expected, in which steps are not wide: a slow one may still come


class PortWatch:
    """Watch of one event loop. `read` of a port takes what is there, and returns how many octets that was.

    The first octet after a silence is read at once; from then on the ports are looked at when the grid says so, until
    nobody has spoken between two points of it. So a line that arrives octet by octet costs one wake-up, many ports cost
    no more of them than one, and silent ports none at all.

    `wide` says how long the next look may wait while little comes and nobody waits for an answer: as long as what it
    brings would have to wait anyway.
    """

    def __init__(self, step: float = STEP, wide: Callable[[], float] | None = None) -> None:
        self._step = step
        self._wide = wide
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ports: select.epoll | None = None  # its own descriptor is readable when one of the ports is
        self._reads: dict[int, Callable[[], int]] = {}  # by descriptor
        self._timer: asyncio.Handle | None = None
        self._waiting = False  # for the first octet
        self._octets = 0  # since the last pause
        self._looked = 0.0  # on the loop's clock, as the next ones
        self._width = step  # of the step that ends with the next look
        self._hurry_until = -CALM

    def add(self, loop: asyncio.AbstractEventLoop, descriptor: int, read: Callable[[], int]) -> None:
        if self._ports is None:
            self._ports, self._loop = select.epoll(), loop
        self._ports.register(descriptor, select.EPOLLIN)
        self._reads[descriptor] = read
        if self._timer is None:
            self._wait()

    def remove(self, descriptor: int) -> None:
        """Before it is closed."""
        ports = self._ports
        assert ports is not None
        ports.unregister(descriptor)
        del self._reads[descriptor]
        if not self._reads:
            self._stop_timer()
            self._stop_waiting()
            ports.close()
            self._ports = self._loop = None

    def expect(self) -> None:
        """A port was asked something: its answer is read as soon as it comes, and the rest of it in short steps."""
        if self._loop is None:
            return
        self._hurry_until = self._loop.time() + ANSWER
        if self._timer is not None:
            self._stop_timer()
            self._wait()

    def gather(self) -> None:
        """Something else is stored now: what came since the last look goes with it instead of waiting for its turn."""
        loop = self._loop
        if loop is None or self._timer is None or self._width <= self._step:
            return
        if loop.time() - self._looked >= self._step / 4:
            self._stop_timer()
            self._look()

    def _look(self) -> None:
        self._timer = None
        ports = self._ports
        if ports is None:
            return
        ready = ports.poll(0)
        if not ready:
            self._wait()
            return
        if self._waiting:
            self._stop_waiting()
        most, reads = 0, self._reads
        for descriptor, _ in ready:
            read = reads.get(descriptor)
            if read is None:  # it went while another one was read
                continue
            octets = read()
            if octets > most:
                most = octets
            self._octets += octets
        loop = self._loop
        if loop is None or self._timer is not None:  # the last port has gone meanwhile
            return
        if most >= FULL:
            self._timer = loop.call_soon(self._look)
        else:
            self._timer = loop.call_at(self._next_look(loop.time(), most), self._look)

    def _next_look(self, now: float, most: int) -> float:
        """`most`: octets of one port in this look."""
        step, calm = self._step, now - self._hurry_until
        if self._octets >= BUSY or calm < 0:
            step /= 4
        elif self._wide is not None and calm >= CALM and most < SPARSE * self._width:
            step = max(step, min(self._wide(), WIDEST))
        self._octets, self._width, self._looked = 0, step, now
        if step > self._step:
            return now + step  # whoever gathers begins a new row of them
        return (int((now + 0.001) / step) + 1) * step  # the millisecond: timers are that coarse, and may come early

    def _wait(self) -> None:
        if not self._waiting and self._loop is not None and self._ports is not None:
            self._waiting = True
            self._loop.add_reader(self._ports, self._look)

    def _stop_waiting(self) -> None:
        if self._waiting and self._loop is not None and self._ports is not None:
            self._waiting = False
            self._loop.remove_reader(self._ports)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
