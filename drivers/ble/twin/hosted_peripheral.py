"""One simulated peripheral as the emulated daemon reaches it: its link, its faults, counts of what clients did."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import Protocol

from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.ble.uuids import uuid as full

log = logging.getLogger(__name__)

MOST_KEPT = 10_000
ABORTED = "le-connection-abort-by-local"


class TwinLink:
    """One connection, from the first octet to its loss."""

    def __init__(self, hosted: HostedPeripheral) -> None:
        self.hosted = hosted
        self.peripheral: TwinPeripheral = hosted.peripheral
        self.encrypted = False
        self.lost = asyncio.Event()


class LinkHolder(Protocol):
    """The daemon's device that holds the link to a peripheral."""

    link: TwinLink | None

    def down(self) -> None: ...


class HostedPeripheral:
    """A peripheral in reach of the daemon. Set its faults at any time; look at its counters.

    `refusals`: texts of `org.bluez.Error.Failed` with which the next attempts to connect end; `always` for all of them.
    `busy`: so many attempts are answered with InProgress. `stuck`: UUIDs whose reads and writes never return.
    `unpaired`: what becomes of an encrypted request on a plain link: "pair" as the real daemon does (it hangs without
    an agent), or "refuse".
    """

    def __init__(
        self, peripheral: TwinPeripheral, on_advert: Callable[[ReceivedAdvert, TwinPeripheral], None], speed: float
    ) -> None:
        self.peripheral = peripheral
        self.device: LinkHolder | None = None
        self.reachable = True
        self.refusals: deque[str] = deque(maxlen=MOST_KEPT)
        self.always: str | None = None
        self.busy = 0
        self.stuck: set[str] = set()
        self.unpaired = "pair"
        self.attempts = self.connects = self.disconnects = self.pairings = 0
        self.reads: deque[str] = deque(maxlen=MOST_KEPT)
        self.writes: deque[tuple[str, bytes]] = deque(maxlen=MOST_KEPT)
        self.subscriptions: deque[str] = deque(maxlen=MOST_KEPT)
        self.sent: Counter[str] = Counter()  # notifications and indications, by UUID
        self._on_advert = on_advert
        self._speed = speed
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def address(self) -> str:
        return self.peripheral.address

    def start(self) -> None:
        """Its own life: ticks and advertisements, where it has an interval for them."""
        if self.peripheral.interval > 0:
            self._tasks.append(asyncio.create_task(self._live()))
        if self.peripheral.advert_interval > 0:
            self._tasks.append(asyncio.create_task(self._advertise()))
        for task in self._tasks:
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.error("%s came to its end", self.peripheral.name, exc_info=task.exception())

    async def stop(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self) -> None:
        while True:
            await asyncio.sleep(self.peripheral.interval / self._speed)
            self.peripheral.tick()

    async def _advertise(self) -> None:
        peripheral = self.peripheral
        while True:
            self.advertise()
            await asyncio.sleep(peripheral.advert_interval / self._speed)
            if peripheral.awake > 0 and not peripheral.connected:
                peripheral.awake = max(0.0, peripheral.awake - peripheral.advert_interval)

    # -- what a test plays

    def advertise(self, advert: ReceivedAdvert | None = None) -> None:
        """Once, if it can be heard: what it says at this moment, or `advert`."""
        if self.reachable and self.device is None and (advert is not None or self.peripheral.shown):
            self._news.set()
            self._on_advert(advert or self.peripheral.advertisement(), self.peripheral)

    def wake(self, seconds: float = 10.0) -> None:
        """A sleeper shows itself for so long."""
        self.peripheral.wake(seconds)
        self._news.set()
        self.advertise()

    def vanish(self) -> None:
        """Out of range without a word: no advertisement, attempts to connect never end, a link stays up."""
        self.reachable = False

    def appear(self) -> None:
        self.reachable = True
        self._news.set()
        self.advertise()

    def drop(self) -> None:
        """The link is lost; nothing happens where there is none."""
        if self.device is not None:
            self.device.down()

    def lose_bond(self) -> None:
        """The peripheral forgets its bond, as after a change of batteries; the daemon does not."""
        self.drop()
        self.peripheral.bonded = False

    def stick(self, *uuids: int | str) -> None:
        self.stuck |= {full(each) for each in uuids}

    # -- what the daemon asks

    async def reach(self) -> None:
        """Until a connection can be made."""
        while not (self.reachable and self.device is None and self.peripheral.shown and self.peripheral.connectable):
            self._news.clear()
            await self._news.wait()

    def released(self) -> None:
        self._news.set()

    def refusal(self) -> str | None:
        """Error with which the current attempt ends; None = it succeeds."""
        if self.refusals:
            return self.refusals.popleft()
        return self.always
