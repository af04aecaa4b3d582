"""Rows out of the raw pages of a damaged file, without its schema or its tree (SQLite file format, sections 1.6 and 2).

Readings and series carry a checksum, so what is found stands for itself, whatever is broken around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.model import Series, is_sound, series_from
from gatepost.agent.store.ranges import FOREVER

TABLE_LEAF, INDEX_LEAF = 0x0D, 0x0A
WAL_HEADER, FRAME_HEADER = 32, 24
MAX_COLUMNS = 16
Record = tuple[int, list[Any]]  # row id, columns


def readings(path: Path) -> Iterator[tuple[Any, ...]]:
    """Rows of the log: seq, series, wall, mono, bits, crc, body; each one passed its checksum."""
    for page, follow in _pages(path):
        yield from readings_of(page, follow)


def readings_of(page: bytes, file: Path | None = None) -> Iterator[tuple[Any, ...]]:
    """Rows of the log on one page; `file` holds its overflow pages."""
    for seq, columns in _table_cells(page, file):
        if len(columns) == 7 and isinstance(columns[6], bytes) and all(type(column) is int for column in columns[1:6]):
            row = (seq, *columns[1:])
            if 0 < seq < FOREVER and is_sound(row[:5], row[5], row[6]):
                yield row


def series(path: Path) -> Iterator[Series]:
    """Series that pass their checksum."""
    for page, follow in _pages(path):
        yield from series_of(page, follow)


def series_of(page: bytes, file: Path | None = None) -> Iterator[Series]:
    """Series on one page."""
    for number, columns in _table_cells(page, file):
        if len(columns) == 6 and isinstance(columns[4], str):
            found = series_from((number, *columns[1:]))
            if found is not None:
                yield found


def meta(path: Path) -> dict[str, str]:
    """What can be read of the epoch (schema version 1) and of the highest floor, wherever a copy of their page is."""
    found: dict[str, str] = {}
    for page, _ in _pages(path):
        for columns in _index_cells(page):
            if len(columns) == 2 and isinstance(columns[1], str):
                key, value = columns
                if key == "epoch":
                    found.setdefault(key, value)
                elif key == "floor" and value.isdecimal() and int(value) > int(found.get(key, 0)):
                    found[key] = value
    return found


def _pages(path: Path) -> Iterator[tuple[bytes, Path | None]]:
    """Every page of the file, then those of its write-ahead log; overflow pages are followed in the file only."""
    with path.open("rb") as file:
        number = 0
        while page := file.read(PAGE_SIZE):
            number += 1
            if len(page) == PAGE_SIZE:
                yield (page[100:] if number == 1 else page), path
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        with wal.open("rb") as file:
            file.seek(WAL_HEADER)
            while len(frame := file.read(FRAME_HEADER + PAGE_SIZE)) == FRAME_HEADER + PAGE_SIZE:
                yield frame[FRAME_HEADER:], None


def _cells(page: bytes, kind: int) -> Iterator[int]:
    """Offsets of the cells of a leaf page."""
    if page[0] != kind:
        return
    shift = PAGE_SIZE - len(page)  # the first page begins behind the file's header
    for index in range(min(int.from_bytes(page[3:5], "big"), PAGE_SIZE // 4)):
        at = int.from_bytes(page[8 + 2 * index : 10 + 2 * index], "big") - shift
        if 8 <= at < len(page):
            yield at


def _table_cells(page: bytes, path: Path | None) -> Iterator[Record]:
    for at in _cells(page, TABLE_LEAF):
        try:
            size, at = _varint(page, at)
            rowid, at = _varint(page, at)
            yield rowid, _record(_payload(page, at, size, PAGE_SIZE - 35, path))
        except (IndexError, ValueError, OSError):
            continue


def _index_cells(page: bytes) -> Iterator[list[Any]]:
    for at in _cells(page, INDEX_LEAF):
        try:
            size, at = _varint(page, at)
            yield _record(_payload(page, at, size, (PAGE_SIZE - 12) * 64 // 255 - 23, None))
        except (IndexError, ValueError, OSError):
            continue


def _payload(page: bytes, at: int, size: int, most: int, path: Path | None) -> bytes:
    if size <= most:
        if at + size > len(page):
            raise ValueError("a cell leaves its page")
        return page[at : at + size]
    least = (PAGE_SIZE - 12) * 32 // 255 - 23
    local = least + (size - least) % (PAGE_SIZE - 4)
    local = local if local <= most else least
    if path is None or size > path.stat().st_size:
        raise ValueError("overflow pages cannot be followed")
    parts = [page[at : at + local]]
    following = int.from_bytes(page[at + local : at + local + 4], "big")
    left = size - local
    with path.open("rb") as file:
        while left > 0 and following:
            file.seek((following - 1) * PAGE_SIZE)
            more = file.read(PAGE_SIZE)
            parts.append(more[4 : 4 + left])
            left -= PAGE_SIZE - 4
            following = int.from_bytes(more[:4], "big")
    return b"".join(parts)


def _record(payload: bytes) -> list[Any]:
    """The columns of a record; ValueError when it is none."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
        if len(kinds) > MAX_COLUMNS:
            raise ValueError("too many columns")
    columns: list[Any] = []
    at = end
    for kind in kinds:
        size = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind] if kind < 10 else (kind - 12) // 2
        value = payload[at : at + size]
        if kind in (10, 11) or len(value) != size:
            raise ValueError("a column is cut")
        at += size
        if kind == 0:
            columns.append(None)
        elif kind in (8, 9):
            columns.append(kind - 8)
        elif kind == 7:
            raise ValueError("no table here holds floating point numbers")
        elif kind < 7:
            columns.append(int.from_bytes(value, "big", signed=True))
        else:
            columns.append(value if kind % 2 == 0 else value.decode())
    return columns


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        octet = data[at + index]
        if index == 8:
            return value << 8 | octet, at + 9
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, at + index + 1
    raise ValueError("not reached")
