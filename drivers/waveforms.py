"""Samples of one or several channels, gathered into blocks of about a second; what is missing between them is marked.

A block never spans a gap. The next block after one has the flag `gap`, and where their number is known the value
`lost_samples`. Where a channel has no samples (a lead is off), a reading without a waveform says why, once for each
block of time: `<channel>:<why>`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading, Waveform

GAP = "gap"
LOST = "lost_samples"
MAX_SAMPLES = 16384  # samples of one channel that are held at most


class WaveformChannel(NamedTuple):
    """One curve: value = sample * scale + offset, in `unit` (UCUM)."""

    name: str
    unit: str = ""
    scale: float = 1.0
    offset: float = 0.0


class WaveformBlocks:
    """Rows of samples -> readings of `metric`, one for each channel and block; `values` has the name in `channel`.

    All channels have the same `rate_hz` and their blocks end together. Holds one block of each channel at most.
    """

    def __init__(self, metric: str, rate_hz: float, channels: Sequence[WaveformChannel], seconds: float = 1.0) -> None:
        self._size = min(MAX_SAMPLES, max(1, round(rate_hz * seconds)))
        self._lanes = [_Lane(metric, rate_hz, channel) for channel in channels]
        self._rows = 0

    def add(self, row: Sequence[int | str], device_time: str | None = None) -> list[Reading]:
        """One moment: for each channel its sample, or why it has none. `device_time` is the device's clock at this
        row; a block has that of its first row."""
        out: list[Reading] = []
        for lane, sample in zip(self._lanes, row, strict=True):
            if sample.__class__ is int:
                if not lane.samples:
                    lane.device_time = device_time
                lane.samples.append(sample)
            else:
                lane.miss(str(sample), device_time, out)
        self._rows += 1
        if self._rows >= self._size:
            out += self.cut()
        return out

    def note(self, remark: str, channel: int | None = None) -> None:
        """A flag of the block that the next row belongs to, of one channel (by position) or of all; its quality
        becomes `uncertain`."""
        for lane in self._lanes if channel is None else (self._lanes[channel],):
            if remark not in lane.remarks:
                lane.remarks.append(remark)

    def tell(self, name: str, value: int | float | str, unit: str) -> None:
        """A value of the blocks that the next row belongs to; the first one of a block stays."""
        for lane in self._lanes:
            lane.values.setdefault(name, value)
            lane.units.setdefault(name, unit)

    def gap(self, lost: int | None = None) -> list[Reading]:
        """Samples of every channel were lost: `lost` of each, None when their number is not known. What is held is
        given out; before the first sample there is nothing to be missed."""
        out = self.cut()
        for lane in self._lanes:
            lane.lose(lost)
        return out

    def cut(self) -> list[Reading]:
        """What is held, as blocks that end here; the next ones follow without a gap."""
        self._rows = 0
        out: list[Reading] = []
        for lane in self._lanes:
            lane.told = False
            lane.give(out)
        return out


class _Lane:
    """What is held of one channel, and what the next block must say."""

    def __init__(self, metric: str, rate_hz: float, channel: WaveformChannel) -> None:
        self.samples: list[int] = []
        self.remarks: list[str] = []
        self.values: dict[str, int | float | str] = {}
        self.units: dict[str, str] = {}
        self.device_time: str | None = None
        self.told = False  # that it has no samples, in this block of time
        self._metric = metric
        self._rate = rate_hz
        self._channel = channel
        self._began = False
        self._gap = False
        self._lost: int | None = 0

    def give(self, out: list[Reading]) -> None:
        """A block of what is held, where something is."""
        if not self.samples:
            return
        channel = self._channel
        values: dict[str, int | float | str] = {"channel": channel.name, **self.values}
        flags = self.remarks
        quality = UNCERTAIN if flags else GOOD
        if self._gap:
            flags = [GAP, *flags]
            if self._lost is not None:
                values[LOST] = self._lost
        wave = Waveform(self.samples, self._rate, channel.scale, channel.offset, channel.unit)
        out.append(Reading(self._metric, values, self.units, tuple(flags), quality, self.device_time, wave))
        self.samples = []
        self._forget()
        self._began, self._gap, self._lost = True, False, 0

    def miss(self, why: str, device_time: str | None, out: list[Reading]) -> None:
        """A moment without a sample."""
        self.give(out)
        self.lose(1)
        if not self.told:
            self.told = True
            name = self._channel.name
            out.append(Reading(self._metric, {"channel": name}, {}, (f"{name}:{why}",), BAD, device_time))

    def _forget(self) -> None:
        self.remarks, self.values, self.units = [], {}, {}

    def lose(self, lost: int | None) -> None:
        self._forget()
        if self._began:
            self._gap = True
            self._lost = None if lost is None or self._lost is None else self._lost + lost
