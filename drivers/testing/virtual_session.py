"""Session of a serial driver with a twin, in virtual time: hours pass in a moment, and nothing is real.

What drivers/testing/driver_kit.py offers to authors of drivers; it needs neither a port nor the agent.
"""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from gatepost.drivers.driver import Driver, LocalTime, Twin
from gatepost.drivers.reading import Reading, Reply

T = TypeVar("T")

EPOCH = datetime(2026, 11, 20, 10, 30)  # noqa: DTZ001  # the local wall time at which a session begins
MOST_HEARD = 1000  # items kept between two waits, as the gateway does


class SessionStuck(RuntimeError):
    """Everything waits, and no time limit is running."""


class ForbiddenWords(RuntimeError):
    """The driver wanted to say what it lists as forbidden."""


class _Jump(selectors.DefaultSelector):
    """Instead of waiting, time passes."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise SessionStuck("everything waits, and no time limit is running")
        self._passed(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next thing that is due."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_Jump(self._pass))

    def time(self) -> float:
        return self._now

    def _pass(self, seconds: float) -> None:
        self._now += max(seconds, 1e-9)


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end on a loop of its own; not from within a running loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


@dataclass
class VirtualSession:
    """What came of a session. `chunks`: what the device said, piece by piece; `outcome`: what ended the conversation,
    None = it ended by itself or goes on."""

    chunks: list[bytes] = field(default_factory=list)
    items: list[Reading | Reply] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    bookmarks: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    progress: list[tuple[str, int, int | None]] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    outcome: Exception | None = None
    result: dict[str, Any] | None = None  # of a command

    @property
    def readings(self) -> list[Reading]:
        return [item for item in self.items if isinstance(item, Reading)]

    @property
    def records(self) -> list[Reading]:
        """Readings that the device had stored."""
        return [reading for reading in self.readings if reading.bookmark is not None]


class VirtualExchange:
    """The Exchange of a session: a twin at the other end, and a store that never fails."""

    def __init__(self, driver: Driver, twin: Twin, session: VirtualSession) -> None:
        self._driver = driver
        self._twin = twin
        self._session = session
        self._decoder = driver.decoder()
        self._heard: deque[Reading | Reply] = deque(maxlen=MOST_HEARD)
        self._more = asyncio.Event()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # the decoder or the twin raised

    async def send(self, data: bytes) -> None:
        rule = self._driver.violation(data)
        if rule is not None:
            raise ForbiddenWords(f"{self._driver.name} said {data!r}, which its rule {rule!r} forbids")
        self._heard.clear()
        self._session.sent.append(bytes(data))
        answer = self._twin.hear(data)
        if answer:
            asyncio.get_running_loop().call_soon(self.hear, answer)

    async def wait(self, match: Callable[[Reading | Reply], T | None], timeout: float) -> T:
        async with asyncio.timeout(timeout):
            while True:
                while self._heard:
                    found = match(self._heard.popleft())
                    if found is not None:
                        return found
                self._more.clear()
                await self._more.wait()

    def hear(self, data: bytes) -> None:
        """The device says something."""
        self._session.chunks.append(data)
        try:
            self.feed(data)
        except Exception as error:
            if not self.failed.done():
                self.failed.set_exception(error)

    def feed(self, data: Any) -> None:
        for item in self._decoder.feed(data):
            self._session.items.append(item)
            self._heard.append(item)
            if isinstance(item, Reading) and item.bookmark is not None:
                name, value = item.bookmark
                self._session.bookmarks[name] = value
        self._session.faults = dict(self._decoder.faults)
        self._more.set()

    @property
    def peripheral(self) -> Any:
        raise RuntimeError("a serial device has no BLE peripheral")

    async def stored(self, timeout: float = 30.0) -> None:
        await asyncio.sleep(0)

    def now(self) -> LocalTime:
        return LocalTime(EPOCH + timedelta(seconds=asyncio.get_running_loop().time()), True)

    def update_status(self, **known: Any) -> None:
        self._session.told |= known

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        self._session.progress.append((what, done, total))


def session(
    driver: Driver, twin: Twin, seconds: float = 30.0, execute: tuple[str, Any] | None = None
) -> VirtualSession:
    """`driver` with `twin` for so many seconds of virtual time, as the gateway runs it: bookmarks, greeting,
    conversation, keep-alive, farewell. `execute`: a command and its parameters, carried out in the middle of it."""
    return in_virtual_time(play(driver, twin, seconds, execute))


async def play(
    driver: Driver, twin: Twin, seconds: float = 30.0, execute: tuple[str, Any] | None = None
) -> VirtualSession:
    """The same within a coroutine: several sessions of one driver belong on one loop."""
    done = VirtualSession(bookmarks=dict(driver.bookmarks))
    exchange = VirtualExchange(driver, twin, done)
    until = asyncio.get_running_loop().time() + seconds
    for words in driver.on_open_bytes():
        await exchange.send(words)
    beside = [asyncio.create_task(_speak(twin, exchange)), asyncio.create_task(_keep_alive(driver, exchange))]
    talking = asyncio.create_task(driver.run_session(exchange))
    failing = (exchange.failed, *beside)
    try:
        middle = until - seconds / 2 if execute else until
        await _until(middle, (talking, *failing))
        if not (talking.done() and talking.exception()):
            await _until(middle, failing)
        if execute is not None:
            done.result = await driver.execute(*execute, exchange)
        if not (talking.done() and talking.exception()):
            await _until(until, failing)
        if talking.done():
            done.outcome = _outcome(talking)
        for failed in failing:
            if failed.done():
                failed.result()
        for words in driver.on_close_bytes():
            await exchange.send(words)
    finally:
        for task in (*failing, talking):
            task.cancel()
        await asyncio.gather(*failing, talking, return_exceptions=True)
    return done


async def _until(moment: float, ends: Iterable[asyncio.Future[None]]) -> None:
    """Until this moment of the loop, or until one of these is over."""
    left = moment - asyncio.get_running_loop().time()
    if left > 0:
        await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)


def _outcome(talking: asyncio.Task[None]) -> Exception | None:
    error = talking.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error


async def _speak(twin: Twin, exchange: VirtualExchange) -> None:
    while True:
        await asyncio.sleep(twin.interval)
        said = twin.tick()
        if said:
            exchange.hear(said)


async def _keep_alive(driver: Driver, exchange: VirtualExchange) -> None:
    keep = driver.keep_alive
    while True:
        await asyncio.sleep(3600.0 if keep is None else keep.interval)
        if keep is not None:
            await exchange.send(keep.data)
