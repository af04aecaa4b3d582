"""A driver beside a simulated device without a bus, on a clock that jumps: sessions, kills, lost links in no time."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError, GattValue
from gatepost.drivers.ble.twin.peripheral import TwinCharacteristic, TwinPeripheral
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import CommandFailed, LocalTime
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.testing.virtual_session import in_virtual_time


class Lost(Exception):
    """The link is gone."""


def play(scene: Coroutine[Any, Any, Any]) -> Any:
    """Run it in virtual time, for ten hours at most."""
    return in_virtual_time(asyncio.wait_for(scene, 36000))


def played(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test in virtual time."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        play(test(**given))

    return run


class FakePeripheral:
    """A connected twin. `refuse`: ATT errors by UUID, once each; `mute`: UUIDs whose reads are never answered."""

    def __init__(self, twin: TwinPeripheral, hear: Callable[[GattValue], None], driver: BleDriver) -> None:
        self.twin = twin
        self.said: list[tuple[str, bytes]] = []
        self.steps: list[str] = []
        self.refuse: dict[str, list[int]] = {}
        self.mute: set[str] = set()
        self.lost = False
        self.address, self.addresses = twin.address, (twin.address,)
        self.name = twin.name
        self.mtu = twin.mtu
        self._hear = hear
        self._driver = driver
        self._twins: dict[int, TwinCharacteristic] = {each.handle: each for each in twin}
        self.characteristics = tuple(
            GattCharacteristic(each.uuid, each.handle, each.service, frozenset(each.properties)) for each in twin
        )

    def find(self, uuid: str, service: str = "") -> GattCharacteristic | None:
        for each in self.characteristics:
            if each.uuid == uuid and service in ("", each.service):
                return each
        return None

    def connect(self, hang_up: Callable[[], None]) -> None:
        self.twin.attach(self._on_value, hang_up)

    def _on_value(self, characteristic: TwinCharacteristic, data: bytes) -> None:
        asyncio.get_running_loop().call_soon(self._deliver, characteristic, data)

    def _deliver(self, characteristic: TwinCharacteristic, data: bytes) -> None:
        if not self.lost:
            self._hear(GattValue(characteristic.uuid, data, characteristic.handle, characteristic.service))

    async def _ask(self, characteristic: GattCharacteristic) -> TwinCharacteristic:
        await asyncio.sleep(0.01)
        if self.lost:
            raise Lost
        if self.refuse.get(characteristic.uuid):
            raise GattError("refused", self.refuse[characteristic.uuid].pop(0))
        return self._twins[characteristic.handle]

    async def read(self, characteristic: GattCharacteristic, timeout: float = 10.0) -> bytes:
        if characteristic.uuid in self.mute:
            await asyncio.sleep(timeout)
            raise TimeoutError
        self.steps.append(f"read {characteristic.uuid[4:8]}")
        return (await self._ask(characteristic)).read()

    async def description(self, characteristic: GattCharacteristic, timeout: float = 5.0) -> str:
        return (await self._ask(characteristic)).descriptors.get(uuid(0x2901), b"").decode()

    async def write(
        self, characteristic: GattCharacteristic, data: bytes, *, response: bool = True, timeout: float = 10.0
    ) -> None:
        assert self._driver.violation(data, characteristic.uuid) is None, "a forbidden word"
        self.said.append((characteristic.uuid, data))
        self.steps.append(f"write {characteristic.uuid[4:8]}")
        (await self._ask(characteristic)).write(data)

    async def subscribe(self, characteristic: GattCharacteristic, timeout: float = 10.0) -> None:
        self.steps.append(f"subscribe {characteristic.uuid[4:8]}")
        self.twin.subscribe(await self._ask(characteristic), True)

    async def unsubscribe(self, characteristic: GattCharacteristic, timeout: float = 5.0) -> None:
        self.twin.subscribe(await self._ask(characteristic), False)

    async def pair(self, timeout: float = 30.0) -> None:
        self.twin.bonded = True


class FakeTalk:
    """The agent's side: what is stored is stored at once, with its mark, until `die_after` readings were."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.peripheral: FakePeripheral = bench.peripheral
        self._heard: deque[Reading | Reply] = deque(maxlen=1000)
        self._more = asyncio.Event()
        self._over = False

    def feed(self, data: Any) -> None:
        self.bench.hear(data)

    def heard(self, item: Reading | Reply) -> None:
        self._heard.append(item)
        self._more.set()

    def abort(self) -> None:
        self._over = True
        self._more.set()

    async def send(self, data: bytes) -> None:
        raise AssertionError("a BLE device is written to by characteristic")

    async def wait(self, match: Callable[[Reading | Reply], Any], timeout: float) -> Any:
        async with asyncio.timeout(timeout):
            while True:
                while self._heard:
                    result = match(self._heard.popleft())
                    if result is not None:
                        return result
                if self._over:
                    raise CommandFailed("connection-lost", "gone")
                self._more.clear()
                await self._more.wait()

    async def stored(self, timeout: float = 30.0) -> None:
        return None

    def now(self) -> LocalTime:
        return LocalTime(self.bench.now, self.bench.trusted)

    def update_status(self, **known: Any) -> None:
        self.bench.known.update(known)

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        self.bench.progress.append((done, total))


