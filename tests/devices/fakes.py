"""Ordinary implementations of what the devices room asks of its neighbours, in memory."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec
import orjson

from gatepost.agent.core.clock import Stamp
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.interfaces import Connect, DeviceLimits
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Command, CommandFailed, Driver, KeepAlive, Registry
from gatepost.drivers.link import LinkEvents, LinkFailed, Reason
from gatepost.drivers.reading import Faults, Reading, Reply, Waveform
from tests.support.clock import HandClock as HandClock
from tests.support.waiting import until as until

QUICK = DeviceLimits(
    open=1.0, send=0.5, farewell=0.2, close=0.2, stop=0.6, first_retry=0.01, last_retry=0.05, good=30.0
)


class MemoryStore:
    """A log in memory with a bounded queue: `limit` is what it takes before it is full; `make_room` empties it."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self.limit = limit
        self.rows: list[tuple[int, Stamp, bytes, bool]] = []
        self.serieses: list[tuple[str, str | None, dict[str, Any]]] = []
        self.losses: list[tuple[str, int, str]] = []
        self.state: dict[str, Any] = {}
        self.broken_state = False
        self.key_value = self
        self.taken = 0
        self._room = asyncio.Event()

    def series(self, device: str, patient: str | None, common: dict[str, Any]) -> int:
        entry = (device, patient, orjson.loads(orjson.dumps(common)))
        if entry not in self.serieses:
            self.serieses.append(entry)
        return self.serieses.index(entry) + 1

    def append(
        self, series: int, stamp: Stamp, body: bytes, urgent: bool = False, mark: tuple[str, Any] | None = None
    ) -> int:
        if self.taken >= self.limit:
            self._room.clear()
            return 0
        self.taken += 1
        if mark is not None:
            self.state[mark[0]] = orjson.dumps(mark[1])
        self.rows.append((series, stamp, body, urgent))
        return len(self.rows)

    def append_all(self, stamp: Stamp, rows: Sequence[tuple[int, bytes]]) -> int:
        taken = 0
        while taken < len(rows) and self.append(rows[taken][0], stamp, rows[taken][1]):
            taken += 1
        return taken

    def lost(self, device: str, count: int, reason: str) -> None:
        self.losses.append((device, count, reason))

    async def wait_until_writable(self) -> None:
        while self.taken >= self.limit:
            await self._room.wait()

    def make_room(self) -> None:
        self.taken = 0
        self._room.set()

    async def stored(self, seq: int, hurry: bool = False) -> None:
        await asyncio.sleep(0)

    def reading_id(self, seq: int) -> str:
        return f"gw:epoch:{seq}"

    async def get(self, key: str) -> Any | None:
        if self.broken_state:
            raise OSError("cannot read")
        kept = self.state.get(key)
        return None if kept is None else orjson.loads(kept)

    async def with_prefix(self, prefix: str) -> dict[str, Any]:
        if self.broken_state:
            raise OSError("cannot read")
        found = {key: value for key, value in self.state.items() if key.startswith(prefix)}
        return {key.removeprefix(prefix): orjson.loads(value) for key, value in found.items()}

    async def put(self, key: str, value: Any) -> None:
        self.state[key] = orjson.dumps(value)

    # -- for tests

    def readings(self, device: str | None = None) -> list[dict[str, Any]]:
        """What a reader of the log sees: series and body in one, with `urgent`."""
        found = []
        for series, _stamp, body, urgent in self.rows:
            owner, patient, common = self.serieses[series - 1]
            if device in (None, owner):
                found.append({"device": owner, "patient": patient, **common, **orjson.loads(body), "urgent": urgent})
        return found

    def values(self, name: str, device: str | None = None) -> list[Any]:
        return [reading.get(name) for reading in self.readings(device)]


class Commits:
    """The schedule of a store's commits, by hand: `left` seconds to the next one, which `turn` lets begin."""

    def __init__(self, interval: float, left: float | None = None) -> None:
        self.interval = interval
        self.left = interval if left is None else left
        self.on_turn: list[Callable[[], None]] = []
        self.on_commit: list[Callable[[], None]] = []

    def until_commit(self) -> float:
        return self.left

    def until_turn(self) -> float:
        return self.left

    def turn(self) -> None:
        for call in self.on_turn + self.on_commit:
            call()


