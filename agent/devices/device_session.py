"""Device session: open the link, run the driver on it, close it, and open it again after a backoff."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from msgspec.structs import replace

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.clock import Clock
from gatepost.agent.devices import desired_state
from gatepost.agent.devices.deferred_chunks import DeferredChunks
from gatepost.agent.devices.desired_state import DesiredState
from gatepost.agent.devices.device_io import DeviceExchange, GuardedWriter
from gatepost.agent.devices.health import (
    HUNG_UP,
    LOST,
    REMOVED,
    TOLD_LOSSES,
    DeviceCounters,
    DeviceHealth,
    DeviceState,
    StatusReason,
    fault_of,
    reason_of,
)
from gatepost.agent.devices.interfaces import Connect, DeviceLimits, ReadingStore
from gatepost.agent.devices.liveness import UNPROVEN, DeviceLiveness
from gatepost.agent.devices.reading_pipeline import ReadingPipeline, mark_key
from gatepost.agent.devices.recorder import DeviceRecorder
from gatepost.agent.devices.series_cache import SeriesCache
from gatepost.agent.devices.store_queue import StoreQueue
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Driver, SessionOver
from gatepost.drivers.link import Link, LinkEvents, LinkFailed, LinkMemory, Reason

# Settings that a running device takes over without being reopened.
LIVE_SETTINGS: dict[str, Any] = {
    **dict.fromkeys(("label", "room", "patient", "every", "brokers", "token")),
    "thresholds": {},
}


def connection_settings(device: DeviceSettings) -> DeviceSettings:
    """The settings that a device is opened with: without those that it takes over while it runs."""
    return replace(device, **LIVE_SETTINGS)


ARRIVAL_RETRY = 0.5  # seconds of the first pause after a port has come that cannot be opened yet
ARRIVAL_ATTEMPTS = 4


class DeviceSession:
    """Session of one configured device: `start`, `adjust` for LIVE_SETTINGS, `stop`; all that it runs ends with it."""

    def __init__(
        self,
        name: str,
        device: DeviceSettings,
        driver: Driver,
        connect: Connect,
        store: ReadingStore,
        clock: Clock,
        rng: Random,
        log: logging.Logger,
        limits: DeviceLimits,
        on_change: Callable[[DeviceSession, DeviceState], None],
        memory: LinkMemory | None = None,
        deferred: DeferredChunks | None = None,
    ) -> None:
        self.name = name
        self.device = device
        self.driver = driver
        self.limits = limits
        self.counters = DeviceCounters()
        self.desired = DesiredState()
        self.health = DeviceHealth(name, clock, log, lambda before: on_change(self, before))
        self.link: Link | None = None  # while it is open
        self.retry_at: float | None = None  # on the clock's monotonic seconds
        self.queue = StoreQueue(name, store, self.counters, log)
        self.writer = GuardedWriter(driver, limits.send)
        self._series = SeriesCache(name, store)
        self.pipeline = ReadingPipeline(
            name, clock, self._series, self.queue, self.counters, self.health, log, deferred
        )
        events = LinkEvents(
            self.pipeline.chunk, self._on_lost, self._on_waiting, self.health.update_status, memory, self._on_presence
        )
        self._link = connect(device, driver, events)
        self.recorder = DeviceRecorder(clock.monotonic, self._on_recording)
        self._store = store
        self._clock = clock
        self._log = log
        self._backoff = Backoff(rng, 2 * limits.first_retry, limits.last_retry, limits.good)
        self._arrived = Backoff(rng, ARRIVAL_RETRY, limits.last_retry)  # instead, after a port has come
        self._arrival_attempts = 0  # of that which are left
        self.liveness = DeviceLiveness(
            driver,
            device.silence,
            self.pipeline,
            self.queue,
            self.writer,
            self.health,
            self.counters,
            self._backoff,
            clock,
            lambda: self.link is not None and not self._tells_presence,
        )
        self._rest = 0.0  # seconds that the conversation wants the device to be left alone
        self._ordering = asyncio.Lock()
        self._opened_before = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._timed: asyncio.TimerHandle | None = None
        self._stopped = False

    # -- settings and what commands ordered

    async def start(self) -> None:
        if self._tells_presence:
            self._link.expect()  # type: ignore[attr-defined]
        self._series.assign(self.device.patient)
        self.pipeline.watch(self.device.thresholds)
        try:
            desired = desired_state.load(await self._store.key_value.get(desired_state.state_key(self.name)))
        except Exception as error:  # the device runs by its settings all the same
            self.health.faults.add("state-unreadable", type(error).__name__)
            self._log.error("%s: the orders of earlier commands could not be read: %s", self.name, error)
            desired = DesiredState()
        self._follow(desired)
        self._spawn(self._supervised(), self.name)

    def adjust(self, device: DeviceSettings) -> None:
        """Take over soft changes; readings that are held belong to the patient, pace and thresholds before."""
        before, self.device = self.device, device
        if before.patient != device.patient:
            self.pipeline.flush()
            self._series.assign(device.patient)
        if before.thresholds != device.thresholds:
            self.pipeline.flush()
            self.pipeline.watch(device.thresholds)
        if before.thresholds != device.thresholds or before.every != device.every:
            self._follow(self.desired)

    async def order(self, change: Callable[[DesiredState], DesiredState]) -> None:
        """Keep what a command wants, and then do it; one at a time. The store's errors pass through."""
        async with self._ordering:
            desired = change(self.desired)
            await self._store.key_value.put(desired_state.state_key(self.name), desired_state.dump(desired))
            if not self._stopped:
                self._follow(desired)

    @property
    def every(self) -> float:
        """The pace in force: ordered, set, or the driver's; seconds, 0 = every reading."""
        for pace in (self.desired.pace, self.device.every):
            if pace is not None:
                return pace
        return self.driver.default_interval

    def _follow(self, desired: DesiredState) -> None:
        now = self._clock.now()
        self.desired = desired.under(self.device.every, now, self._clock.boot_id)
        self.pipeline.report_every(self.every, self.driver.aggregation, self.desired.reporting)
        if self._timed is not None:
            self._timed.cancel()
            self._timed = None
        if self.desired.timed is not None:
            left = self.desired.timed.remaining(now, self._clock.boot_id)
            self._timed = asyncio.get_running_loop().call_later(left, self._time_is_over)

    def _time_is_over(self) -> None:
        # Nothing to keep: what is over is seen to be over when it is loaded again.
        self._timed = None
        self._log.info("%s: timed monitoring has ended", self.name)
        self._follow(self.desired.without_time())

    def _on_recording(self, used: bool) -> None:
        self.pipeline.tap = self.recorder.received if used else None
        self.writer.on_write = self.recorder.sent if used else None

    def port_counters(self) -> dict[str, int]:
        """What the port itself counted."""
        try:
            return self._link.counters()
        except OSError:  # it is going away at this moment
            return {}

    # -- the life

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"device {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _supervised(self) -> None:
        while True:
            try:
                reason = await self._session()
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                reason = reason_of(error)  # something in the link was cancelled, and not by us
            except Exception as error:
                reason = reason_of(error)
            self.recorder.note(f"closed: {reason.message}")
            self.health.fail(reason)
            pause = max(self._next_pause(), self._rest)
            self.retry_at = self._clock.monotonic() + pause
            await self._pause(pause)
            self.retry_at = None

    def _next_pause(self) -> float:
        if not self._arrival_attempts:
            return self._backoff.next()
        self._arrival_attempts -= 1
        return min(self._arrived.next(), self._backoff.next())

    async def _pause(self, seconds: float) -> None:
        """It ends early where the link can be opened again, and is short for some attempts after that: udev or a modem
        manager may still be busy with a new port. The failures count on."""
        try:
            async with asyncio.timeout(seconds):
                await self._link.usable_again()
        except TimeoutError:
            return
        except Exception:  # a link that cannot tell
            await asyncio.sleep(seconds)
        else:
            self._arrived.reset()
            self._arrival_attempts = ARRIVAL_ATTEMPTS

    async def _session(self) -> StatusReason:
        """One opening of the link; why it ended. Raises what the link or the driver raised."""
        link, driver, limits = self._link, self.driver, self.limits
        opened = driver_task = None
        self._rest = 0.0
        await self._load_bookmarks()
        try:
            self.pipeline.begin(driver.decoder(), self._on_broken)
            self.liveness.begin()
            await link.open(limits.open)
            opened = self._clock.monotonic()
            self._arrival_attempts = 0
            self.link = link
            self.recorder.note("opened")
            self.queue.attach(link)
            self.counters.reconnects += self._opened_before
            self._opened_before = True
            for data in driver.on_open_bytes():
                await self.writer.write(link, data)
            proven = self.health.reason.key not in UNPROVEN and not self.liveness.ended
            if proven and not self._tells_presence:
                self.health.turn(DeviceState.ONLINE)
            io = self.pipeline.conversation = self.exchange(link)
            driver_task = asyncio.get_running_loop().create_task(self._run_driver(io), name=f"driver {self.name}")
            return await self.liveness.wait(link)
        finally:
            await self._end_driver(driver_task)
            if opened is not None:
                self._backoff.held(self._clock.monotonic() - opened)
            await self._close(link)

    async def _load_bookmarks(self) -> None:
        """Give the driver the marks that are stored. What is not yet on disk is waited for: a mark from before it would
        have the device's records taken twice."""
        try:
            async with asyncio.timeout(self.limits.settle):
                await self.queue.bookmarks_stored()
            self.driver.bookmarks = await self._store.key_value.with_prefix(mark_key(self.name))
        except Exception as error:
            if not (self.driver.keeps_records or self.queue.has_bookmarks):
                return  # it has none, as a rule
            hint = "see the state of the store in `gatepost status`"
            message = f"the stored bookmarks of this device cannot be read: {error}"
            raise LinkFailed(Reason.STORE, message, hint) from error

    def exchange(self, link: Link, at_once: bool = False) -> DeviceExchange:
        """For a command, or the conversation, which hears what comes from now on."""
        self.pipeline.catch_up()
        return DeviceExchange(link, self.writer, self.queue, self.health, self._clock, at_once, self.pipeline.chunk)

    async def _run_driver(self, io: DeviceExchange) -> None:
        """The driver's part beside the decoder. When it fails, or has all it wanted, the session ends."""
        try:
            await self.driver.run_session(io)
        except SessionOver as over:
            self._rest = over.pause
            self.liveness.end(StatusReason("asleep", str(over)))
        except Exception as error:
            self.liveness.end(reason_of(error))
        finally:
            self.health.doing = None
            if self.pipeline.conversation is io:
                self.pipeline.conversation = None  # the decoder has its straight way again

    async def _end_driver(self, task: asyncio.Task[None] | None) -> None:
        io, self.pipeline.conversation = self.pipeline.conversation, None
        if io is not None:
            io.abort()
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=self.limits.farewell)

    async def _close(self, link: Link) -> None:
        """Send the closing bytes where the device still listens, and close; bounded, and no error gets out."""
        opened, self.link = self.link is not None, None
        if self.pipeline.exchange is not None:
            self.pipeline.exchange.abort()
        try:
            if opened and not self.liveness.ended:
                async with asyncio.timeout(self.limits.farewell):
                    for data in self.driver.on_close_bytes():
                        await self.writer.write(link, data)
        except Exception as error:
            self.health.faults.add("farewell", str(error) or type(error).__name__)
        self.pipeline.end()
        self.queue.attach(None)
        try:
            await link.close(self.limits.close)
        except Exception as error:
            self.health.faults.add("close", str(error) or type(error).__name__)
            self._log.warning("%s: closing failed: %s", self.name, error)

    def _on_lost(self, error: Exception | None) -> None:
        measured = self.liveness.decoded_any and self.health.doing is None
        if measured and self.driver.transport == "ble" and not self.driver.streams:
            self.liveness.end(HUNG_UP)  # cuffs, scales and thermometers do after each measurement
        else:
            reason = LOST if error is None else reason_of(error)
            self.liveness.end(reason if reason.key in TOLD_LOSSES else reason._replace(key="lost"))

    def _on_waiting(self, key: str, message: str, hint: str) -> None:
        """The link waits for the device; a faulty one stays so until something is decoded."""
        if self.link is None and self.health.reason.key not in UNPROVEN:
            self.health.turn(DeviceState.OFFLINE, StatusReason(key, message, hint))

    @property
    def _tells_presence(self) -> bool:
        return bool(getattr(self._link, "tells_presence", False))

    def _on_presence(self, status: str, key: str, message: str) -> None:
        """The device came or went, and the link stays open."""
        self.health.turn(DeviceState(status), StatusReason(key, message))

    def _on_broken(self, error: Exception) -> None:
        message = f"the driver failed on data of the device: {fault_of(error)}"
        self.liveness.end(StatusReason("decoder-error", message, "report it to the maker of the driver"))

    async def stop(self, reason: StatusReason) -> None:
        """End everything, hand over what is held; within `limits.stop` and a moment."""
        self._stopped = True
        if self._timed is not None:
            self._timed.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _done, stuck = await asyncio.wait(tasks, timeout=self.limits.stop)
            if stuck:
                self._log.error("%s did not stop within %.1f s", self.name, self.limits.stop)
        self.pipeline.end()
        self.pipeline.flush()
        await self.queue.close()
        retire = getattr(self._link, "retire", None)
        if retire is not None and reason is REMOVED:
            retire()
        self.retry_at = None
        self.health.turn(DeviceState.STOPPED, reason)
