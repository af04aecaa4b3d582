"""Sparkplug B payloads (protobuf), just enough to say which reading a message is: specification 3.0, section 6.4."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import NamedTuple

METRICS = 2  # field of the payload
NAME, HISTORICAL, NULL, DOUBLE, STRING = 1, 5, 7, 13, 15  # of a metric


class SparkplugReading(NamedTuple):
    """What a DDATA or NDATA of the agent holds: a reading's values by name, or an event."""

    values: dict[str, float]
    historical: bool
    event: str  # id


def reading(payload: bytes) -> SparkplugReading:
    values: dict[str, float] = {}
    historical, event = False, ""
    for field, body in fields(payload):
        if field != METRICS or not isinstance(body, bytes):
            continue
        metric = dict(fields(body))
        name, double, text = metric.get(NAME), metric.get(DOUBLE), metric.get(STRING)
        historical = historical or bool(metric.get(HISTORICAL))
        if name == b"Gatepost/Event" and isinstance(text, bytes):
            event = json.loads(text)["id"]
        elif isinstance(name, bytes) and isinstance(double, bytes):
            values[name.decode().partition("/")[2]] = struct.unpack("<d", double)[0]
    return SparkplugReading(values, historical, event)


def fields(octets: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(octets):
        key, at = _varint(octets, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(octets, at)
            yield key >> 3, number
            continue
        size = {1: 8, 5: 4}.get(kind, -1)
        if size < 0:
            size, at = _varint(octets, at)
        yield key >> 3, octets[at : at + size]
        at += size


def _varint(octets: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        octet = octets[at]
        at += 1
        number |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            return number, at
