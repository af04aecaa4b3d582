"""WAL tail: frames of the write-ahead log that SQLite leaves out because one before them is damaged, and their rows.

SQLite file format, section 4: a frame counts only when all before it do; https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gatepost.agent.store.damage import carve
from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.model import Series

FRAME = carve.FRAME_HEADER + PAGE_SIZE


@dataclass
class WalTail:
    """Tail of a write-ahead log. `damaged`: transactions in it were finished; the rows are those that are whole."""

    damaged: bool = False
    readings: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)


def read_tail(database: Path) -> WalTail:
    """Opens the file, which makes SQLite look how far its log reaches. Raises sqlite3.Error, OSError."""
    wal = database.with_name(database.name + "-wal")
    if not wal.exists() or wal.stat().st_size < carve.WAL_HEADER + FRAME:
        return WalTail()
    data = wal.read_bytes()
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        _, valid, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return _tail_of(data, max(0, valid))


def _tail_of(data: bytes, valid: int) -> WalTail:
    tail = WalTail()
    salts = {data[16:20], data[20:24]} if _header_is_whole(data) else None  # None: nothing says which frames are old
    pages = list[bytes]()
    for at in range(carve.WAL_HEADER + valid * FRAME, len(data) - FRAME + 1, FRAME):
        head = data[at : at + carve.FRAME_HEADER]
        if salts is None or head[8:12] in salts or head[12:16] in salts:
            pages.append(data[at + carve.FRAME_HEADER : at + FRAME])
            tail.damaged = tail.damaged or head[4:8] != bytes(4)  # it ends a transaction
    for page in pages if tail.damaged else ():
        for row in carve.readings_of(page):
            tail.readings[row[0]] = row
        tail.series += carve.series_of(page)
    return tail


def _header_is_whole(data: bytes) -> bool:
    magic = int.from_bytes(data[:4], "big")
    if magic not in (0x377F0682, 0x377F0683):
        return False
    order: Literal["big", "little"] = "big" if magic & 1 else "little"
    first = second = 0
    for at in range(0, 24, 8):
        first = first + int.from_bytes(data[at : at + 4], order) + second & 0xFFFFFFFF
        second = second + int.from_bytes(data[at + 4 : at + 8], order) + first & 0xFFFFFFFF
    return data[24:32] == first.to_bytes(4, "big") + second.to_bytes(4, "big")
