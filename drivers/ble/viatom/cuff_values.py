"""Values and stored files of Viatom's cuffs BP2, BP2A, BP2W and LP-BP2W; sans-I/O (no published specification; one
owner's notes and the maker's development kit).
"""

from __future__ import annotations

from typing import Any

from gatepost.drivers.checksums import FrameError

Fields = dict[str, Any]

POLL, LIVE, BATTERY, SET_TIME, INFO, LIST = 0x00, 0x08, 0x30, 0xEC, 0xE1, 0xF1
START, DATA, END = 0xF2, 0xF3, 0xF4
FILE = "bp2nibp.list"

IDLE, MEASURING, RESULT = (3,), (4, 15), (5, 17)
KINDS = {0: "measuring", 1: "result", 2: "ecg-measuring", 3: "ecg-result"}
LIST_HEAD, LIST_RECORD = 10, 37


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise FrameError("truncated")
    return data


def decode_info(data: bytes) -> Fields:
    """Answer to INFO, also of the O2Ring S. FrameError."""
    _whole(data, 38)
    serial = data[38 : 38 + data[37]]
    return {
        "hardware": data[0],
        "model": data[9:17].split(b"\0")[0].decode("ascii", "replace"),
        "clock": [_u16(data, 24), *data[26:31]],
        "serial_number": serial.split(b"\0")[0].decode("ascii", "replace"),
    }


def decode_state(data: bytes) -> Fields:
    """Answer to POLL. FrameError."""
    _whole(data, 40)
    return {"state": data[39], "user": _u32(data, 27)}


def decode_battery(data: bytes) -> Fields:
    """Answer to BATTERY. FrameError."""
    _whole(data, 4)
    return {"battery_voltage": _u16(data, 2)}


def decode_live(data: bytes) -> Fields:
    """Pushed while it measures. FrameError."""
    _whole(data, 10)
    kind, part = KINDS.get(data[9], "other"), data[10:30]
    fields = {"state": data[0], "charging": data[1], "battery": data[2], "battery_voltage": _u16(data, 3), "kind": kind}
    if kind == "measuring":
        _whole(part, 6)
        rate = _u16(part, 4)
        fields |= {"deflating": bool(part[0]), "pressure": _u16(part, 1), "pulse": bool(part[3]), "heart_rate": rate}
    elif kind == "result":
        _whole(part, 12)
        names = ("pressure", "systolic", "diastolic", "mean", "heart_rate")
        fields |= {name: _u16(part, 1 + 2 * place) for place, name in enumerate(names)}
        fields |= {"deflating": bool(part[0]), "result": part[11]}
    return fields


def decode_list(data: bytes) -> list[Fields]:
    """The file `bp2nibp.list`: measurements in the order of its ring. FrameError."""
    _whole(data, LIST_HEAD)
    body = data[LIST_HEAD:]
    if len(body) % LIST_RECORD:
        raise FrameError("truncated")
    records = (body[at : at + LIST_RECORD] for at in range(0, len(body), LIST_RECORD))
    return [
        {
            "unix": _u32(record, 0),
            "user": _u32(record, 4),
            "irregular_pulse": bool(record[8]),
            "systolic": _u16(record, 13),
            "diastolic": _u16(record, 15),
            "mean": _u16(record, 17),
            "heart_rate": _u16(record, 19),
        }
        for record in records
        if _u32(record, 0)
    ]


def decode_file(data: bytes) -> Fields:
    """A file of one measurement, as older cuffs have it. FrameError."""
    _whole(data, 19)
    if data[1] != 1:
        raise FrameError("unsupported")
    return {
        "type": data[1],
        "unix": _u32(data, 2),
        "status": data[10],
        "systolic": _u16(data, 11),
        "diastolic": _u16(data, 13),
        "mean": _u16(data, 15),
        "heart_rate": data[17],
        "diagnosis": data[18],
    }