class MemoryLink:
    """A link to a device that the test plays: `say` is the device speaking, `heard` what it was told."""

    def __init__(self, bench: Bench, device: DeviceSettings, events: LinkEvents) -> None:
        self.device = device
        self.bench = bench
        self.is_open = self.paused = False
        self.can_pause = bench.can_pause
        self.heard: list[bytes] = []
        self.opened = self.closed = 0
        self.attempts = 0
        self.events = events

    async def open(self, timeout: float) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.bench.open_hangs:
            await asyncio.sleep(3600)
        if self.bench.trouble is not None:
            raise self.bench.trouble
        assert not self.is_open
        self.is_open = True
        self.paused = False
        self.opened += 1

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    async def send(self, data: bytes, timeout: float) -> None:
        await asyncio.sleep(0)
        if not self.is_open:
            raise LinkFailed(Reason.IO, "it is gone")
        self.heard.append(data)
        answer = self.bench.answers.get(data)
        if answer is not None:
            self.say(answer)

    async def close(self, timeout: float) -> None:
        if self.bench.close_hangs:
            await asyncio.sleep(3600)
        self.is_open = False
        self.closed += 1

    def counters(self) -> dict[str, int]:
        return {}

    def say(self, *chunks: bytes) -> None:
        assert self.is_open
        for data in chunks:
            self.events.data(data)

    async def usable_again(self) -> None:
        await self.bench.arrival.wait()
        self.bench.arrival.clear()

    def lose(self) -> None:
        self.is_open = False
        self.events.lost(LinkFailed(Reason.IO, "it was lost"))


class Talker:
    """Decoder of the test's devices: one JSON object a line. {"reply": {...}} is a Reply, {"raise": 1} a bad driver."""

    def __init__(self) -> None:
        self.faults = Faults()

    def feed(self, data: bytes) -> list[Reading | Reply]:
        found: list[Reading | Reply] = []
        for line in data.splitlines():
            try:
                said = orjson.loads(line)
            except ValueError:
                self.faults.add("bad-line")
                continue
            if "raise" in said:
                raise RuntimeError("a fault of the driver")
            if "strange" in said:
                found.append("not a reading")  # type: ignore[arg-type]
            elif "set" in said:
                found.append(Reading("reading", {"a": {1, 2}}))
            elif "wave" in said:
                found.append(Reading("reading", {"channel": "v"}, waveform=Waveform([1, 2], 60.0)))
            elif "reply" in said:
                found.append(Reply("reply", said["reply"]))
            else:
                flags = tuple(said.pop("flags", ()))
                found.append(Reading(said.pop("metric", "reading"), said, {"v": "1"}, flags))
        return found


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    level: int = 1

    def __post_init__(self) -> None:
        if self.level < 0:
            raise ValueError("level cannot be negative")


