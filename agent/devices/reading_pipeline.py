"""Reading pipeline, the hot path of one device: decoder -> pace and thresholds -> body -> store, a chunk at a time.

The time of a reading is taken once for its chunk. Nothing raises out of `chunk`: what goes wrong is counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gatepost.agent.core.clock import Clock, Stamp
from gatepost.agent.devices.deferred_chunks import LARGE, SHORT, DeferredChunks
from gatepost.agent.devices.device_io import DeviceExchange
from gatepost.agent.devices.encoding import encode
from gatepost.agent.devices.health import DeviceCounters, DeviceHealth, fault_of
from gatepost.agent.devices.interfaces import Chunk
from gatepost.agent.devices.report_schedule import ReportSchedule, pace
from gatepost.agent.devices.series_cache import SeriesCache
from gatepost.agent.devices.store_queue import StoreQueue
from gatepost.agent.devices.thresholds import ThresholdWatch
from gatepost.agent.devices.traffic_stats import TrafficStats
from gatepost.agent.settings.model import ThresholdSettings
from gatepost.drivers.driver import Decoder
from gatepost.drivers.reading import FROM_MEMORY, UNREAL, Faults, Reading, Reply

GRACE = 0.1  # seconds that a due report may wait for a reading to carry it, at most a quarter of the pace
STATUS_FIELDS = ("battery", "signal_strength", "firmware")  # of a reply or a reading: parts of the device's status


def mark_key(device: str, name: str = "") -> str:
    """Where the store keeps a device's bookmark of this name; without a name, the beginning of all of them."""
    return f"mark:{device}:{name}"


class RequestedReading(NamedTuple):
    """A reading that a command waited for, and the sequence number it was stored under."""

    reading: Reading
    seq: int


