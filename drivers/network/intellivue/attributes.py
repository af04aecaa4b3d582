"""Attributes of IntelliVue objects: observed values, samples of waveforms and how to read them, labels, alerts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from gatepost.drivers.ble.gatt.medfloat import Number, decode_float
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.network.intellivue.messages import Attributes, OctetCursor, bcd_time

NUMERIC, COMPOUND = 0x0950, 0x094B
SAMPLES, COMPOUND_SAMPLES = 0x096E, 0x0967
ARRAY, PERIOD, SCALE = 0x096D, 0x098D, 0x096F
LABEL, LABEL_TEXT, UNIT, TIME = 0x0924, 0x0927, 0x0996, 0x0990
PATIENT_ALERTS, TECHNICAL_ALERTS = 0x0902, 0x0904
MAC_ADDRESS, PROTOCOLS, MODEL, BED = 0xF100, 0xF101, 0x0928, 0x091E
MAX_ALERTS = 64
T = TypeVar("T")


class ObservedValue(NamedTuple):
    physio_id: int
    state: int
    unit: int
    value: Number


class SampleBlock(NamedTuple):
    physio_id: int
    state: int
    data: bytes


class ArraySpec(NamedTuple):
    size: int
    sample_bits: int
    significant_bits: int
    flags: int


class ScaleSpec(NamedTuple):
    """A sample x means lower + (x - lower_scaled) * (upper - lower) / (upper_scaled - lower_scaled)."""

    lower: Number
    upper: Number
    lower_scaled: int
    upper_scaled: int


class DeviceAlert(NamedTuple):
    """`priority` is the monitor's type: 1, 2, 4 of technical alerts (low, medium, high), 256, 512, 1024 of others."""

    source: int
    code: int
    priority: int
    state: int


def observed_values(attributes: Attributes) -> list[ObservedValue]:
    """All of an object, in the order sent. FrameError truncated."""
    return _single_and_compound(attributes, NUMERIC, COMPOUND, _observed)


def _observed(cursor: OctetCursor) -> ObservedValue:
    return ObservedValue(cursor.number(), cursor.number(), cursor.number(), decode_float(cursor.number(4)))


def sample_blocks(attributes: Attributes) -> list[SampleBlock]:
    return _single_and_compound(attributes, SAMPLES, COMPOUND_SAMPLES, _block)


def _block(cursor: OctetCursor) -> SampleBlock:
    return SampleBlock(cursor.number(), cursor.number(), cursor.take(cursor.number()))


def _single_and_compound(
    attributes: Attributes, single: int, compound: int, read: Callable[[OctetCursor], T]
) -> list[T]:
    found = []
    if single in attributes:
        found.append(read(OctetCursor(attributes[single])))
    if compound in attributes:
        cursor = OctetCursor(attributes[compound])
        count, inner = cursor.number(), cursor.part()
        found += [read(inner) for _ in range(count)]
    return found


def array_spec(attributes: Attributes) -> ArraySpec | None:
    if ARRAY not in attributes:
        return None
    cursor = OctetCursor(attributes[ARRAY])
    return ArraySpec(cursor.number(), cursor.number(1), cursor.number(1), cursor.number())


def scale_spec(attributes: Attributes) -> ScaleSpec | None:
    if SCALE not in attributes:
        return None
    cursor = OctetCursor(attributes[SCALE])
    lower, upper = decode_float(cursor.number(4)), decode_float(cursor.number(4))
    return ScaleSpec(lower, upper, cursor.number(), cursor.number())


def number_of(attributes: Attributes, name: int, size: int) -> int | None:
    octets = attributes.get(name)
    return int.from_bytes(octets, "big") if octets is not None and len(octets) == size else None


def period_ms(attributes: Attributes) -> float | None:
    ticks = number_of(attributes, PERIOD, 4)
    return None if ticks is None else ticks / 8


def label_text(attributes: Attributes) -> str | None:
    """In the language of the monitor: for people, never to be told apart by."""
    if LABEL_TEXT not in attributes:
        return None
    octets = OctetCursor(attributes[LABEL_TEXT]).part()
    return octets.take(octets.left // 2 * 2).decode("utf-16-be", "replace").split("\0")[0].strip()


def own_time(attributes: Attributes) -> list[int] | None:
    """When the object was measured; None where it does not say."""
    octets = attributes.get(TIME)
    return bcd_time(octets) if octets is not None else None


def alerts(attributes: Attributes, name: int) -> list[DeviceAlert]:
    """Those of one list. FrameError truncated."""
    if name not in attributes:
        return []
    cursor = OctetCursor(attributes[name])
    count, inner = cursor.number(), cursor.part()
    if count > MAX_ALERTS:
        raise FrameError("bad_length")
    found = []
    for _ in range(count):
        source, code, priority, state = (inner.number() for _ in range(4))
        inner.take(8)  # the object, and the form of what follows
        inner.part()
        found.append(DeviceAlert(source, code, priority, state))
    return found
