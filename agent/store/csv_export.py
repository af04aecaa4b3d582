"""Readings as CSV (RFC 4180, UTF-8): one row for each value, always the same columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

COLUMNS = (
    *("id", "timestamp", "device_id", "patient_id", "metric_type", "name", "value", "unit"),
    *("quality", "urgent", "clock", "device_timestamp", "flags"),
)
_NO_VALUES = {*COLUMNS, "schema", "gateway_id", "units", "replayed"}


def header() -> bytes:
    return _text([COLUMNS])


def rows(readings: Iterable[dict[str, Any]]) -> bytes:
    """Lists and objects (the samples of a waveform) as JSON in their cell."""
    return _text(row for reading in readings for row in _of(reading))


def _of(reading: dict[str, Any]) -> Iterator[list[Any]]:
    units = reading.get("units") or {}
    wave = "samples" in reading
    for name, value in reading.items():
        if name in _NO_VALUES:
            continue
        unit = units.get(name, reading.get("unit", "") if wave and name == "samples" else "")
        own = {"name": name, "value": _cell(value), "unit": unit}
        yield [own[column] if column in own else _cell(reading.get(column)) for column in COLUMNS]


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return " ".join(value)
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value


def _text(lines: Iterable[Iterable[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue().encode()
