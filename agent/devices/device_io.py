"""Device I/O of a command or a driver: write, within the driver's rules, and wait for decoded items."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from gatepost.agent.core.clock import US, Clock
from gatepost.agent.devices.health import DeviceHealth
from gatepost.agent.devices.store_queue import StoreQueue
from gatepost.drivers.driver import CommandFailed, Driver, LocalTime
from gatepost.drivers.link import Link
from gatepost.drivers.reading import Reading, Reply

if TYPE_CHECKING:
    from gatepost.drivers.ble.peripheral import BlePeripheral, GattCharacteristic

T = TypeVar("T")

MAX_UNREAD = 1000  # items kept between two waits; a stream beside the answer pushes the oldest out


class GuardedWriter:
    """Guarded writer: the only way to write to a device; refuses what its driver forbids. `on_write` gets what was
    written, for a recording."""

    def __init__(self, driver: Driver, timeout: float) -> None:
        self._driver = driver
        self._timeout = timeout
        self.on_write: Callable[[bytes, str], None] | None = None

    async def write(self, link: Link, data: bytes) -> None:
        """CommandFailed `forbidden`, or what the link raises."""
        self.check(data)
        await link.send(data, self._timeout)
        self.wrote(data)

    def check(self, data: bytes, characteristic: str = "") -> None:
        rule = self._driver.violation(data, characteristic)
        if rule is not None:
            raise CommandFailed(
                "forbidden", f"{self._driver.name} may not {rule} on a device whose option `permit` does not name it"
            )

    def wrote(self, data: bytes, characteristic: str = "") -> None:
        if self.on_write is not None:
            self.on_write(data, characteristic)


class DeviceExchange:
    """An `Exchange` for one command or conversation. What is decoded after the last `send` is kept until a `wait` has
    looked at it, so an answer of many parts in one chunk is not lost between two waits. CommandFailed
    `connection-lost` once aborted.

    `at_once`: readings are reported as they come while it runs. `answer` is what the last `wait` matched, and its
    sequence number (0 = none yet).
    """

    def __init__(
        self,
        link: Link,
        writer: GuardedWriter,
        queue: StoreQueue,
        health: DeviceHealth,
        clock: Clock,
        at_once: bool = False,
        feed: Callable[[Any], Any] = lambda data: None,
    ) -> None:
        self.at_once = at_once
        self.feed = feed
        self.answer: tuple[Reading | Reply, int] | None = None
        self._link: Link | None = link
        self._writer = writer
        self._queue = queue
        self._health = health
        self._clock = clock
        self._heard: deque[tuple[Reading | Reply, int]] = deque(maxlen=MAX_UNREAD)
        self._more = asyncio.Event()

    async def send(self, data: bytes) -> None:
        self._heard.clear()
        await self._writer.write(self._attached(), data)

    async def wait(self, match: Callable[[Reading | Reply], T | None], timeout: float) -> T:
        """The first non-None result of `match`; TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while True:
                while self._heard:
                    heard = self._heard.popleft()
                    result = match(heard[0])
                    if result is not None:
                        self.answer = heard
                        return result
                self._attached()
                self._more.clear()
                await self._more.wait()

    @property
    def peripheral(self) -> BlePeripheral:
        peripheral = getattr(self._attached(), "peripheral", None)
        if peripheral is None:
            raise CommandFailed("no-peripheral", "this device is not connected by Bluetooth LE")
        return GuardedPeripheral(peripheral, self._writer)

    async def stored(self, timeout: float = 30.0) -> None:
        async with asyncio.timeout(timeout):
            await self._queue.bookmarks_stored()

    def now(self) -> LocalTime:
        stamp = self._clock.now()
        local = datetime.fromtimestamp(stamp.wall / US)  # noqa: DTZ006  # a device's clock is local and has no zone
        return LocalTime(local, stamp.synchronised)

    def update_status(self, **known: Any) -> None:
        self._health.update_status(known)

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        self._health.doing = {"what": what, "done": done, "total": total}

    def heard(self, item: Reading | Reply, seq: int) -> None:
        """Something was decoded, and reported under `seq` (0 = it was not, or not yet)."""
        self._heard.append((item, seq))
        self._more.set()

    def abort(self) -> None:
        """The link is gone; what waits fails at once."""
        self._link = None
        self._more.set()

    def _attached(self) -> Link:
        if self._link is None:
            raise CommandFailed("connection-lost", "the connection to the device was lost before it answered")
        return self._link


class GuardedPeripheral:
    """A peripheral that is not told what its driver forbids."""

    def __init__(self, peripheral: BlePeripheral, writer: GuardedWriter) -> None:
        self._peripheral = peripheral
        self._writer = writer
        self.find = peripheral.find
        self.read = peripheral.read
        self.description = peripheral.description
        self.subscribe = peripheral.subscribe
        self.unsubscribe = peripheral.unsubscribe
        self.pair = peripheral.pair

    @property
    def address(self) -> str:
        return self._peripheral.address

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._peripheral.addresses

    @property
    def name(self) -> str:
        return self._peripheral.name

    @property
    def mtu(self) -> int:
        return self._peripheral.mtu

    @property
    def characteristics(self) -> tuple[GattCharacteristic, ...]:
        return self._peripheral.characteristics

    async def write(
        self, characteristic: GattCharacteristic, data: bytes, *, response: bool = True, timeout: float = 10.0
    ) -> None:
        self._writer.check(data, characteristic.uuid)
        await self._peripheral.write(characteristic, data, response=response, timeout=timeout)
        self._writer.wrote(data, characteristic.uuid)
