"""Stored records and clocks of Omron cuffs and body scales, as they lie in the memory; sans-I/O (no published
specification; userx14/omblepy, eigger/hass-omron and openScale agree for the cuffs).

None = the slot holds no record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatepost.drivers.checksums import FrameError, sum8

Fields = dict[str, Any]

BASE_PRESSURE = 25  # mmHg; what a systolic pressure is stored without
EMPTY_ABOVE = 0xE1
COUNTED = 8  # octets of a record whose meaning is known
LAST_SECOND = 59
WEIGHT_UNIT = 20  # of a kilogram


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise FrameError("truncated")
    return data[:size]


def _empty(record: bytes) -> bool:
    return record[0] > EMPTY_ABOVE or not any(record[1:COUNTED]) or record == b"\xff" * len(record)


def decode_record(data: bytes, size: int) -> Fields | None:
    """A record of 14 or 16 octets, of which the first eight are the same. FrameError."""
    record = _whole(data, size)
    if _empty(record):
        return None
    day, second = int.from_bytes(record[4:6], "little"), int.from_bytes(record[6:8], "little")
    return {
        "systolic": record[0] + BASE_PRESSURE,
        "diastolic": record[1],
        "heart_rate": record[2],
        "time": [
            2000 + (record[3] & 0x3F),
            day >> 10 & 0x0F,
            day >> 5 & 0x1F,
            day & 0x1F,
            min(second >> 6 & 0x3F, LAST_SECOND),
            min(second & 0x3F, LAST_SECOND),
        ],
        "irregular_pulse": bool(day >> 14 & 1),
        "body_movement": bool(day >> 15 & 1),
    }


def decode_packed(data: bytes, year_bits: int = 8) -> Fields | None:
    """A record of 14 octets whose fields are bits from the high end. FrameError."""
    record = _whole(data, 14)
    if _empty(record):
        return None
    word = int.from_bytes(record[4:8])
    return {
        "systolic": record[1] + BASE_PRESSURE,
        "diastolic": record[0],
        "heart_rate": record[3],
        "time": [
            2000 + (record[2] & (1 << year_bits) - 1),
            word >> 26 & 0x0F,
            word >> 21 & 0x1F,
            word >> 16 & 0x1F,
            min(word >> 6 & 0x3F, LAST_SECOND),
            min(word & 0x3F, LAST_SECOND),
        ],
        "body_movement": bool(word >> 31 & 1),
        "irregular_pulse": bool(word >> 30 & 1),
    }


def decode_watch(data: bytes) -> Fields | None:
    """A record of 24 octets of the HeartGuide: numbered, and none where it notes an error. FrameError."""
    record = _whole(data, 24)
    fields = decode_record(record, 24)
    if fields is None or record[17]:
        return None
    return {**fields, "sequence": int.from_bytes(record[10:12], "little")}


def decode_body(data: bytes, size: int) -> Fields | None:
    """A record of a body scale; 48 octets count visceral fat in half levels, 32 in whole ones. 0 = not measured.
    FrameError."""
    record = _whole(data, size)
    weight = int.from_bytes(record[26:28]) >> 4
    if record == b"\xff" * size or not weight:
        return None
    fat, metabolism, muscle, bmi = (int.from_bytes(record[at : at + 2]) for at in (2, 4, 6, 8))
    level = fat & 0x3F
    return {
        "weight": weight / WEIGHT_UNIT,
        "body_fat": (fat >> 6) / 10 or None,
        "visceral_fat": (level / 2 if size == 48 else float(level)) or None,
        "basal_metabolism_kcal": metabolism >> 4 or None,
        "skeletal_muscle": (muscle >> 6) / 10 or None,
        "bmi": (bmi >> 6) / 10 or None,
        "body_age": record[10] & 0x7F or None,
        "time": [
            2000 + (record[7] & 0x3F),
            record[11] & 0x0F,
            record[12] >> 3,
            int.from_bytes(record[12:14]) >> 6 & 0x1F,
            min(record[9] & 0x3F, LAST_SECOND),
            min(record[13] & 0x3F, LAST_SECOND),
        ],
    }


RECORDS: dict[str, tuple[int, Callable[[bytes], Fields | None]]] = {  # name -> octets of a record, decoder
    "omron-14": (14, lambda data: decode_record(data, 14)),
    "omron-16": (16, lambda data: decode_record(data, 16)),
    "omron-14-packed": (14, decode_packed),
    "omron-14-packed-6": (14, lambda data: decode_packed(data, 6)),
    "omron-24": (24, decode_watch),
    "omron-hbf-48": (48, lambda data: decode_body(data, 48)),
    "omron-hbf-32": (32, lambda data: decode_body(data, 32)),
}

# Form of a clock -> octets, where year, month, day, hour, minute and second stand, where the sum of those before it.
CLOCKS: dict[str, tuple[int, tuple[int, ...], int]] = {
    "offset8": (15, (8, 9, 10, 11, 12, 13), 14),
    "mixed": (10, (3, 2, 5, 4, 7, 6), 9),
    "linear": (10, (2, 3, 4, 5, 6, 7), 9),
}


def decode_clock(data: bytes, form: str) -> Fields:
    """The clock; FrameError."""
    octets, places, total = CLOCKS[form]
    _whole(data, octets)
    year, *rest = (data[place] for place in places)
    return {"time": [2000 + year, *rest], "checksum_ok": sum8(data[:total]) == data[total]}
