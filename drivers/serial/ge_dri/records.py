"""Records of the Datex-Ohmeda record interface: head, physiological values and waveforms received, requests sent."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.ge_dri.frames import HEAD

PHYSIOLOGICAL, WAVEFORM, ALARM = 0, 1, 4  # main types
SUBRECORDS, END = 8, 0xFF
DISPLAYED, TREND_10, TREND_60 = 1, 2, 3  # types of physiological data
VALUES = frozenset({DISPLAYED, TREND_10, TREND_60})  # others, such as when the cuff measured, are laid out otherwise
ALL_CLASSES = 0x0E
SIZE = 278  # octets of a physiological sub-record
LOWEST = -32000  # nothing at or below it is a value
WHY: Mapping[int, str] = {
    -32767: "invalid", -32766: "not-updated", -32765: "discontinuity", -32764: "under-range", -32763: "over-range",
    -32762: "not-calibrated",
}  # fmt: skip
CLASSES = ("basic", "ext1", "ext2", "ext3")

# Group: its values and what their numbers are divided by. Each begins with status and label.
_PRESSURE = {"sys": 100, "dia": 100, "mean": 100, "hr": 1}
_TEMPERATURE = {"temp": 100}
BASIC: tuple[tuple[str, Mapping[str, int]], ...] = (
    ("ecg", {"hr": 1, "st1": 100, "st2": 100, "st3": 100, "imp_rr": 1}),
    *((f"p{i}", _PRESSURE) for i in range(1, 5)),
    ("nibp", _PRESSURE),
    *((f"t{i}", _TEMPERATURE) for i in range(1, 5)),
    ("spo2", {"spo2": 100, "pr": 1, "ir_amp": 100, "svo2": 100}),
    ("co2", {"et": 100, "fi": 100, "rr": 1, "amb_press": 10}),
    ("o2", {"et": 100, "fi": 100}),
    ("n2o", {"et": 100, "fi": 100}),
    ("aa", {"et": 100, "fi": 100, "mac_sum": 100}),
    ("flow_vol", {
        "rr": 1, "ppeak": 100, "peep": 100, "pplat": 100, "tv_insp": 10, "tv_exp": 10, "compliance": 100, "mv_exp": 100,
    }),
    ("co_wedge", {"co": 1, "blood_temp": 100, "ref": 1, "pcwp": 100}),
    ("nmt", {"t1": 10, "tratio": 10, "ptc": 1}),
    ("ecg_extra", {"hr_ecg": 1, "hr_max": 1, "hr_min": 1}),
    ("svo2", {"svo2": 100}),
    ("p5", _PRESSURE),
    ("p6", _PRESSURE),
)  # fmt: skip
PLAIN = frozenset({"ecg_extra"})  # groups without status and label


class ValueSet(NamedTuple):
    """One group: `values` None where there is none, `missing` says why."""

    exists: bool
    active: bool
    status: int
    label: int
    values: dict[str, float | int | None]
    missing: dict[str, str]


class PhysiologicalData(NamedTuple):
    """`time`: the monitor's clock, as if it were UTC."""

    kind: int
    time: int
    data_class: str
    groups: dict[str, ValueSet]


class WaveformData(NamedTuple):
    """`status`: 1 a gap before it, 4 pacer, 8 lead off; samples None where there is none."""

    kind: int
    status: int
    label: int
    samples: list[int | None]


class DriRecord(NamedTuple):
    length: int
    number: int
    level: int
    time: int
    main_type: int
    physiological: list[PhysiologicalData]
    waveforms: list[WaveformData]