class Bench:
    """`stored`: every reading upstream, over all sessions. `marks`: the bookmarks that are on disk."""

    def __init__(self, driver: BleDriver, twin: TwinPeripheral) -> None:
        self.driver = driver
        self.twin = twin
        self.twin.clock = lambda: self.now
        self.now = datetime.now().replace(microsecond=0)  # noqa: DTZ005  # as the twin, which began with it
        self.trusted = True  # the gateway's own clock
        self.stored: list[Reading] = []
        self.marks: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self.progress: list[tuple[int, int | None]] = []
        self.die_after: int | None = None
        self.on_begin: Callable[[FakePeripheral], None] = lambda peripheral: None
        self.peripheral = FakePeripheral(twin, self.hear, driver)
        self.io: FakeTalk | None = None
        self.exchange: FakeTalk | None = None  # of a command
        self._decoder: Any = None
        self._dead = asyncio.Event()

    # -- what the link and the agent do

    def hear(self, value: Any) -> None:
        if self._dead.is_set() or self.io is None:
            return
        for item in self._decoder.feed(value):
            if isinstance(item, Reading):
                self.stored.append(item)
                if item.bookmark is not None:
                    self.marks[item.bookmark[0]] = copy.deepcopy(item.bookmark[1])
                if self.die_after is not None and len(self.stored) >= self.die_after:
                    self._dead.set()
                    return
            for io in (self.io, self.exchange):
                if io is not None:
                    io.heard(item)

    async def command(self, name: str, parameters: Any) -> dict[str, Any]:
        """As the agent carries it out, beside the conversation."""
        self.exchange = FakeTalk(self)
        try:
            return await self.driver.execute(name, parameters, self.exchange)
        finally:
            self.exchange = None

    @property
    def faults(self) -> dict[str, int]:
        return dict(self._decoder.faults)

    async def session(self, during: Callable[[], Awaitable[None]] | None = None) -> BaseException | None:
        """One connection, until it is lost, the driver ends it, `during` is through, or the agent is killed; what the
        driver raised. An hour at most."""
        self._dead.clear()
        self.driver.bookmarks = copy.deepcopy(self.marks)
        self._decoder = self.driver.decoder()
        self.peripheral = FakePeripheral(self.twin, self.hear, self.driver)
        self.on_begin(self.peripheral)
        self.io = FakeTalk(self)
        self.peripheral.connect(self.lose)
        ticking = asyncio.create_task(self._tick())
        talking = asyncio.create_task(self.driver.run_session(self.io))
        self._lost = asyncio.Event()
        waits = [talking, asyncio.create_task(self._dead.wait()), asyncio.create_task(self._lost.wait())]
        if during is not None:
            waits.append(asyncio.create_task(during()))  # type: ignore[arg-type]
        try:
            done, _ = await asyncio.wait(waits, timeout=3600, return_when=asyncio.FIRST_COMPLETED)
            if done == {talking} and talking.exception() is None:  # it has nothing more to say
                await asyncio.wait(waits[1:], timeout=3600, return_when=asyncio.FIRST_COMPLETED)
            for task in waits[3:]:
                if task.done():
                    task.result()
            if self._dead.is_set():
                self.peripheral.lost = True
            return talking.exception() if talking.done() else None
        finally:
            for task in waits:
                task.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            self.peripheral.lost = True
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            self.twin.detach()

    def lose(self) -> None:
        """The link breaks."""
        assert self.io is not None
        self.peripheral.lost = True
        self.twin.detach()
        self.io.abort()
        self._lost.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self.twin.interval)
            if self.twin.connected:
                self.twin.tick()


def values(readings: list[Reading], name: str) -> list[Any]:
    return [reading.values[name] for reading in readings if name in reading.values]
