"""Connection slots of an adapter, given out in the order of requests.

Devices that speak all the time would keep them all: where there are also devices that only come now and then (a cuff
after a measurement), one slot is kept for those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakSet

FEWEST_TO_KEEP_ONE = 3  # with fewer slots than this, none is kept


class _Waiter(NamedTuple):
    steady: bool
    turn: asyncio.Future[None]


class ConnectionSlots:
    """Slots of one adapter; `limit`: how many. `occasional`: links to devices that connect now and then."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.occasional: WeakSet[object] = WeakSet()
        self.used = 0
        self._steady = 0  # of the used ones
        self._waiting: list[_Waiter] = []

    def free(self, steady: bool) -> bool:
        """True if a slot can be had at once."""
        kept = 1 if self.occasional and self.limit >= FEWEST_TO_KEEP_ONE else 0
        return self.used < self.limit and (not steady or self._steady < self.limit - kept)

    async def take(self, steady: bool) -> Callable[[], None]:
        """Waits for one; gives what gives it back."""
        if not self.free(steady) or any(each.steady is steady for each in self._waiting):
            waiter = _Waiter(steady, asyncio.get_running_loop().create_future())
            self._waiting.append(waiter)
            try:
                await waiter.turn
            except asyncio.CancelledError:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                else:
                    self._give_back(steady)  # it was granted at this moment
                raise
        else:
            self._grant(steady)
        left = [steady]
        return lambda: self._give_back(left.pop()) if left else None

    def _grant(self, steady: bool) -> None:
        self.used += 1
        self._steady += steady

    def _give_back(self, steady: bool) -> None:
        self.used -= 1
        self._steady -= steady
        for waiter in tuple(self._waiting):
            if self.free(waiter.steady):
                self._waiting.remove(waiter)
                self._grant(waiter.steady)
                waiter.turn.set_result(None)
