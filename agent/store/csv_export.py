"""CSV export of readings (RFC 4180, UTF-8): one row for each value, always the same columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from gatepost.agent.core.views import PAYLOAD_MEMBERS, WAVEFORM_ROWS

COLUMNS = (
    *("id", "timestamp", "device_id", "patient_id", "metric_type", "name", "value", "unit"),
    *("quality", "urgent", "clock", "device_timestamp", "flags"),
)
FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
_NO_ROWS = PAYLOAD_MEMBERS.difference(WAVEFORM_ROWS)


def header() -> bytes:
    """The first line, UTF-8."""
    return _text([COLUMNS])


def rows(readings: Iterable[Mapping[str, Any]]) -> bytes:
    """Lines of these payloads, one for each value; UTF-8."""
    found = (row for reading in readings for row in value_rows(reading))
    return _text([_defused(cell(row[column])) for column in COLUMNS] for row in found)


def value_rows(reading: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """By column, one row for each value; a waveform has `samples` and the members that scale them."""
    units = reading.get("units") or {}
    common = {column: reading.get(column) for column in COLUMNS}
    common["flags"] = " ".join(map(str, reading.get("flags") or ()))
    for name, value in reading.items():
        if name not in _NO_ROWS:
            unit = units.get(name) or (reading.get("unit") if name == "samples" else None)
            yield {**common, "name": name, "value": value, "unit": unit}


def cell(value: Any) -> Any:
    """Text of one cell: lists and objects as JSON, nothing for null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return orjson.dumps(value).decode()
    return "" if value is None else value


def _defused(content: Any) -> Any:
    """Text that a spreadsheet would take for a formula, as text: with an apostrophe before it. Some leave out spaces
    before it, some take the full-width forms of the signs too."""
    if not isinstance(content, str) or not content:
        return content
    risky = content.lstrip()[:1] in FORMULA or not content[0].isprintable()
    return f"'{content}" if risky else content


def _text(lines: Iterable[Iterable[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue().encode()
