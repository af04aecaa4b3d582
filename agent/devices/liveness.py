"""Liveness of a device during one session: keep-alive, silence, and bytes that its driver does not understand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.clock import US, Clock
from gatepost.agent.devices.device_io import GuardedWriter
from gatepost.agent.devices.health import DeviceCounters, DeviceHealth, DeviceState, StatusReason
from gatepost.agent.devices.reading_pipeline import ReadingPipeline
from gatepost.agent.devices.store_queue import StoreQueue
from gatepost.drivers.driver import Driver
from gatepost.drivers.link import Link

# After these a link that opens proves nothing yet: only what the device sends shows that it is back.
UNPROVEN = frozenset({"silent", "decoder-error", "wrong-device", "wrong-key"})

GARBAGE_LIMIT = 2000  # octets of a session, none of them understood: another device, or wrong line settings


class DeviceLiveness:
    """Liveness of one device. `begin` a session, `wait` until it ends; `end` says why it does. `silence` is the one
    that the settings ask for, in seconds; `is_open` says whether the link is."""

    def __init__(
        self,
        driver: Driver,
        silence: float | None,
        pipeline: ReadingPipeline,
        queue: StoreQueue,
        writer: GuardedWriter,
        health: DeviceHealth,
        counters: DeviceCounters,
        backoff: Backoff,
        clock: Clock,
        is_open: Callable[[], bool],
    ) -> None:
        self._driver = driver
        self._wanted_silence = silence
        self._pipeline = pipeline
        self._queue = queue
        self._writer = writer
        self._health = health
        self._counters = counters
        self._backoff = backoff
        self._clock = clock
        self._is_open = is_open
        self._wake = asyncio.Event()
        self._ended: asyncio.Future[StatusReason] | None = None
        self._before = (0, 0, 0)  # octets, readings and faults of the decoder when the session began

    def begin(self) -> None:
        """A session begins, with a fresh decoder in the pipeline."""
        self._ended = asyncio.get_running_loop().create_future()
        self._wake.clear()
        self._pipeline.on_chunk = self._on_chunk
        self._before = (self._counters.bytes, self._counters.decoded, self._decoder_faults)

    def end(self, reason: StatusReason) -> None:
        """End the session, unless it has ended; the first reason counts."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)
            self._wake.set()

    def wake(self) -> None:
        """A command may have changed what the driver wants: whether its device is silent, for one."""
        self._wake.set()

    @property
    def ended(self) -> bool:
        return self._ended is None or self._ended.done()

    @property
    def decoded_any(self) -> bool:
        """Whether the device has delivered a reading in this session."""
        return self._counters.decoded > self._before[1]

    @property
    def silenced_by_command(self) -> bool:
        """Whether the driver knows that its device is silent now, as a command made it."""
        return self._driver.silence is None and type(self._driver).silence is not None

    async def wait(self, link: Link) -> StatusReason:
        """Return why the session ended. Sleeps through: only keep-alive and silence, where a device has them, wake."""
        assert self._ended is not None
        ended, keep, clock = self._ended, self._driver.keep_alive, self._clock
        next_keep = None if keep is None else clock.monotonic() + keep.interval
        silence: float | None = None
        while not ended.done():
            if silence != self._silence:
                silence = self._silence
                self._pipeline.last_byte = clock.now().mono  # the time begins when it is asked for
            waits = []
            if next_keep is not None:
                waits.append(next_keep - clock.monotonic())
            if silence:
                waits.append(silence - self._quiet_for())
            await self._sleep(max(0.0, min(waits)) if waits else None)
            if ended.done():
                break
            if keep is not None and next_keep is not None and clock.monotonic() >= next_keep:
                await self._writer.write(link, keep.data)
                next_keep = max(next_keep + keep.interval, clock.monotonic())
            if silence and silence == self._silence and self._quiet_for() >= silence:
                hint = "is it switched on, and are its line settings right?"
                return StatusReason("silent", f"no data for {silence:g} s", hint)
        return ended.result()

    async def _sleep(self, seconds: float | None) -> None:
        """Return when the session ends, `wake` is called, or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    @property
    def _silence(self) -> float | None:
        """Seconds without a byte that end a session; None or 0 = any. A driver that took its own away is obeyed."""
        if self._wanted_silence is None or self.silenced_by_command:
            return self._driver.silence
        return self._wanted_silence

    def _quiet_for(self) -> float:
        """Seconds since the last byte; a device that is kept waiting is not silent."""
        now = self._clock.now().mono
        if self._queue.paused:
            self._pipeline.last_byte = now
        return (now - self._pipeline.last_byte) / US

    def _on_chunk(self, decoded: bool) -> None:
        """The first bytes and the first thing decoded of a session show that the device is really there."""
        if decoded:
            self._pipeline.on_chunk = None
            self._backoff.reset()
        if self._is_open() and not self._health.online and (decoded or self._health.reason.key == "silent"):
            self._health.turn(DeviceState.ONLINE)
        elif not decoded and self._health.online and self._driver.transport == "serial":
            self._check_garbage()

    def _check_garbage(self) -> None:
        """A device whose bytes were never understood in this session is not online."""
        received = self._counters.bytes - self._before[0]
        if received >= GARBAGE_LIMIT and self._decoder_faults > self._before[2]:
            last = self._pipeline.last_fault
            message = f"{received} bytes received, none of them a message that {self._driver.name} reads; {last}"
            hint = "another device or other line settings? `gatepost scan serial` says what speaks at the port"
            self._health.fail(StatusReason("not-understood", message, hint))

    @property
    def _decoder_faults(self) -> int:
        return sum(self._pipeline.faults.values())
