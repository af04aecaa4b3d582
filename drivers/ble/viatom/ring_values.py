"""Live values and stored files of Viatom's rings: O2Ring, Checkme O2, SleepU, and the O2Ring S; sans-I/O (no published
specification; captures of others and four programs that agree, one for the O2Ring S).

A stored file becomes records [second, spo2, heart rate, motion]; None = the ring had no value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gatepost.drivers.ble.viatom.frames import lepu_request, request
from gatepost.drivers.checksums import FrameError

Fields = dict[str, Any]
Record = tuple[float, int | None, int | None, int]

OPEN, READ, CLOSE, INFO, CONFIGURE, SENSORS, LIVE = 0x03, 0x04, 0x05, 0x14, 0x16, 0x17, 0x1B
NEW_LIVE, HELLO_INFO, NEW_TIME, NEW_INFO = 0x04, 0x10, 0xC0, 0xE1
LIST, START, DATA, END, HELLO = 0xF1, 0xF2, 0xF3, 0xF4, 0xFF

BEAT_MARK = 156  # stands in a curve for a heart beat
NO_SPO2, NO_RATE = (0x00, 0xFF), (0x00, 0xFF, 0xFFFF)
FILE_VERSION, FILE_HEAD, FILE_RECORD = 3, 40, 5
NEW_HEAD, NEW_RECORD, NEW_END, FINISHED, END_MARK = 10, 3, 48, 44, bytes.fromhex("48125ada")
NAME_OCTETS = 16


# -- what is asked


def ask(command: str, **given: Any) -> bytes:
    """Request for an older ring by name: sensors, live, info, open (name), read (block), close, set_time (time as
    the ring writes it). KeyError."""
    match command:
        case "open":
            return request(OPEN, str(given["name"]).encode("ascii", "replace") + b"\0")
        case "read":
            return request(READ, block=int(given["block"]))
        case "set_time":
            text = json.dumps({"SetTIME": given["time"]}, separators=(",", ":"))
            return request(CONFIGURE, text.encode("ascii", "replace"))
        case "live":
            return request(LIVE, b"\0")
    return request({"sensors": SENSORS, "info": INFO, "close": CLOSE}[command])


def hello(unix: int, serial: str = "0000") -> bytes:
    """What an O2Ring S wants to hear first: sixteen octets that are made from the time."""
    key = hashlib.md5(b"lepucloud", usedforsecurity=False).digest()
    name = serial.encode("ascii", "replace")[:4].ljust(4, b"0")
    plain = key[::2] + name + bytes(unix >> bits & 0xFF for bits in range(4))  # it shifts by bits, not by octets
    return bytes(one ^ two for one, two in zip(plain, key, strict=True))


def ask_new(command: str, sequence: int = 0, **given: Any) -> bytes:
    """Request for an O2Ring S by name: auth (time, serial), info, live, list, open (name), read (offset), close,
    set_time (datetime). KeyError."""
    match command:
        case "auth":
            return lepu_request(HELLO, hello(int(given["time"]), str(given.get("serial", "0000"))), sequence)
        case "open":
            name = str(given["name"]).encode("ascii", "replace")[:NAME_OCTETS].ljust(NAME_OCTETS, b"\0")
            return lepu_request(START, name + bytes(4), sequence)
        case "read":
            return lepu_request(DATA, int(given["offset"]).to_bytes(4, "little"), sequence)
        case "set_time":
            return lepu_request(NEW_TIME, clock_octets(given["time"]) + b"\0", sequence)
        case "hello-info":
            return lepu_request(HELLO_INFO, b"\0", sequence)
    code = {"info": NEW_INFO, "live": NEW_LIVE, "list": LIST, "close": END}[command]
    return lepu_request(code, b"", sequence)


def clock_octets(time: datetime) -> bytes:
    return time.year.to_bytes(2, "little") + bytes((time.month, time.day, time.hour, time.minute, time.second))


# -- live


def _spo2(octet: int) -> int | None:
    return None if octet in NO_SPO2 else octet


def _rate(number: int) -> int | None:
    return None if number in NO_RATE else number


def decode_sensors(status: int, data: bytes) -> Fields:
    """Answer to SENSORS. FrameError."""
    if len(data) < 12:
        raise FrameError("truncated")
    return {
        "status": status,
        "spo2": _spo2(data[0]),
        "heart_rate": _rate(data[1]),
        "battery": data[7],
        "charging": data[8],
        "motion": data[9],
        "perfusion_index": data[10] / 10 or None,
        "worn": bool(data[11]),
    }


def decode_live(status: int, data: bytes) -> Fields:
    """Answer to LIVE, with a curve of 125 samples a second. FrameError."""
    if len(data) < 12:
        raise FrameError("truncated")
    count = int.from_bytes(data[10:12], "little")
    samples = data[12 : 12 + count]
    if len(samples) < count:
        raise FrameError("truncated")
    return {
        "status": status,
        "spo2": _spo2(data[0]),
        "heart_rate": _rate(int.from_bytes(data[1:3], "little")),
        "battery": data[3],
        "charging": data[4],
        "perfusion_index": data[5] / 10 or None,
        "worn": data[6] == 1,
        "pleth": _without_marks(samples),
    }


def _without_marks(samples: bytes) -> list[int]:
    """A mark stands in the place of a sample: what its neighbours say is taken for it."""
    out = list(samples)
    for index, sample in enumerate(samples):
        if sample == BEAT_MARK:
            beside = (*out[max(0, index - 1) : index], *samples[index + 1 : index + 2])
            known = [each for each in beside if each != BEAT_MARK]
            out[index] = sum(known) // len(known) if known else sample
    return out


def decode_new_live(data: bytes) -> Fields:
    """Live values of an O2Ring S. FrameError."""
    if len(data) < 14:
        raise FrameError("truncated")
    return {
        "counter": int.from_bytes(data[:4], "little"),
        "file_open": data[5] == 3,
        "spo2": _spo2(data[6]),
        "motion": data[7],
        "heart_rate": _rate(data[8]),
        "battery": data[13],
        "samples": int.from_bytes(data[24:26], "little"),
    }


def decode_info(data: bytes) -> Fields:
    """What an older ring says of itself, in JSON; {} where it is none."""
    try:
        told = json.loads(data.rstrip(b"\0").decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def files_of(info: Fields) -> list[str]:
    told = info.get("FileList")
    return [name for name in told.split(",") if name.strip()] if isinstance(told, str) else []


def decode_list(data: bytes) -> list[str]:
    """Names of the recordings of an O2Ring S. FrameError."""
    if not data or len(data) < 1 + data[0] * NAME_OCTETS:
        raise FrameError("truncated")
    names = (data[1 + place * NAME_OCTETS :][:NAME_OCTETS] for place in range(data[0]))
    return [name.split(b"\0")[0].decode("ascii", "replace") for name in names]


def time_of(name: str) -> datetime | None:
    """The time that a recording is named for."""
    try:
        return datetime.strptime(name[:14], "%Y%m%d%H%M%S")  # noqa: DTZ007  # a ring knows no zone
    except ValueError:
        return None


# -- stored files


class RingFile:
    """A stored file: its records are decoded as they are wanted, for there may be ten thousand. `summary` is what the
    ring made of them itself; the last number of a record is motion, or flags."""

    def __init__(self, data: bytes, head: int, size: int, count: int, interval: float, summary: Fields) -> None:
        self.count = count
        self.interval = interval
        self.summary = summary
        self.tells_motion = size == FILE_RECORD
        self._data = data
        self._head = head
        self._size = size

    def record(self, number: int) -> Record:
        at = self._head + number * self._size
        octets = self._data[at : at + self._size]
        rate = int.from_bytes(octets[1:3], "little") if self.tells_motion else octets[1]
        last = octets[3] if self.tells_motion else octets[2]
        return number * self.interval, _spo2(octets[0]), _rate(rate), last

    def records(self) -> Iterator[Record]:
        return map(self.record, range(self.count))


def read_file(data: bytes) -> RingFile:
    """A stored file of an older ring. FrameError truncated, bad_version."""
    if len(data) < FILE_HEAD:
        raise FrameError("truncated")
    if int.from_bytes(data[:2], "little") != FILE_VERSION:
        raise FrameError("bad_version")
    count = (len(data) - FILE_HEAD) // FILE_RECORD
    duration = int.from_bytes(data[13:15], "little")
    summary = {
        "time": [int.from_bytes(data[2:4], "little"), *data[4:9]],
        "duration": duration,
        "spo2_average": _spo2(data[17]),
        "spo2_minimum": _spo2(data[18]),
        "drops_3": data[19],
        "drops_4": data[20],
        "seconds_below_90": int.from_bytes(data[21:23], "little"),
        "o2_score": None if data[25] == 0xFF else data[25] / 10,
        "steps": int.from_bytes(data[26:30], "little"),
    }
    return RingFile(data, FILE_HEAD, FILE_RECORD, count, duration / count if count else 0.0, summary)


def read_new_file(data: bytes) -> RingFile:
    """A recording of an O2Ring S, one record a second. FrameError bad_header."""
    if len(data) < NEW_HEAD or data[:2] != b"\x01\x03":
        raise FrameError("bad_header")
    finished = len(data) >= NEW_HEAD + NEW_END and data[-FINISHED:][: len(END_MARK)] == END_MARK
    last = len(data) - (NEW_END if finished else 0)
    summary: Fields = {"finished": finished}
    if finished:
        end = data[last:]
        summary |= {
            "seconds": int.from_bytes(end[12:16], "little"),
            "spo2_average": _spo2(end[34]),
            "spo2_minimum": _spo2(end[35]),
            "drops_3": end[36],
            "drops_4": end[37],
            "seconds_below_90": int.from_bytes(end[39:41], "little"),
            "o2_score": None if end[42] == 0xFF else end[42] / 10,
            "heart_rate_average": _rate(end[47]),
        }
    return RingFile(data, NEW_HEAD, NEW_RECORD, (last - NEW_HEAD) // NEW_RECORD, 1.0, summary)
