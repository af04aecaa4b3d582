"""WAL tail: frames of the write-ahead log that SQLite leaves out because one before them is damaged, and their rows.

They are kept in a file of their own until their rows are in the log again, because SQLite removes the write-ahead log.
SQLite file format, section 4: a frame counts only when all before it do; https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from gatepost.agent.core.atomic_file import sync_directory, write_atomic
from gatepost.agent.store.damage import carve
from gatepost.agent.store.database import PAGE_SIZE, wal_of
from gatepost.agent.store.model import Series

log = logging.getLogger(__name__)

FRAME = carve.FRAME_HEADER + PAGE_SIZE
SUFFIX = ".wal-tail"
ByteOrder = Literal["big", "little"]


@dataclass
class WalTail:
    """Tail of a write-ahead log. `damaged`: transactions in it were finished; the rows are those that are whole."""

    damaged: bool = False
    readings: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    series: list[Series] = field(default_factory=list)


def read_tail(database: Path, marked: int, fresh: bool = True) -> WalTail:
    """The tail that was kept, and with `fresh` that of the write-ahead log, which is kept now; `marked`: the highest
    number known to be stored. Opens the database, which makes SQLite look how far its log reaches.

    Raises sqlite3.Error, OSError.
    """
    kept = _kept(database)
    octets = kept.read_bytes() if kept.is_file() else b""
    pages = [octets[at : at + PAGE_SIZE] for at in range(0, len(octets) - PAGE_SIZE + 1, PAGE_SIZE)]
    wal = wal_of(database)
    if fresh and wal.exists() and wal.stat().st_size >= carve.WAL_HEADER + FRAME:
        with wal.open("rb") as file, contextlib.closing(sqlite3.connect(database, isolation_level=None)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            _, valid, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            found = _damaged_pages(file, max(0, valid), lambda: marked > _last(db))
            if found:
                pages += found
                try:  # before the connection is closed, which removes the write-ahead log
                    write_atomic(kept, b"".join(pages))
                except OSError as error:
                    log.warning("the rest of a damaged write-ahead log could not be kept: %s", error.strerror)
    tail = WalTail(damaged=bool(pages))
    for page in pages:
        for row in carve.readings_of(page):
            tail.readings[row[0]] = row
        tail.series += carve.series_of(page)
    return tail


def keep_frames(database: Path) -> None:
    """Keep what a write-ahead log holds that belongs to another file than that beside it, for `read_tail`. Raises
    OSError."""
    kept = _kept(database)
    octets = kept.read_bytes() if kept.is_file() else b""
    with wal_of(database).open("rb") as file:
        write_atomic(kept, octets + b"".join(_damaged_pages(file, 0, lambda: True)))


def forget_tail(database: Path) -> None:
    """Its rows are in the log again. Raises OSError."""
    kept = _kept(database)
    if kept.exists():
        kept.unlink()
        sync_directory(kept.parent)


def _kept(database: Path) -> Path:
    return database.with_name(database.name + SUFFIX)


def _last(db: sqlite3.Connection) -> int:
    try:
        return int(db.execute("SELECT coalesce(max(seq), 0) FROM reading").fetchone()[0])
    except sqlite3.Error:
        return 0


def _damaged_pages(file: BinaryIO, valid: int, shorter: Callable[[], bool]) -> list[bytes]:
    """Pages behind the valid frames, where these ended a transaction that was finished; empty where nothing was."""
    header = file.read(carve.WAL_HEADER)
    whole = _header_is_whole(header)
    salts = {header[16:20], header[20:24]} if whole else None  # None: nothing says which frames are old
    orders: tuple[ByteOrder, ...] = (_order(header),) if whole else ("little", "big")
    file.seek(carve.WAL_HEADER + valid * FRAME)
    data = file.read()
    pages, finished, followed = list[bytes](), False, False
    before = b""  # the frame before, where that ended a transaction
    for at in range(0, len(data) - FRAME + 1, FRAME):
        frame = data[at : at + FRAME]
        if salts is not None and frame[8:12] not in salts and frame[12:16] not in salts:
            before = b""
            continue
        pages.append(frame[carve.FRAME_HEADER :])
        # The next transaction began, so this one was on the disk; a last one may be torn by a power cut before it was.
        followed = followed or (bool(before) and any(_follows(before, frame, order) for order in orders))
        before = frame if frame[4:8] != bytes(4) else b""
        finished = finished or bool(before)
    return pages if followed or (finished and shorter()) else []


def _follows(before: bytes, frame: bytes, order: ByteOrder) -> bool:
    """Whether the checksum of this frame goes on from that of the one before it."""
    seed = struct.unpack(">II", before[16:24])
    return _checksum(frame[:8] + frame[carve.FRAME_HEADER :], order, seed) == frame[16:24]


def _order(header: bytes) -> ByteOrder:
    return "big" if header[3] & 1 else "little"


def _header_is_whole(header: bytes) -> bool:
    if int.from_bytes(header[:4], "big") not in (0x377F0682, 0x377F0683):
        return False
    return header[24:32] == _checksum(header[:24], _order(header))


def _checksum(data: bytes, order: ByteOrder, seed: Sequence[int] = (0, 0)) -> bytes:
    first, second = seed
    for one, two in struct.iter_unpack(">II" if order == "big" else "<II", data):
        first = first + one + second & 0xFFFFFFFF
        second = second + two + first & 0xFFFFFFFF
    return struct.pack(">II", first, second)
