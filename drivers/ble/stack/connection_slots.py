"""Connection slots of an adapter, given out in the order of requests.

Devices that speak all the time would keep them all: where there are also devices that only come now and then (a cuff
after a measurement), one slot is kept for those; and where more of them speak than there are slots, they take turns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakSet

FEWEST_TO_KEEP_ONE = 3  # with fewer slots than this, none is kept


class _Holder:
    """Holder of a slot, `since` when; it is asked once to give the slot back."""

    def __init__(self, steady: bool, leave: Callable[[], None] | None) -> None:
        self.steady = steady
        self.leave = leave
        self.since = asyncio.get_running_loop().time()

    def ask_to_leave(self) -> None:
        leave, self.leave = self.leave, None
        if leave is not None:
            leave()


class _Waiter(NamedTuple):
    holder: _Holder
    turn: asyncio.Future[None]


class ConnectionSlots:
    """Slots of one adapter; `limit`: how many; `share`: seconds after which a device that speaks all the time makes
    room for one that waits. `occasional`: links to devices that connect now and then."""

    def __init__(self, limit: int, share: float) -> None:
        self.limit = limit
        self.share = share
        self.occasional: WeakSet[object] = WeakSet()
        self._holders: list[_Holder] = []  # the longest first
        self._waiting: list[_Waiter] = []

    @property
    def used(self) -> int:
        return len(self._holders)

    def free(self, steady: bool) -> bool:
        """True if a slot can be had at once."""
        kept = 1 if self.occasional and self.limit >= FEWEST_TO_KEEP_ONE else 0
        return self.used < self.limit and (not steady or sum(each.steady for each in self._holders) < self.limit - kept)

    async def take(self, steady: bool, leave: Callable[[], None] | None = None) -> Callable[[], None]:
        """Waits for one; gives what gives it back. `leave` is called when it should be given back for others."""
        holder = _Holder(steady, leave)
        if self.free(steady) and not any(each.holder.steady is steady for each in self._waiting):
            self._holders.append(holder)
        else:
            waiter = _Waiter(holder, asyncio.get_running_loop().create_future())
            self._waiting.append(waiter)
            try:
                await self._wait(waiter)
            except asyncio.CancelledError:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                elif not waiter.turn.cancelled():
                    self._give_back(holder)  # it was granted at this moment
                raise
        left = [holder]
        return lambda: self._give_back(left.pop()) if left else None

    async def _wait(self, waiter: _Waiter) -> None:
        """Until it is its turn; meanwhile who had a slot for the longest time is asked to leave, one for each share."""
        loop = asyncio.get_running_loop()
        while not waiter.turn.done():
            left = self.share
            steady = [each for each in self._holders if each.steady and each.leave] if waiter.holder.steady else []
            if steady and (left := steady[0].since + self.share - loop.time()) <= 0:
                steady[0].ask_to_leave()
                left = self.share
            await asyncio.wait((waiter.turn,), timeout=left)
        waiter.turn.result()

    def _give_back(self, holder: _Holder) -> None:
        self._holders.remove(holder)
        for waiter in tuple(self._waiting):
            if waiter.turn.done():  # cancelled, and not yet heard of it
                self._waiting.remove(waiter)
            elif self.free(waiter.holder.steady):
                self._waiting.remove(waiter)
                waiter.holder.since = asyncio.get_running_loop().time()
                self._holders.append(waiter.holder)
                waiter.turn.set_result(None)
