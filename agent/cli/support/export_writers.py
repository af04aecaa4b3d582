"""Files of `gatepost export`: CSV and Parquet with a row for each value, JSON lines with one for each reading.

A file is written beside its place and put there when it is complete.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson

from gatepost.agent.core.atomic_file import atomic_file
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.printable import printable
from gatepost.agent.store import csv_export
from gatepost.agent.store.csv_export import cell, value_rows
from gatepost.client import ReadingDict
from gatepost.drivers.extras import install_extra


class ExportOutput(Protocol):
    def write(self, readings: Sequence[ReadingDict]) -> None: ...
    def close(self) -> None: ...


class _Lines:
    def __init__(self, file: BinaryIO, begun: bool = False) -> None:
        self._file = file

    def write(self, readings: Sequence[ReadingDict]) -> None:
        self._file.writelines(orjson.dumps(reading, option=orjson.OPT_APPEND_NEWLINE) for reading in readings)

    def close(self) -> None:
        self._file.flush()


class _Csv:
    def __init__(self, file: BinaryIO, begun: bool = False) -> None:
        self._file = file
        if not begun:
            file.write(csv_export.header())

    def write(self, readings: Sequence[ReadingDict]) -> None:
        self._file.write(csv_export.rows(readings))

    def close(self) -> None:
        self._file.flush()


class _Parquet:
    """Numbers in `value`, everything else in `text`; times as timestamps in UTC."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            hint = f"{install_extra('parquet')}; or --format csv"
            raise GatepostError("parquet needs the library pyarrow, which is not installed", hint) from error
        self._arrow = pyarrow
        kinds = dict.fromkeys(csv_export.COLUMNS, pyarrow.string())
        kinds |= {"timestamp": pyarrow.timestamp("us", "UTC"), "value": pyarrow.float64(), "urgent": pyarrow.bool_()}
        self._schema = pyarrow.schema({**kinds, "text": pyarrow.string()})
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, readings: Sequence[ReadingDict]) -> None:
        found = [_typed(row, reading) for reading in readings for row in value_rows(reading)]
        if found:
            self._writer.write_table(self._arrow.Table.from_pylist(found, self._schema))

    def close(self) -> None:
        self._writer.close()


def appended(form: str, file: BinaryIO, begun: bool) -> ExportOutput:
    """Writes csv or jsonl to a file that may have been begun earlier."""
    writer: ExportOutput = FORMATS[form](file, begun)
    return writer


class _TerminalFile:
    """Standard output that is a terminal: what it would obey appears as JSON escapes; programs get it as it is."""

    def write(self, data: bytes) -> int:
        sys.stdout.buffer.write(printable(data.decode(), "\r\n\t").encode())
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        sys.stdout.buffer.flush()


FORMATS: dict[str, Any] = {"csv": _Csv, "jsonl": _Lines, "parquet": _Parquet}


def refuse_existing(path: Path, force: bool) -> None:
    """Raises GatepostError; with `force` only for what is no file: a device or a pipe would be replaced by one."""
    if path.exists() and not force:
        raise GatepostError(f"{path} already exists", "name another file, or --force")
    if path.exists() and not path.is_file():
        raise GatepostError(f"{path} is not a regular file", "name a file; - is the standard output")


@contextmanager
def output(file: str, form: str, force: bool) -> Iterator[ExportOutput]:
    """Raises GatepostError; then there is no file, or the one that was there."""
    if file == "-":
        if form == "parquet":
            raise GatepostError("parquet cannot be written to the standard output", "name a file")
        sys.stdout.flush()
        out = FORMATS[form](_TerminalFile() if sys.stdout.isatty() else sys.stdout.buffer)
        try:
            yield out
        finally:  # also when nobody reads on: what is not detached would close the standard output with itself
            out.close()
        return
    path = Path(file)
    refuse_existing(path, force)
    try:
        with atomic_file(path) as part:
            out = FORMATS[form](part)
            yield out
            out.close()
    except OSError as error:
        raise GatepostError(f"{path}: {error.strerror or error}") from error


def _typed(row: dict[str, Any], reading: ReadingDict) -> dict[str, Any]:
    value = row["value"]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    text = None if number or value is None else str(cell(value))
    return {**row, "timestamp": reading.time, "value": float(value) if number else None, "text": text}