def decode_record(record: bytes) -> DriRecord:
    """FrameError truncated, bad_length."""
    if len(record) < HEAD:
        raise FrameError("truncated")
    length, number, level, _, time = struct.unpack_from("<HBBHI", record)
    (main_type,) = struct.unpack_from("<h", record, 14)
    if length != len(record):
        raise FrameError("bad_length")
    physiological: list[PhysiologicalData] = []
    waveforms: list[WaveformData] = []
    for start, kind in _places(record):
        if main_type == PHYSIOLOGICAL and kind in VALUES:
            physiological.append(_physiological(record[start : start + SIZE], kind))
        elif main_type == WAVEFORM:
            waveforms.append(_waveform(record[start:], kind))
    return DriRecord(length, number, level, time, main_type, physiological, waveforms)


def _places(record: bytes) -> list[tuple[int, int]]:
    found = []
    for i in range(SUBRECORDS):
        offset, kind = struct.unpack_from("<hB", record, 16 + 3 * i)
        if kind == END:
            break
        if offset < 0 or HEAD + offset >= len(record):
            raise FrameError("truncated")
        found.append((HEAD + offset, kind))
    return found


def _physiological(data: bytes, kind: int) -> PhysiologicalData:
    if len(data) < SIZE:
        raise FrameError("truncated")
    (time,) = struct.unpack_from("<I", data)
    (word,) = struct.unpack_from("<H", data, SIZE - 2)
    number = word >> 8 & 0x0F
    data_class = CLASSES[number] if number < len(CLASSES) else f"class-{number}"
    return PhysiologicalData(kind, time, data_class, _groups(data) if number == 0 else {})


def _groups(data: bytes) -> dict[str, ValueSet]:
    found = {}
    at = 4
    for name, scales in BASIC:
        status, label = 3, 0
        if name not in PLAIN:
            status, label = struct.unpack_from("<IH", data, at)
            at += 6
        values: dict[str, float | int | None] = {}
        missing: dict[str, str] = {}
        for value, scale in scales.items():
            (raw,) = struct.unpack_from("<h", data, at)
            at += 2
            if raw <= LOWEST:
                values[value] = None
                missing[value] = WHY.get(raw, "invalid")
            else:
                values[value] = raw if scale == 1 else raw / scale
        found[name] = ValueSet(bool(status & 1), bool(status & 2), status, label, values, missing)
    return found


def _waveform(data: bytes, kind: int) -> WaveformData:
    if len(data) < 6:
        raise FrameError("truncated")
    count, status, label = struct.unpack_from("<hHH", data)
    if count < 0 or len(data) < 6 + 2 * count:
        raise FrameError("truncated")
    raws = struct.unpack_from(f"<{count}h", data, 6)
    return WaveformData(kind, status, label, [None if raw <= LOWEST else raw for raw in raws])


# -- requests


def _request(main_type: int, data: bytes) -> bytes:
    head = struct.pack("<HBBHIIh", HEAD + len(data), 0, 0, 0, 0, 0, main_type)[:16]
    return head + b"\0\0\0" + b"\0\0\xff" + bytes(18) + data


def values_request(interval: int, classes: int = ALL_CLASSES, kind: int = DISPLAYED) -> bytes:
    """Values every so many seconds, 0 = no more, -1 = once."""
    return _request(PHYSIOLOGICAL, struct.pack("<BhIh", kind, interval, classes, 0))


def waveform_request(kinds: tuple[int, ...], stop: bool = False) -> bytes:
    """These waveforms from now on, or no more of them; to stop without any means all."""
    chosen = bytes((*kinds, END))[:SUBRECORDS].ljust(SUBRECORDS, b"\0")
    return _request(WAVEFORM, struct.pack("<hh", 1 if stop else 0, 0) + chosen + bytes(20))


_HEAD = rb".{2}\x00{12}%b\x00\x00\x00\x00\x00\xff\x00{18}"
FORBIDDEN = re.compile(
    rb"\A(?!(?:" + _HEAD % rb"\x00\x00" + rb"[\x01-\x03].{2}[\x00-\x0f]\x00{5}|"
    + _HEAD % rb"\x01\x00" + rb"[\x00\x01]\x00{3}.{8}\x00{20})\Z)",
    re.DOTALL,
)  # fmt: skip
