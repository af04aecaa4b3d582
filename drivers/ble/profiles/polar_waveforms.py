"""Frames of a Polar sensor -> blocks of about a second, with gaps and the real rate found from the sensor's own times.

A frame has the time of its last sample. When more time has gone by since the frame before than its samples take, some
were lost. The rate of a sensor differs from its name by up to some per cent: it is measured over the last frames.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from gatepost.drivers.ble.gatt.pmd_data import PmdFrame
from gatepost.drivers.reading import Reading
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001  # the sensor's wall time
NS_PER_SECOND = 1_000_000_000  # ns
RATE_FRAMES = 60  # frames over which the rate is measured
RATE_TOLERANCE = 0.05  # a measured rate further than this from its name is none
JITTER = 0.3  # of a frame: time beyond the samples that is no jitter any more
LONGEST_GAP = 86400 * NS_PER_SECOND  # a longer pause has no number of lost samples


class PolarWaves:
    """Waveform blocks of one measurement type. `feed` -> readings, one for each channel and block; `cut` ends the
    blocks that are held."""

    def __init__(self, metric: str, channels: tuple[str, ...], unit: str, rate_hz: float, scale: float = 1.0) -> None:
        self._nominal = self._rate = float(rate_hz)
        self._blocks = WaveformBlocks(metric, rate_hz, [WaveformChannel(name, unit, scale) for name in channels])
        self._frames: deque[tuple[int, int]] = deque(maxlen=RATE_FRAMES)  # time, samples up to then
        self._count = 0
        self._last: int | None = None
        self._fresh = True  # the next row begins a block

    def feed(self, frame: PmdFrame) -> list[Reading]:
        if not frame.samples:
            return []
        count, time = len(frame.samples), frame.timestamp_ns
        out = self._gap_before(time, count)
        self._count += count
        self._frames.append((time, self._count))
        self._last = time
        self._measure()
        step = NS_PER_SECOND / self._rate
        for index, row in enumerate(frame.samples):
            began = _iso(time - round((count - 1 - index) * step)) if self._fresh else None
            blocks = self._blocks.add(row, began)
            self._fresh = bool(blocks)
            out += self._real(blocks)
        return out

    def cut(self) -> list[Reading]:
        self._fresh = True
        return self._real(self._blocks.cut())

    def _gap_before(self, time: int, count: int) -> list[Reading]:
        if self._last is None:
            return []
        passed = time - self._last
        beyond = passed * self._rate / NS_PER_SECOND - count
        if passed > 0 and beyond <= max(2.0, JITTER * count):
            return []
        self._frames.clear()
        self._fresh = True
        known = 0 < passed <= LONGEST_GAP
        return self._real(self._blocks.gap(round(beyond) if known else None))

    def _measure(self) -> None:
        (first, before), (last, after) = self._frames[0], self._frames[-1]
        if last > first:
            rate = (after - before) * NS_PER_SECOND / (last - first)
            if abs(rate - self._nominal) <= RATE_TOLERANCE * self._nominal:
                self._rate = rate

    def _real(self, blocks: list[Reading]) -> list[Reading]:
        for block in blocks:
            if block.waveform is not None:
                block.waveform.rate_hz = round(self._rate, 3)
        return blocks


def _iso(nanoseconds: int) -> str | None:
    try:
        return (EPOCH + timedelta(microseconds=nanoseconds // 1000)).isoformat(timespec="milliseconds")
    except OverflowError:
        return None
