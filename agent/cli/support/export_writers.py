"""The files of `gatepost export`: CSV and Parquet with a row for each value, JSON lines with one for each reading.

A file is written beside its place and put there when it is complete.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import orjson

from gatepost.agent.core.errors import GatepostError
from gatepost.client import ReadingDict

# As GET /api/v1/readings answers to Accept: text/csv.
COLUMNS = [
    *("id", "timestamp", "device_id", "patient_id", "metric_type", "name", "value", "unit"),
    *("quality", "urgent", "clock", "device_timestamp", "flags"),
]
WAVEFORM = ("samples", "rate_hz", "scale", "offset")


class ExportOutput(Protocol):
    def write(self, readings: Sequence[ReadingDict]) -> None: ...
    def close(self) -> None: ...


def rows(reading: ReadingDict) -> Iterator[dict[str, Any]]:
    """One for each value; a waveform has `samples` and what makes values of them."""
    measured = reading.measured | {name: reading[name] for name in WAVEFORM if name in reading}
    common = {name: reading.get(name) for name in COLUMNS}
    common["flags"] = " ".join(map(str, reading.get("flags") or []))
    for name, value in measured.items():
        unit = reading.units.get(name) or (reading.get("unit") if name == "samples" else None)
        yield {**common, "name": name, "value": value, "unit": unit}


class _Lines:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, readings: Sequence[ReadingDict]) -> None:
        self._file.writelines(orjson.dumps(reading, option=orjson.OPT_APPEND_NEWLINE) for reading in readings)

    def close(self) -> None:
        self._file.flush()


class _Csv:
    """RFC 4180, UTF-8; lists and objects as JSON."""

    def __init__(self, file: BinaryIO) -> None:
        self._text = TextIOWrapper(file, "utf-8", newline="", write_through=True)
        self._csv = csv.DictWriter(self._text, COLUMNS)
        self._csv.writeheader()

    def write(self, readings: Sequence[ReadingDict]) -> None:
        self._csv.writerows(
            {name: _cell(value) for name, value in row.items()} for reading in readings for row in rows(reading)
        )

    def close(self) -> None:
        self._text.detach()


class _Parquet:
    """Numbers in `value`, everything else in `text`; times as timestamps in UTC."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            hint = "pip install 'gatepost[parquet]', or --format csv"
            raise GatepostError("parquet needs the library pyarrow, which is not installed", hint) from error
        self._arrow = pyarrow
        kinds = dict.fromkeys(COLUMNS, pyarrow.string())
        kinds |= {"timestamp": pyarrow.timestamp("us", "UTC"), "value": pyarrow.float64(), "urgent": pyarrow.bool_()}
        self._schema = pyarrow.schema({**kinds, "text": pyarrow.string()})
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, readings: Sequence[ReadingDict]) -> None:
        found = [_typed(row, reading) for reading in readings for row in rows(reading)]
        if found:
            self._writer.write_table(self._arrow.Table.from_pylist(found, self._schema))

    def close(self) -> None:
        self._writer.close()


FORMATS: dict[str, Any] = {"csv": _Csv, "jsonl": _Lines, "parquet": _Parquet}


@contextmanager
def output(file: str, form: str, force: bool) -> Iterator[ExportOutput]:
    """Raises GatepostError; then there is no file, or the one that was there."""
    if file == "-":
        if form == "parquet":
            raise GatepostError("parquet cannot be written to the standard output", "name a file")
        sys.stdout.flush()
        out = FORMATS[form](sys.stdout.buffer)
        try:
            yield out
        finally:  # also when nobody reads on: what is not detached would close the standard output with itself
            out.close()
        return
    path = Path(file)
    if path.exists() and not force:
        raise GatepostError(f"{path} is there already", "name another file, or --force")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        raise GatepostError(f"{path}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as part:
            out = FORMATS[form](cast(BinaryIO, part))
            yield out
            out.close()
            part.flush()
            os.fsync(part.fileno())
        os.replace(name, path)
    except OSError as error:
        raise GatepostError(f"{path}: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, list | dict) else value


def _typed(row: dict[str, Any], reading: ReadingDict) -> dict[str, Any]:
    value = row["value"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = None if number or value is None else str(_cell(value))
    return {**row, "timestamp": reading.time, "value": float(value) if number else None, "text": text}