class ReadingPipeline:
    """Pipeline of one device. `on_chunk(decoded)` hears of each chunk until it is None; `on_broken` of a decoder
    that raised, which gets no more bytes."""

    __slots__ = (
        "_armed", "_asks", "_behind", "_counters", "_decoder_faults", "_deferred", "_device", "_feed", "_grace",
        "_health", "_log", "_monitoring", "_now", "_on_broken", "_pace", "_past_faults", "_place", "_put",
        "_put_all", "_stamp", "_thresholds", "_timer", "_untaken", "conversation", "exchange", "last_byte",
        "on_chunk", "tap", "traffic",
    )  # fmt: skip

    def __init__(
        self,
        device: str,
        clock: Clock,
        series: SeriesCache,
        queue: StoreQueue,
        counters: DeviceCounters,
        health: DeviceHealth,
        log: logging.Logger,
        deferred: DeferredChunks | None = None,
    ) -> None:
        """`deferred`: where chunks may wait, of a device whose readings nobody waits for."""
        self._device = device
        self._deferred = deferred
        self._behind = False  # chunks of this device wait there
        self._now = clock.now
        self._place = series.place
        self._put = queue.put
        self._put_all = queue.put_all
        self._counters = counters
        self._health = health
        self._log = log
        self._feed: Callable[[Chunk], list[Reading | Reply]] | None = None
        self._on_broken: Callable[[Exception], None] = lambda error: None
        self._stamp = clock.now()
        self._thresholds = ThresholdWatch({})
        self._pace: ReportSchedule = pace(0.0, "last", self._thresholds, self._report)
        self._monitoring = True
        self._asks: list[asyncio.Future[RequestedReading]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed: int | None = None
        self._grace = 0
        self._untaken = False  # something of the last chunk could not be handed over
        self._decoder_faults = Faults()
        self._past_faults: dict[str, int] = {}
        self.exchange: DeviceExchange | None = None  # of the command that is being carried out
        self.conversation: DeviceExchange | None = None  # of the driver's conversation
        self.tap: Callable[[Any], None] | None = None  # hears every chunk, for a recording
        self.on_chunk: Callable[[bool], None] | None = None
        self.traffic = TrafficStats()
        self.last_byte = self._stamp.mono  # when bytes came last, microseconds of the stamp's monotonic clock

    # -- settings

    def watch(self, limits: Mapping[str, ThresholdSettings]) -> None:
        """New thresholds; takes effect with the next `report_every`."""
        self._thresholds = ThresholdWatch(limits)

    def report_every(self, every: float, how: str, monitoring: bool) -> None:
        """The pace from now on; what the old one held is reported first."""
        self.flush()
        self._pace = pace(every, how, self._thresholds, self._report)
        self._monitoring = monitoring
        self._grace = round(min(GRACE, every / 4) * 1_000_000)

    # -- a session

    def begin(self, decoder: Decoder, on_broken: Callable[[Exception], None]) -> None:
        """A fresh decoder for a fresh link."""
        for kind, count in self._decoder_faults:
            self._past_faults[kind] = self._past_faults.get(kind, 0) + count
        last = self._decoder_faults.last
        self._decoder_faults = decoder.faults
        if last and not self._decoder_faults.last:
            self._decoder_faults.last = last
        self._feed = decoder.feed
        self._on_broken = on_broken
        self.last_byte = self._now().mono
        self.traffic.begin(self.last_byte)

    def end(self) -> None:
        """The link is gone: bytes that still arrive are not listened to."""
        self.catch_up()
        self._feed = None
        self.on_chunk = None

    @property
    def faults(self) -> dict[str, int]:
        """What the decoders counted, of all sessions."""
        counts = dict(self._past_faults)
        for kind, count in self._decoder_faults:
            counts[kind] = counts.get(kind, 0) + count
        return counts

    @property
    def last_fault(self) -> str:
        return self._decoder_faults.last

    # -- the hot path

    def chunk(self, data: Chunk) -> bool:
        """What the device said; False: no decoder is there to take it. A chunk with a `refusal` gets one where what was
        decoded could not be handed to the store."""
        if self._feed is None:
            return False
        stamp = self._now()
        self.last_byte = stamp.mono
        if self.traffic.heard(stamp.mono):
            self.traffic.count(stamp.mono, sum(self.faults.values()))
        self._counters.bytes += len(data)
        if self.tap is not None:
            self.tap(data)
        deferred = self._deferred
        if (
            deferred is not None
            and deferred.commits.interval > SHORT
            and len(data) < LARGE
            and self._nobody_waits()
            and deferred.keep(self._decode, data, stamp)
        ):
            self._behind = True
            return True
        if self._behind:
            self.catch_up()
        self._decode(data, stamp)
        return True

    def _nobody_waits(self) -> bool:
        """Whether what is decoded goes to the store and to nobody else, and none of it can be urgent."""
        return (
            self._monitoring
            and self._pace.plain
            and self.exchange is None
            and self.conversation is None
            and self.on_chunk is None
            and not (self._asks or self._thresholds)
        )

    def _decode(self, data: Chunk, stamp: Stamp) -> None:
        self._behind = False
        feed = self._feed
        if feed is None:
            return
        self._stamp = stamp
        try:
            items = feed(data)
        except Exception as error:
            self._feed = None
            self._on_broken(error)
            return
        if self.on_chunk is not None:
            self.on_chunk(bool(items))
        if items:
            self._untaken = False
            self.traffic.spoke(stamp.mono)
            if not self._monitoring or self._asks or self.exchange is not None or self.conversation is not None:
                self._with_commands(items, stamp)
            elif self._pace.plain:
                self._plainly(items)
            else:
                self._at_pace(items, stamp.mono)
            if self._untaken and not getattr(data, "refusal", "-"):
                data.refusal = "malformed"

    def catch_up(self) -> None:
        """Decode what has come and waits: before somebody listens to what comes from now on, or the session ends."""
        if self._behind and self._deferred is not None:
            self._deferred.decode()

    def _plainly(self, items: list[Reading | Reply]) -> None:
        """Every reading as it is: the common case in the fewest steps."""
        rows: list[tuple[int, bytes]] = []
        count = series = 0
        units: object = None  # of the reading before: those of a chunk mostly share their series
        flags = quality = metric = units
        for item in items:
            if not isinstance(item, Reading):
                self._other(item)
                continue
            count += 1
            if item.urgent or item.bookmark is not None:
                self._report_all(rows)
                rows = []
                self._report(item, False)
                continue
            try:
                reading, body = encode(item)
                if (
                    reading.units is not units
                    or reading.flags is not flags
                    or reading.quality is not quality
                    or reading.metric is not metric
                ):
                    series, placed = self._place(reading, body)
                    units = reading.units if placed is body else None
                    flags, quality, metric, body = reading.flags, reading.quality, reading.metric, placed
                rows.append((series, body))
            except Exception as error:
                self._wrong("not-serialisable", error)
        self._counters.decoded += count
        self._report_all(rows)

    def _report_all(self, rows: list[tuple[int, bytes]]) -> None:
        if rows:
            try:
                self._put_all(self._stamp, rows)
            except Exception as error:
                self._wrong("not-stored", error)

    def _at_pace(self, items: list[Reading | Reply], now: int) -> None:
        take = self._pace.take
        count = 0
        for item in items:
            if isinstance(item, Reading):
                count += 1
                try:
                    if item.bookmark is None:
                        take(item, now)
                    else:
                        self._record(item)
                except Exception as error:
                    self._wrong("not-a-reading", error)
            else:
                self._other(item)
        self._counters.decoded += count
        self._arm()

    def _with_commands(self, items: list[Reading | Reply], stamp: Stamp) -> None:
        """While a command or a conversation listens, or readings are not to be reported."""
        for item in items:
            seq = 0
            if isinstance(item, Reading):
                self._counters.decoded += 1
                try:
                    seq = self._take(item, stamp.mono) if item.bookmark is None else self._record(item)
                except Exception as error:
                    self._wrong("not-a-reading", error)
            else:
                self._other(item)
            for listener in (self.exchange, self.conversation):
                if listener is not None:
                    listener.heard(item, seq)
        self._arm()

    def _take(self, reading: Reading, now: int) -> int:
        at_once = bool(self._asks) or (self.exchange is not None and self.exchange.at_once)
        asked = at_once and reading.waveform is None
        if not (asked or self._monitoring):
            self._counters.unreported += 1
            return 0
        seq = self._pace.take(reading, now, asked)
        if asked and seq:
            self._answer(reading, seq)
        return seq

    def _record(self, reading: Reading) -> int:
        """A record that the device keeps: every one counts, whatever the pace. One that it took just now is a reading
        that somebody may have asked for."""
        seq = self._report(reading, self._thresholds.judge(reading.metric, reading.values).outside)
        if seq and FROM_MEMORY not in reading.flags:
            self._answer(reading, seq)
        return seq

    def _answer(self, reading: Reading, seq: int) -> None:
        asks, self._asks = self._asks, []
        for ask in asks:
            if not ask.done():
                ask.set_result(RequestedReading(reading, seq))

    def _report(self, reading: Reading, urgent: bool) -> int:
        mark = reading.bookmark
        try:
            urgent = (urgent or reading.urgent) and UNREAL.isdisjoint(reading.flags)
            reading, body = encode(reading)
            series, body = self._place(reading, body)
        except Exception as error:
            self._wrong("not-serialisable", error)
            return 0
        try:
            if mark is None:
                return self._put(series, self._stamp, body, urgent)
            return self._put(series, self._stamp, body, urgent, (mark_key(self._device, mark[0]), mark[1]))
        except Exception as error:
            self._wrong("not-stored", error)
            return 0

    def _other(self, item: object) -> None:
        if isinstance(item, Reply):
            status = {name: item.fields[name] for name in STATUS_FIELDS if name in item.fields}
            if status:
                self._health.update_status(status)
        else:
            self._wrong("not-a-reading", TypeError(f"a decoder gave {type(item).__name__}"))

    def _wrong(self, kind: str, error: Exception) -> None:
        self._untaken = True
        self._health.faults.add(kind, fault_of(error))
        if self._health.faults.counts[kind] == 1:
            self._log.error("%s: a reading was not taken (%s): %s", self._device, kind, fault_of(error))

    # -- held readings

    def _arm(self) -> None:
        """A timer for what is held, and for nothing else."""
        due = self._pace.due()
        if due == self._armed:
            return
        self._disarm()
        if due is not None:
            self._armed = due
            delay = (due + self._grace - self._now().mono) / 1_000_000
            self._timer = asyncio.get_running_loop().call_later(max(0.0, delay), self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._armed = None

    def _on_timer(self) -> None:
        self._timer = self._armed = None
        self._stamp = self._now()
        self._pace.flush(self._stamp.mono)
        self._arm()

    def flush(self) -> None:
        """Report everything that is held, now."""
        self.catch_up()
        self._disarm()
        self._stamp = self._now()
        self._pace.flush()

    # -- commands

    def ask(self) -> asyncio.Future[RequestedReading]:
        """The next reading, no waveform: reported as it is and at once, whatever the pace, monitoring or not."""
        self.catch_up()
        ask: asyncio.Future[RequestedReading] = asyncio.get_running_loop().create_future()
        self._asks.append(ask)
        return ask

    def forget(self, ask: asyncio.Future[RequestedReading]) -> None:
        if ask in self._asks:
            self._asks.remove(ask)
