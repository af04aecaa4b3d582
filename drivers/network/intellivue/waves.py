"""Waveforms of an IntelliVue monitor: blocks of a poll -> readings of about a second, gaps marked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gatepost.drivers.ble.gatt.medfloat import MissingNumber
from gatepost.drivers.network.intellivue import attributes as wave
from gatepost.drivers.network.intellivue.codes import DOUBTS, INVALID, UNAVAILABLE, curve_of, unit_of, unreal_flags
from gatepost.drivers.network.intellivue.messages import Attributes, PollResult
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Faults, Reading, Waveform
from gatepost.drivers.waveforms import GAP, LOST

MAX_WAVES = 48
BLOCK = 1.0  # seconds


class WaveForm(NamedTuple):
    """How an object's samples are to be read."""

    bits: int
    mask: int
    rate: float
    scale: float
    offset: float
    unit: str


class WaveGatherer:
    """`add` takes each poll of waveforms. Samples whose scale is not known yet are dropped; `unscaled` is set then."""

    def __init__(self, faults: Faults) -> None:
        self.unscaled = False
        self._faults = faults
        self._forms: dict[tuple[int, int], WaveForm] = {}
        self._streams: dict[tuple[int, int, int], _WaveStream] = {}
        self._last: tuple[int, int] | None = None  # poll number and sequence

    def add(self, poll: PollResult) -> list[Reading]:
        lost = self._lost(poll)
        if lost is None:
            return []
        out: list[Reading] = []
        for item in poll.objects:
            self._learn((item.context, item.handle), item.attributes)
        for item in poll.objects:
            form = self._forms.get((item.context, item.handle))
            for block in wave.sample_blocks(item.attributes):
                if form is None:
                    self.unscaled = True
                    continue
                key = (item.context, item.handle, block.physio_id)
                if key not in self._streams and len(self._streams) >= MAX_WAVES:
                    continue
                stream = self._streams.setdefault(key, _WaveStream(block.physio_id))
                out += stream.add(block, form, lost)
        return out

    def _lost(self, poll: PollResult) -> int | None:
        """Polls lost before this one; None for one that came too late."""
        sequence = poll.sequence or 0
        last, self._last = self._last, (poll.number, sequence)
        if last is None or last[0] != poll.number:
            return 0
        step = (sequence - last[1]) & 0xFFFF
        if step >= 0x8000:
            self._last = last
            self._faults.add("out-of-order", "samples that came after later ones were dropped")
            return None
        if step > 1:
            self._faults.add("lost-polls", "results of a poll were lost", step - 1)
        return max(0, step - 1)

    def _learn(self, key: tuple[int, int], told: Attributes) -> None:
        array, scale, period = wave.array_spec(told), wave.scale_spec(told), wave.period_ms(told)
        if array is None or scale is None or not period:
            return
        span = scale.upper_scaled - scale.lower_scaled
        if isinstance(scale.lower, MissingNumber) or isinstance(scale.upper, MissingNumber) or not span:
            return
        if array.sample_bits not in (8, 16) or not 0 < array.significant_bits <= array.sample_bits:
            return
        if key not in self._forms and len(self._forms) >= MAX_WAVES:
            return
        factor = float((scale.upper - scale.lower) / span)
        unit = unit_of(wave.number_of(told, wave.UNIT, 2) or 0)
        offset = float(scale.lower) - scale.lower_scaled * factor
        mask = (1 << array.significant_bits) - 1
        self._forms[key] = WaveForm(array.sample_bits, mask, 1000 / period, factor, offset, unit)


class _WaveStream:
    """Samples of one curve that are no whole block yet."""

    def __init__(self, physio_id: int) -> None:
        self._metric, self._channel, self._flags = curve_of(physio_id)
        self._samples: list[int] = []
        self._form: WaveForm | None = None
        self._unreal: tuple[str, ...] = ()
        self._doubts: tuple[str, ...] = ()
        self._missing: int | None = None  # samples that were lost before those that are held
        self._told = False  # that it has none

    def add(self, block: wave.SampleBlock, form: WaveForm, lost_polls: int) -> list[Reading]:
        out: list[Reading] = []
        samples = _numbers(block.data, form)
        unreal = unreal_flags(block.state)
        doubts = tuple(f"{self._channel}:{why}" for bit, why in DOUBTS if block.state & bit)
        if lost_polls or (self._form, self._unreal, self._doubts) != (form, unreal, doubts):
            out += self._give()
        if lost_polls and self._form is not None:
            self._missing = (self._missing or 0) + lost_polls * len(samples)
        self._form, self._unreal, self._doubts = form, unreal, doubts
        if block.state & (INVALID | UNAVAILABLE) or not samples:
            out += self._give()
            self._missing = (self._missing or 0) + len(samples)
            if not self._told:
                self._told = True
                why = "unavailable" if block.state & UNAVAILABLE else "invalid"
                flags = (*self._flags, *unreal, f"{self._channel}:{why}")
                out.append(Reading(self._metric, {"channel": self._channel}, {}, flags, BAD))
            return out
        self._told = False
        self._samples += samples
        if len(self._samples) >= form.rate * BLOCK:
            out += self._give()
        return out

    def _give(self) -> Iterable[Reading]:
        if not self._samples or self._form is None:
            return ()
        form, samples = self._form, self._samples
        values: dict[str, int | float | str] = {"channel": self._channel}
        flags = (*self._flags, *self._unreal, *self._doubts)
        if self._missing is not None:
            values[LOST] = self._missing
            flags = (GAP, *flags)
        self._samples, self._missing = [], None
        shape = Waveform(samples, form.rate, form.scale, form.offset, form.unit)
        quality = BAD if self._unreal else UNCERTAIN if self._doubts else GOOD
        return (Reading(self._metric, values, {}, flags, quality, waveform=shape),)


def _numbers(data: bytes, form: WaveForm) -> list[int]:
    if form.bits == 8:
        return [octet & form.mask for octet in data]
    even = memoryview(data)[: len(data) // 2 * 2]
    return [((high << 8) | low) & form.mask for high, low in zip(even[::2], even[1::2], strict=True)]
