"""Values and history of the Aranet4; sans-I/O (Anrijs/Aranet4-Python, its tests; numbers are little-endian).

None = the monitor has no value, as while it calibrates itself.
"""

from __future__ import annotations

from struct import Struct
from typing import Any, NamedTuple

from gatepost.drivers.checksums import FrameError

Fields = dict[str, Any]

_NOW = Struct("<HHHBBBHH")
_HISTORY = Struct("<BHHHHB")
COLOURS = {0: "error", 1: "green", 2: "yellow", 3: "red"}
ASK_HISTORY = 0x61


class HistoryParameter(NamedTuple):
    """One of the values that are remembered: its name, octets, the size of a step, the bit that says "no value"."""

    name: str
    octets: int
    scale: float
    none: int


# By the number that the monitor knows it by. The number of a history counts from 1.
PARAMETERS = {
    1: HistoryParameter("temperature", 2, 20, 0x4000),
    2: HistoryParameter("humidity", 1, 1, 0x80),
    3: HistoryParameter("pressure", 2, 10, 0x8000),
    4: HistoryParameter("co2", 2, 1, 0x8000),
}


def _value(parameter: int, raw: int) -> float | None:
    kind = PARAMETERS[parameter]
    if raw & kind.none:
        return None
    return raw / kind.scale if kind.scale > 1 else raw


def decode_now(data: bytes) -> Fields:
    """The current values with their age. FrameError."""
    if len(data) < _NOW.size:
        raise FrameError("truncated")
    co2, temperature, pressure, humidity, battery, colour, interval, age = _NOW.unpack_from(data)
    return {
        "co2": _value(4, co2),
        "temperature": _value(1, temperature),
        "pressure": _value(3, pressure),
        "humidity": _value(2, humidity),
        "battery": battery,
        "status": COLOURS.get(colour),
        "interval": interval,
        "age": age,
    }


def decode_history(data: bytes) -> Fields:
    """A packet of the history: `start` is the number of its first value, the oldest of all being 1. FrameError."""
    if len(data) < _HISTORY.size:
        raise FrameError("truncated")
    parameter, interval, total, age, start, count = _HISTORY.unpack_from(data)
    kind = PARAMETERS.get(parameter)
    if kind is None:
        raise FrameError("unsupported")
    body = data[_HISTORY.size :]
    if len(body) < count * kind.octets:
        raise FrameError("truncated")
    raw = (int.from_bytes(body[place * kind.octets :][: kind.octets], "little") for place in range(count))
    return {
        "parameter": parameter,
        "interval": interval,
        "total": total,
        "age": age,
        "start": start,
        "values": [_value(parameter, number) for number in raw],
    }


def history_request(parameter: int, start: int) -> bytes:
    return bytes((ASK_HISTORY, parameter)) + start.to_bytes(2, "little")
