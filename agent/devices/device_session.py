"""The life of one device: open, greet, listen, keep alive, notice silence, reopen with backoff, say farewell, close."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from msgspec.structs import replace

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.clock import US, Clock
from gatepost.agent.devices import desired_state
from gatepost.agent.devices.desired_state import DesiredState
from gatepost.agent.devices.device_io import DeviceExchange, GuardedWriter
from gatepost.agent.devices.health import (
    HUNG_UP,
    LOST,
    DeviceCounters,
    DeviceHealth,
    DeviceState,
    StatusReason,
    fault_of,
    reason_of,
)
from gatepost.agent.devices.interfaces import Connect, DeviceLimits, ReadingStore
from gatepost.agent.devices.reading_pipeline import ReadingPipeline, mark_key
from gatepost.agent.devices.recorder import DeviceRecorder
from gatepost.agent.devices.series_cache import SeriesOf
from gatepost.agent.devices.store_queue import StoreQueue
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Driver, SessionOver
from gatepost.drivers.link import Link, LinkEvents, LinkFailed, Reason

# What changes without the link noticing.
SOFT: dict[str, Any] = {"patient": None, "every": None, "thresholds": {}, "brokers": None, "token": None}

# After these a link that opens says nothing yet: only what the device sends shows that it is back.
UNPROVEN = frozenset({"silent", "decoder-error", "wrong-device", "wrong-key"})


GARBLED = 2000  # octets of a session, none of them understood: it is another device, or its line is set wrongly


def hard(device: DeviceSettings) -> DeviceSettings:
    """The settings without those that a running device takes over as it is."""
    return replace(device, **SOFT)


class DeviceSession:
    """One configured device. `start`, `adjust` for soft changes, `stop`; everything it runs ends with it."""

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
    ) -> None:
        self.name = name
        self.device = device
        self.driver = driver
        self.limits = limits
        self.tally = DeviceCounters()
        self.desired = DesiredState()
        self.health = DeviceHealth(name, clock, log, lambda before: on_change(self, before))
        self.link: Link | None = None  # while it is open
        self.retry_at: float | None = None  # on the clock's monotonic seconds
        self.outlet = StoreQueue(name, store, self.tally, log)
        self.speaker = GuardedWriter(driver, limits.send)
        self._series = SeriesOf(name, store)
        self.intake = ReadingPipeline(name, clock, self._series, self.outlet, self.tally, self.health, log)
        ears = LinkEvents(self.intake.chunk, self._on_lost, self._on_waiting, self.health.tell)
        self._link = connect(device, driver, ears)
        self.tape = DeviceRecorder(clock.monotonic, self._on_tape)
        self._store = store
        self._clock = clock
        self._log = log
        self._backoff = Backoff(rng, 2 * limits.first_retry, limits.last_retry, limits.good)
        self._ended: asyncio.Future[StatusReason] | None = None
        self._rest = 0.0  # seconds that the conversation wants the device to be left alone
        self._ordering = asyncio.Lock()
        self._wake = asyncio.Event()
        self._opened_before = False
        self._before = (0, 0, 0)  # octets, readings and faults of the decoder when the session began
        self._tasks: set[asyncio.Task[None]] = set()
        self._timed: asyncio.TimerHandle | None = None
        self._stopped = False

    # -- settings and what commands ordered

    async def start(self) -> None:
        self._series.assign(self.device.patient)
        self.intake.watch(self.device.thresholds)
        try:
            desired = desired_state.load(await self._store.key_value.get(desired_state.state_key(self.name)))
        except Exception as error:  # the device runs by its settings all the same
            self.health.faults.add("state-unreadable", type(error).__name__)
            self._log.error("%s: what commands ordered of it earlier could not be read: %s", self.name, error)
            desired = DesiredState()
        self._hold(desired)
        self._spawn(self._supervised(), self.name)

    def adjust(self, device: DeviceSettings) -> None:
        """Take over soft changes; readings that are held belong to the patient, pace and thresholds before."""
        before, self.device = self.device, device
        if before.patient != device.patient:
            self.intake.flush()
            self._series.assign(device.patient)
        if before.thresholds != device.thresholds:
            self.intake.flush()
            self.intake.watch(device.thresholds)
        if before.thresholds != device.thresholds or before.every != device.every:
            self._hold(self.desired)

    async def order(self, change: Callable[[DesiredState], DesiredState]) -> None:
        """Keep what a command wants, and then do it; one at a time. The store's errors pass through."""
        async with self._ordering:
            desired = change(self.desired)
            await self._store.key_value.put(desired_state.state_key(self.name), desired_state.dump(desired))
            if not self._stopped:
                self._hold(desired)

    @property
    def every(self) -> float:
        """The pace in force: ordered, set, or the driver's; seconds, 0 = every reading."""
        for pace in (self.desired.pace, self.device.every):
            if pace is not None:
                return pace
        return self.driver.default_interval

    def _hold(self, desired: DesiredState) -> None:
        now = self._clock.now()
        self.desired = desired.under(self.device.every, now, self._clock.boot_id)
        self.intake.report_every(self.every, self.driver.aggregation, self.desired.reporting)
        if self._timed is not None:
            self._timed.cancel()
            self._timed = None
        if self.desired.timed is not None:
            left = self.desired.timed.remaining(now, self._clock.boot_id)
            self._timed = asyncio.get_running_loop().call_later(left, self._time_is_over)

    def _time_is_over(self) -> None:
        # Nothing to keep: what is over is seen to be over when it is loaded again.
        self._timed = None
        self._log.info("%s: monitoring for a time is over", self.name)
        self._hold(self.desired.without_time())

    def _on_tape(self, used: bool) -> None:
        self.intake.tap = self.tape.heard if used else None
        self.speaker.on_said = self.tape.said if used else None

    def counters(self) -> dict[str, int]:
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
            self.tape.note(f"closed: {reason.message}")
            self.health.fail(reason)
            pause = max(self._backoff.next(), self._rest)
            self.retry_at = self._clock.monotonic() + pause
            await asyncio.sleep(pause)
            self.retry_at = None

    async def _session(self) -> StatusReason:
        """One opening of the link; why it ended. Raises what the link or the driver raised."""
        link, driver, limits = self._link, self.driver, self.limits
        ended: asyncio.Future[StatusReason] = asyncio.get_running_loop().create_future()
        self._ended = ended
        self._wake.clear()
        opened = conversation = None
        self._rest = 0.0
        await self._load_bookmarks()
        try:
            self.intake.begin(driver.decoder(), self._on_broken)
            self.intake.on_news = self._on_news
            self._before = (self.tally.bytes, self.tally.decoded, self._decoder_faults)
            await link.open(limits.open)
            opened = self._clock.monotonic()
            self.link = link
            self.tape.note("opened")
            self.outlet.attach(link)
            self.tally.reconnects += self._opened_before
            self._opened_before = True
            for words in driver.on_open_bytes():
                await self.speaker.say(link, words)
            if self.health.reason.key not in UNPROVEN and not ended.done():
                self.health.turn(DeviceState.ONLINE)
            talk = self.intake.talk = self.exchange(link)
            conversation = asyncio.get_running_loop().create_task(self._converse(talk), name=f"talk {self.name}")
            return await self._stay(link, ended)
        finally:
            await self._hang_up(conversation)
            if opened is not None:
                self._backoff.held(self._clock.monotonic() - opened)
            await self._leave(link, ended)

    async def _load_bookmarks(self) -> None:
        """Give the driver the marks that are stored. What is not yet on disk is waited for: a mark from before it would
        have the device's records taken twice."""
        try:
            async with asyncio.timeout(self.limits.settle):
                await self.outlet.marked()
            self.driver.bookmarks = await self._store.key_value.with_prefix(mark_key(self.name))
        except Exception as error:
            if not (self.driver.keeps_records or self.outlet.has_marked):
                return  # it has none, as a rule
            hint = "see the state of the store in `gatepost status`"
            message = f"the stored bookmarks of this device cannot be read: {error}"
            raise LinkFailed(Reason.STORE, message, hint) from error

    def exchange(self, link: Link, at_once: bool = False) -> DeviceExchange:
        """For a command, or the conversation."""
        return DeviceExchange(link, self.speaker, self.outlet, self.health, self._clock, at_once, self.intake.chunk)

    async def _converse(self, talk: DeviceExchange) -> None:
        """The driver's part beside the decoder. When it fails, or has all it wanted, the session ends."""
        try:
            await self.driver.run_session(talk)
        except SessionOver as over:
            self._rest = over.pause
            self._end(StatusReason("asleep", str(over)))
        except Exception as error:
            self._end(reason_of(error))
        finally:
            self.health.doing = None
            if self.intake.talk is talk:
                self.intake.talk = None  # the decoder has its straight way again

    async def _hang_up(self, conversation: asyncio.Task[None] | None) -> None:
        talk, self.intake.talk = self.intake.talk, None
        if talk is not None:
            talk.abort()
        if conversation is not None and not conversation.done():
            conversation.cancel()
            await asyncio.wait((conversation,), timeout=self.limits.farewell)

    async def _stay(self, link: Link, ended: asyncio.Future[StatusReason]) -> StatusReason:
        """Until the session ends. Sleeps through: only a keep-alive and a watchdog that the device has wake it."""
        keep = self.driver.keep_alive
        next_keep = None if keep is None else self._clock.monotonic() + keep.interval
        silence: float | None = None
        while not ended.done():
            if silence != self._silence:
                silence = self._silence
                self.intake.heard = self._clock.now().mono  # the time begins when it is asked for
            waits = []
            if next_keep is not None:
                waits.append(next_keep - self._clock.monotonic())
            if silence:
                waits.append(silence - self._quiet_for())
            await self._sleep(max(0.0, min(waits)) if waits else None)
            if ended.done():
                break
            if keep is not None and next_keep is not None and self._clock.monotonic() >= next_keep:
                await self.speaker.say(link, keep.data)
                next_keep = max(next_keep + keep.interval, self._clock.monotonic())
            if silence and silence == self._silence and self._quiet_for() >= silence:
                hint = "is it switched on, and are its line settings right?"
                return StatusReason("silent", f"nothing came for {silence:g} s", hint)
        return ended.result()

    async def _sleep(self, seconds: float | None) -> None:
        """Until the session ends, a nudge comes, or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def nudge(self) -> None:
        """A command may have changed what the driver wants: whether it is silent, for one."""
        self._wake.set()

    @property
    def _silence(self) -> float | None:
        """Seconds without a byte that end a session; None or 0 = any. A driver that took its own away is obeyed."""
        if self.device.silence is None or self.hushed:
            return self.driver.silence
        return self.device.silence

    @property
    def hushed(self) -> bool:
        """Whether the driver knows that its device is silent now, as a command made it."""
        return self.driver.silence is None and type(self.driver).silence is not None

    def _quiet_for(self) -> float:
        """Seconds since the device said something; one that is kept waiting is not silent."""
        now = self._clock.now().mono
        if self.outlet.paused:
            self.intake.heard = now
        return (now - self.intake.heard) / US

    async def _leave(self, link: Link, ended: asyncio.Future[StatusReason]) -> None:
        """Farewell where there is somebody to hear it, and close; bounded, and no error gets out."""
        opened, self.link = self.link is not None, None
        if self.intake.exchange is not None:
            self.intake.exchange.abort()
        try:
            if opened and not ended.done():
                async with asyncio.timeout(self.limits.farewell):
                    for words in self.driver.on_close_bytes():
                        await self.speaker.say(link, words)
        except Exception as error:
            self.health.faults.add("farewell", str(error) or type(error).__name__)
        self.intake.end()
        self.outlet.attach(None)
        try:
            await link.close(self.limits.close)
        except Exception as error:
            self.health.faults.add("close", str(error) or type(error).__name__)
            self._log.warning("%s: closing failed: %s", self.name, error)

    def _end(self, reason: StatusReason) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)
            self._wake.set()

    def _on_lost(self, error: Exception | None) -> None:
        told = self.tally.decoded > self._before[1] and self.health.doing is None
        if told and self.driver.transport == "ble" and not self.driver.streams:
            self._end(HUNG_UP)  # cuffs, scales and thermometers do after each measurement
        else:
            self._end(LOST if error is None else reason_of(error)._replace(key="lost"))

    def _on_waiting(self, key: str, message: str, hint: str) -> None:
        """The link waits for the device; one that was found wanting stays so until something is decoded."""
        if self.link is None and self.health.reason.key not in UNPROVEN:
            self.health.turn(DeviceState.OFFLINE, StatusReason(key, message, hint))

    def _on_broken(self, error: Exception) -> None:
        message = f"the driver failed on what the device sent: {fault_of(error)}"
        self._end(StatusReason("decoder-error", message, "tell the maker of the driver"))

    def _on_news(self, decoded: bool) -> None:
        """The first bytes and the first thing decoded of a session show that the device is really there."""
        if decoded:
            self.intake.on_news = None
            self._backoff.reset()
        if self.link is not None and not self.health.online and (decoded or self.health.reason.key == "silent"):
            self.health.turn(DeviceState.ONLINE)
        elif not decoded and self.health.online and self.driver.transport == "serial":
            self._doubt()

    def _doubt(self) -> None:
        """A device that speaks, and in a session was never understood, is not online for anybody."""
        came = self.tally.bytes - self._before[0]
        if came >= GARBLED and self._decoder_faults > self._before[2]:
            what = f"{came} octets came, and none of it is what {self.driver.name} reads; {self.intake.last_fault}"
            hint = "another device or other line settings? `gatepost scan serial` says what speaks at the port"
            self.health.fail(StatusReason("not-understood", what, hint))

    @property
    def _decoder_faults(self) -> int:
        return sum(self.intake.faults.values())

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
        self.intake.end()
        self.intake.flush()
        await self.outlet.close()
        self.retry_at = None
        self.health.turn(DeviceState.STOPPED, reason)
