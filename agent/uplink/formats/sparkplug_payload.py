"""Sparkplug B payloads: protobuf by hand, encoded in rising field numbers, decoded as far as commands need.

Source: Sparkplug specification 3.0.0, section 6.4 (the protobuf schema and its data types).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

INT32, INT64, DOUBLE, BOOLEAN, STRING, INT32_ARRAY, DOUBLE_ARRAY = 3, 4, 10, 11, 12, 24, 31
LONGEST = 1 << 20  # octets of a received payload
MOST_METRICS = 1000  # of a received payload

_DOUBLE = struct.Struct("<d").pack
Property = tuple[str, int, Any]  # name, datatype, value


class SparkplugMetric(NamedTuple):
    """One metric; `value` None = is_null. `name` None where only the alias is sent; timestamps in milliseconds."""

    name: str | None
    datatype: int
    value: Any
    timestamp: int
    alias: int | None = None
    historical: bool = False
    properties: tuple[Property, ...] = ()


class ReceivedMetric(NamedTuple):
    """A metric of a command; None where the member was not sent."""

    name: str | None
    alias: int | None
    timestamp: int | None
    value: bool | int | float | str | None


def encode_payload(timestamp: int, metrics: Iterable[SparkplugMetric | bytes], seq: int | None) -> bytes:
    """`metrics` may be encoded already."""
    parts = [b"\x08", _timestamp(timestamp)]
    for metric in metrics:
        octets = metric if metric.__class__ is bytes else encode_metric(metric)  # type: ignore[arg-type]
        parts += (b"\x12", _varint(len(octets)), octets)
    if seq is not None:
        parts += (b"\x18", _varint(seq))
    return b"".join(parts)


def encode_metric(metric: SparkplugMetric) -> bytes:
    name, datatype, value, timestamp, alias, historical, properties = metric
    head, state = _frame(name, alias, datatype, historical, value is None, properties)
    tail = b"" if value is None else _value(datatype, value)
    return head + _timestamp(timestamp) + state + tail


@lru_cache(maxsize=4096)
def _frame(
    name: str | None, alias: int | None, datatype: int, historical: bool, null: bool, properties: tuple[Property, ...]
) -> tuple[bytes, bytes]:
    """What stands before a metric's timestamp, and between that and its value: the same again and again."""
    head = b"" if name is None else _text(b"\x0a", name)
    head += b"" if alias is None else b"\x10" + _varint(alias)
    state = (b"\x28\x01" if historical else b"") + (b"\x38\x01" if null else b"")
    return head + b"\x18", bytes((0x20, datatype)) + state + _property_set(properties)


@lru_cache(maxsize=256)
def _timestamp(timestamp: int) -> bytes:
    """The metrics of a reading have the same one."""
    return _varint(timestamp)


def _value(datatype: int, value: Any) -> bytes:
    if datatype == DOUBLE:
        return b"\x69" + _DOUBLE(value)
    match datatype:
        case 11:
            return b"\x70\x01" if value else b"\x70\x00"
        case 12:
            return _text(b"\x7a", value)
        case 24:
            return _octets(b"\x82\x01", _int32_array(value))
        case 31:
            return _octets(b"\x82\x01", struct.pack(f"<{len(value)}d", *value))
        case 3:
            return b"\x50" + _varint(value & 0xFFFFFFFF)
        case _:
            return b"\x58" + _varint(value & 0xFFFFFFFFFFFFFFFF)


def _int32_array(samples: Sequence[int]) -> bytes:
    """Samples beyond 32 bits would be wrong numbers: OverflowError."""
    try:
        return struct.pack(f"<{len(samples)}i", *samples)
    except struct.error as error:
        raise OverflowError("a sample does not fit into 32 bits") from error


def _property_set(properties: tuple[Property, ...]) -> bytes:
    """The field with all of them."""
    if not properties:
        return b""
    parts = [_text(b"\x0a", name) for name, _, _ in properties]
    for _, datatype, value in properties:
        if datatype == STRING:
            octets = b"\x08\x0c" + _text(b"\x42", value)
        elif datatype == DOUBLE:
            octets = b"\x08\x0a\x31" + struct.pack("<d", value)
        else:
            octets = b"\x08\x03\x18" + _varint(value & 0xFFFFFFFF)
        parts.append(_octets(b"\x12", octets))
    return _octets(b"\x4a", b"".join(parts))


def _text(tag: bytes, text: str) -> bytes:
    return _octets(tag, text.encode("utf-8", "replace"))


def _octets(tag: bytes, octets: bytes) -> bytes:
    return tag + _varint(len(octets)) + octets


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


# --- received commands


def decode_payload(octets: bytes) -> tuple[int | None, list[ReceivedMetric]] | None:
    """(timestamp, metrics) of NCMD or DCMD; None where the octets are no such payload. Never raises."""
    if len(octets) > LONGEST:
        return None
    try:
        timestamp: int | None = None
        metrics: list[ReceivedMetric] = []
        for field, value in _fields(octets):
            if field == 1 and isinstance(value, int):
                timestamp = value
            elif field == 2 and isinstance(value, bytes) and len(metrics) < MOST_METRICS:
                metrics.append(_metric(value))
        return timestamp, metrics
    except (ValueError, IndexError, struct.error):
        return None


def _metric(octets: bytes) -> ReceivedMetric:
    name: str | None = None
    alias = timestamp = None
    value: bool | int | float | str | None = None
    datatype, null = 0, False
    for field, raw in _fields(octets):
        match field, raw:
            case 1, bytes():
                name = raw.decode()
            case 2, int():
                alias = raw
            case 3, int():
                timestamp = raw
            case 4, int():
                datatype = raw
            case 7, int():
                null = bool(raw)
            case ((10 | 11), int()):
                value = _signed(raw, datatype)
            case 12, bytes():
                value = struct.unpack("<f", raw)[0]
            case 13, bytes():
                value = struct.unpack("<d", raw)[0]
            case 14, int():
                value = bool(raw)
            case 15, bytes():
                value = raw.decode()
            case _:
                pass
    return ReceivedMetric(name, alias, timestamp, None if null else value)


def _signed(raw: int, datatype: int) -> int:
    bits = {1: 8, 2: 16, 3: 32, 4: 64}.get(datatype)
    if bits is None:
        return raw
    raw &= (1 << bits) - 1
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def _fields(octets: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, varint or octets) one by one; ValueError or IndexError where it is cut or not protobuf."""
    at = 0
    while at < len(octets):
        key, at = _read_varint(octets, at)
        match key & 7:
            case 0:
                number, at = _read_varint(octets, at)
                yield key >> 3, number
                continue
            case 1:
                size = 8
            case 2:
                size, at = _read_varint(octets, at)
            case 5:
                size = 4
            case _:
                raise ValueError("a wire type that is not used")
        if at + size > len(octets):
            raise ValueError("cut off")
        yield key >> 3, octets[at : at + size]
        at += size


def _read_varint(octets: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        octet = octets[at]
        at += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("a number of more than 64 bits")
