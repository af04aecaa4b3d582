"""Polar Measurement Data (PMD), the data: frames of samples (Polar SDK documentation).

Measurement type, nanoseconds since 2000-01-01 of the *last* sample, frame type (bit 7: compressed), samples. Plain
samples stand one after the other, little-endian and signed. A compressed frame has one whole sample, then blocks: bits
of a difference, number of samples, and the differences to the sample before, lowest bit first.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.pmd import PmdType
from gatepost.drivers.checksums import FrameError

COMPRESSED = 0x80
MOST_SAMPLES = 4096  # more than a value holds with one bit for each; differences of no bits could tell any number


class SampleLayout(NamedTuple):
    """Layout of samples: channels and octets of one; `scale`: what a count is of the unit below."""

    channels: int
    octets: int
    scale: float = 1.0


PLAIN: dict[tuple[int, int], SampleLayout] = {
    (PmdType.ECG, 0): SampleLayout(1, 3),
    (PmdType.PPG, 0): SampleLayout(4, 3),
    (PmdType.ACC, 0): SampleLayout(3, 1),
    (PmdType.ACC, 1): SampleLayout(3, 2),
    (PmdType.ACC, 2): SampleLayout(3, 3),
}
PACKED: dict[tuple[int, int], SampleLayout] = {
    (PmdType.PPG, 0): SampleLayout(4, 3),
    (PmdType.ACC, 0): SampleLayout(3, 2, 1000.0),  # the factor gives g
    (PmdType.ACC, 1): SampleLayout(3, 2),
    (PmdType.GYRO, 0): SampleLayout(3, 2),
    (PmdType.MAGNETOMETER, 0): SampleLayout(3, 2),
}
UNITS = {PmdType.ECG: "uV", PmdType.ACC: "m[g]", PmdType.GYRO: "deg/s", PmdType.MAGNETOMETER: "G", PmdType.PPG: "{raw}"}
CHANNELS = {
    PmdType.ECG: ("ecg",),
    PmdType.ACC: ("x", "y", "z"),
    PmdType.GYRO: ("x", "y", "z"),
    PmdType.MAGNETOMETER: ("x", "y", "z"),
}


class PmdFrame(msgspec.Struct, frozen=True, gc=False):
    """Frame of samples. `samples`: one tuple for each moment, oldest first; a value = count * factor of the sensor *
    `scale`. The time is that of the last sample, by the sensor's clock."""

    measurement_type: int
    timestamp_ns: int
    frame_type: int
    compressed: bool
    samples: tuple[tuple[int, ...], ...]
    scale: float = 1.0

    @property
    def unit(self) -> str:
        """UCUM."""
        return UNITS[PmdType(self.measurement_type)]


def decode(data: bytes) -> PmdFrame:
    """FrameError truncated, bad_size, or unsupported for a frame type that is not known."""
    cursor = ValueCursor(data)
    kind, time, form = cursor.u8(), cursor.uint(8), cursor.u8()
    compressed, form = bool(form & COMPRESSED), form & ~COMPRESSED
    layout = (PACKED if compressed else PLAIN).get((kind, form))
    if layout is None:
        raise FrameError("unsupported")
    samples = _packed(cursor, layout) if compressed else _plain(cursor, layout)
    return PmdFrame(kind, time, form, compressed, tuple(samples), layout.scale)


def _plain(cursor: ValueCursor, layout: SampleLayout) -> list[tuple[int, ...]]:
    samples = []
    while cursor.left:
        samples.append(tuple(cursor.sint(layout.octets) for _ in range(layout.channels)))
    return samples


def _packed(cursor: ValueCursor, layout: SampleLayout) -> list[tuple[int, ...]]:
    if not cursor.left:
        return []
    last = tuple(cursor.sint(layout.octets) for _ in range(layout.channels))
    samples = [last]
    while cursor.left:
        width, count = cursor.u8(), cursor.u8()
        if len(samples) + count > MOST_SAMPLES:
            raise FrameError("bad_size")
        packed = int.from_bytes(cursor.take((width * count * layout.channels + 7) // 8), "little")
        for _ in range(count):
            deltas = []
            for _ in range(layout.channels):
                deltas.append(_signed(packed & (1 << width) - 1, width))
                packed >>= width
            last = tuple(old + delta for old, delta in zip(last, deltas, strict=True))
            samples.append(last)
    return samples


def _signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if bits and raw >> bits - 1 else raw
