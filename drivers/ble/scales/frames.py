"""Frames of body scales with protocols of their makers, one in each notification; sans-I/O (no published specification;
openScale, ble-scale-sync and captures of others).

`ac02`: AC 02, four octets, kind, sum. `vitafit`: 5A, size, 26, type, data, exclusive or, AA. `qn`: kind, length,
protocol, data, sum. `yunmai`: 0D, version, length, type, data, exclusive or.
"""

from __future__ import annotations

from functools import reduce
from operator import xor
from typing import Any

from gatepost.drivers.checksums import FrameError, sum8

Fields = dict[str, Any]

WEIGHT, LIVE, FINAL, IMPEDANCE, OTHER = "weight", "live", "final", "impedance", "other"
AC02_LIVE, AC02_FINAL, AC02_OTHER = 0xCE, 0xCA, 0xCB
QN_WEIGHT, QN_INFO, QN_READY, QN_GREETING, QN_STORED = 0x10, 0x12, 0x14, 0x21, 0x23
QN_KINDS = {QN_INFO: "info", QN_READY: "ready", QN_GREETING: "greeting", QN_STORED: "stored"}
QN_EPOCH = 946684800  # 2000-01-01
QN_UNITS = {"kg": 1, "lb": 2}
YUNMAI_START = bytes.fromhex("0d05130016")


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2])


def _xor(data: bytes) -> int:
    return reduce(xor, data, 0)


# -- AC02: Dr Trust, FitTrack, Swan


def decode_ac02(frame: bytes) -> Fields:
    """`weight_raw` is in the unit that the model has. FrameError."""
    if len(frame) < 8:
        raise FrameError("truncated")
    if frame[:2] != b"\xac\x02":
        raise FrameError("bad_header")
    if sum8(frame[2:7]) != frame[7]:
        raise FrameError("bad_checksum")
    kind = frame[6]
    if kind in (AC02_LIVE, AC02_FINAL) and not any(frame[4:6]):
        return {"kind": FINAL if kind == AC02_FINAL else LIVE, "weight_raw": _u16(frame, 2)}
    if kind == AC02_OTHER and frame[2] == 0xFD and frame[3] in (0x01, 0xFF):
        return {"kind": IMPEDANCE, "impedance": (frame[3] == 0x01 and _u16(frame, 4)) or None}
    return {"kind": OTHER, "flag": kind}


def ac02_request(first: int, second: int = 0, third: int = 0, fourth: int = 0) -> bytes:
    body = bytes((first, second, third, fourth, 0xCC))
    return b"\xac\x02" + body + bytes((sum8(body),))


# -- Vitafit


def decode_vitafit(frame: bytes) -> Fields:
    """FrameError."""
    if len(frame) < 6:
        raise FrameError("truncated")
    if frame[0] != 0x5A or frame[2] != 0x26:
        raise FrameError("bad_header")
    if len(frame) < frame[1] + 2:
        raise FrameError("truncated")
    frame = frame[: frame[1] + 2]
    if len(frame) < 6 or frame[-1] != 0xAA:
        raise FrameError("bad_frame")
    if _xor(frame[1:-2]) != frame[-2]:
        raise FrameError("bad_checksum")
    if frame[3] == 0x10 and len(frame) >= 12:
        return {"kind": WEIGHT, "stable": frame[4] == 2, "weight": _u16(frame, 8) / 100}
    if frame[3] == 0x11 and len(frame) >= 13:
        return {"kind": IMPEDANCE, "impedance": _u16(frame, 9) or None}
    return {"kind": OTHER, "type": frame[3]}


# -- QN, Renpho


def decode_qn(frame: bytes, long: bool = False, divisor: int = 100) -> Fields:
    """`long` and `divisor` are what the frame 12 of this scale told. FrameError."""
    if len(frame) < 4:
        raise FrameError("truncated")
    if sum8(frame[:-1]) != frame[-1]:
        raise FrameError("bad_checksum")
    kind, protocol = frame[0], frame[2]
    if kind == QN_WEIGHT:
        return {"kind": WEIGHT, "protocol": protocol, **_qn_weight(frame, long, divisor)}
    if kind == QN_INFO:
        if len(frame) < 12:
            raise FrameError("truncated")
        told = {"long": frame[1] == len(frame), "divisor": 100 if frame[10] & 1 else 10}
        return {"kind": "info", "protocol": protocol, **told}
    return {"kind": QN_KINDS.get(kind, OTHER), "protocol": protocol}


def _qn_weight(frame: bytes, long: bool, divisor: int) -> Fields:
    at = 5 if long else 3  # of the weight
    resistances = at + 2 if long else at + 3
    if len(frame) < resistances + 5:
        raise FrameError("truncated")
    state = frame[4] & 0x0F if long else frame[5]
    return {
        **({"state": state} if long else {}),
        "stable": state == (2 if long else 1),
        "weight": _u16(frame, at) / divisor,
        "impedance_1": _u16(frame, resistances) or None,
        "impedance_2": _u16(frame, resistances + 2) or None,
    }


def qn_request(command: str, protocol: int, **given: Any) -> bytes:
    """unit (unit kg or lb), time (seconds since 2000), greeting (older: also a time), history. KeyError."""
    protocol &= 0xFF
    match command:
        case "unit":
            body = bytes((0x13, 9, protocol, QN_UNITS[given.get("unit", "kg")], 0x10, 0, 0, 0))
        case "time":
            body = bytes((0x20, 8, protocol)) + (int(given["seconds"]) & 0xFFFFFFFF).to_bytes(4, "little")
        case "greeting":
            body = bytes((0xA0, 13, 4, 0xFE if given.get("older") else 0xFC)) + bytes(8)
        case "history":
            body = bytes((0x22, 6, protocol, 0, 3))
        case _:
            raise KeyError(command)
    return body + bytes((sum8(body),))


# -- Yunmai


def decode_yunmai(frame: bytes) -> Fields:
    """FrameError."""
    if len(frame) < 5:
        raise FrameError("truncated")
    if frame[0] != 0x0D:
        raise FrameError("bad_header")
    if frame[2] < 5 or len(frame) < frame[2]:
        raise FrameError("truncated")
    frame = frame[: frame[2]]
    if _xor(frame[1:-1]) != frame[-1]:
        raise FrameError("bad_checksum")
    version, kind = frame[1], frame[3]
    if kind != 2:
        return {"kind": OTHER, "protocol": version, "type": kind}
    if len(frame) < 18:
        raise FrameError("truncated")
    fields: Fields = {
        "kind": FINAL,
        "protocol": version,
        "unix": int.from_bytes(frame[5:9]),
        "user": int.from_bytes(frame[9:13]),
        "weight": _u16(frame, 13) / 100,
        "impedance": _u16(frame, 15) or None,
    }
    if version >= 0x1E and len(frame) >= 20:
        fields["body_fat"] = _u16(frame, 17) / 100 or None
    return fields