class Wait(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float = 5.0


class TestDriver(Driver):
    __test__ = False
    name = "test"
    title = "a device that a test plays"
    options_type = Options
    commands = (
        Command("who", "Ask who it is", timeout=0.5),
        Command("twice", "Two answers"),
        Command("wait", "Wait for an answer that may not come", Wait, timeout=0.1),
        Command("long", "The same, for long", Wait, timeout=30.0),
        Command("refuse", "The device says no"),
        Command("broken", "The driver fails"),
    )
    made: ClassVar[int] = 0

    def decoder(self) -> Talker:
        return Talker()

    def on_open_bytes(self) -> tuple[bytes, ...]:
        return (b"hello",)

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (b"bye",)

    async def execute(self, command: str, parameters: msgspec.Struct, exchange: Any) -> dict[str, Any]:
        match command:
            case "who" | "wait" | "long":
                await exchange.send(command.encode())
                return await exchange.wait(_fields, getattr(parameters, "seconds", 5.0))
            case "twice":
                await exchange.send(b"twice")
                first = await exchange.wait(_fields, 1.0)
                return {**first, **await exchange.wait(_fields, 1.0)}
            case "refuse":
                raise CommandFailed("not-now", "the device is busy")
            case _:
                raise ZeroDivisionError("secret 97")

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Any:
        raise NotImplementedError


def _fields(item: Reading | Reply) -> dict[str, Any] | None:
    return item.fields if isinstance(item, Reply) else None


class KeepAliveDriver(TestDriver):
    name = "kept"
    keep_alive = KeepAlive(b"alive", 0.02)


class MedianDriver(TestDriver):
    name = "median"
    aggregation = "median"
    default_interval = 0.2


class Hush(msgspec.Struct, forbid_unknown_fields=True):
    for_good: bool = True


class SilentDriver(TestDriver):
    name = "silent"
    silence: float | None = 0.05
    commands = (Command("hush", "Say nothing", Hush),)

    async def execute(self, command: str, parameters: msgspec.Struct, exchange: Any) -> dict[str, Any]:
        assert isinstance(parameters, Hush)
        self.silence = None if parameters.for_good else 0.05
        return {}


class AskedDriver(TestDriver):
    name = "asked"
    commands = (Command("read_now", "Ask for a reading", timeout=0.5),)

    async def execute(self, command: str, parameters: msgspec.Struct, exchange: Any) -> dict[str, Any]:
        await exchange.send(b"Q")
        await exchange.wait(lambda item: item if isinstance(item, Reading) and not item.flags else None, 1.0)
        return {"asked": True}


def _cannot_load() -> type[Driver]:
    raise ImportError("no module named elsewhere")


class NoParameters(msgspec.Struct):
    """Of a command that there is not."""


async def execute(
    devices: DeviceManager, device: str, command: str, parameters: dict[str, Any], source: str = ""
) -> dict[str, Any]:
    """As the dispatcher does it: with the parameters that the command declares."""
    declared = devices.commands(device).get(command)
    checked = msgspec.convert(parameters, declared.parameters) if declared else NoParameters()
    return await devices.execute(device, command, checked, source)


class Bench:
    """Devices with fakes all round, and the knobs of the world they live in."""

    def __init__(self, store: Any = None, clock: Any = None, **given: Any) -> None:
        from gatepost.agent.core.clock import SystemClock

        self.can_pause = True
        self.closed_links = False
        self.trouble: LinkFailed | None = None
        self.open_hangs = self.close_hangs = False
        self.arrival = asyncio.Event()  # the port is plugged in
        self.answers: dict[bytes, bytes] = {}
        self.links: list[MemoryLink] = []
        self.statuses: list[tuple[str, dict[str, Any]]] = []
        self.store = store or MemoryStore()
        self.clock = clock or SystemClock()
        self.events = EventBus()
        kinds = (TestDriver, KeepAliveDriver, MedianDriver, SilentDriver, AskedDriver)
        sources: dict[str, Callable[[], type[Driver]]] = {kind.name: (lambda kind=kind: kind) for kind in kinds}
        self.devices = DeviceManager(
            Registry(sources | {"elsewhere": _cannot_load}),
            self.store,
            self.clock,
            self.events,
            random.Random(1),
            logging.getLogger("test.devices"),
            links=self,
            limits=given.get("limits", QUICK),
            commits=given.get("commits"),
        )
        self.devices.on_status = lambda name, payload: self.statuses.append((name, payload))

    async def execute(self, device: str, command: str, parameters: dict[str, Any], source: str = "") -> dict[str, Any]:
        return await execute(self.devices, device, command, parameters, source)

    def get(self, transport: str) -> Connect | None:
        return self._connect if transport in ("serial", "ble") else None

    def adjust(self, devices: dict[str, DeviceSettings]) -> None:
        """Its links have nothing to adjust."""

    async def close(self) -> None:
        self.closed_links = True

    def _connect(self, device: DeviceSettings, driver: Driver, events: LinkEvents) -> MemoryLink:
        link = MemoryLink(self, device, events)
        self.links.append(link)
        return link

    @property
    def link(self) -> MemoryLink:
        return self.links[-1]

    def view(self, name: str = "d") -> dict[str, Any]:
        view = self.devices.get(name)
        assert view is not None
        return dict(view)

    async def online(self, name: str = "d", **settings: Any) -> MemoryLink:
        """Apply one device and wait until it is there."""
        await self.devices.apply({name: DeviceSettings(**({"driver": "test", "port": "/dev/x"} | settings))})
        await until(lambda: self.view(name)["status"] == "online")
        return self.link


def line(**said: Any) -> bytes:
    return orjson.dumps(said) + b"\n"
