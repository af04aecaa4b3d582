"""Log mark: the highest number stored, kept in a small file beside the database, so that a loss of rows is seen."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import msgspec

from gatepost.agent.core.atomic_file import sync_directory

SUFFIX = ".mark"
SLOTS = 2  # a write that the power cut tears spoils one of them
SLOT_OCTETS = 4096  # a block of the file system
MAX_STARTS = 48  # that fit into one; rows of those before are one count


class StartRows(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one start that the log should hold: `rows` of the numbers `first` to `last`. `lost` more of them were
    stored, and told as gone since. Without an epoch: of several starts, or of one that was lost with a damaged file."""

    first: int
    epoch: str
    last: int
    rows: int = 0
    lost: int = 0


class LogMark(msgspec.Struct, frozen=True, kw_only=True):
    """Mark of a log: what it held when the mark was written."""

    seq: int = 0  # the highest number stored
    starts: tuple[StartRows, ...] = ()  # the last one is that which wrote it
    floor: int = 0  # of the log: it rises with each loss, so a log with a lower one is a copy of before
    command: int = 0  # when the newest command of the ledger was recorded, wall microseconds
    running: bool = False  # it was not stopped in order since
    unstored: int = 0  # readings taken that could not be stored before the stop
    wal: str = ""  # the generation of the write-ahead log
    turn: int = 0

    @property
    def writer(self) -> StartRows:
        """The start that wrote it."""
        return self.starts[-1] if self.starts else StartRows(1, "", 0)


class LogMarkFile:
    """File of the mark, rewritten in place: it takes no room on a full disk. Every call blocks and raises OSError."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + SUFFIX)
        self._turn = 0
        self._handle: int | None = None

    def read(self) -> LogMark | None:
        """The newest mark that is whole; None when there is none, or something that is no file."""
        if not self.path.is_file():
            return None
        with self.path.open("rb") as file:
            data = file.read(SLOTS * SLOT_OCTETS)
        marks = [_decoded(data[at : at + SLOT_OCTETS]) for at in range(0, len(data), SLOT_OCTETS)]
        newest = max((mark for mark in marks if mark is not None), key=lambda mark: mark.turn, default=None)
        self._turn = newest.turn + 1 if newest else 0
        return newest

    def write(self, mark: LogMark, durable: bool) -> None:
        """Without `durable` it outlives the process, not yet a power cut: no wear until it is made durable."""
        handle = self._open()
        octets = _encoded(msgspec.structs.replace(mark, turn=self._turn))
        if len(octets) > SLOT_OCTETS:
            raise OSError(errno.EFBIG, "it is larger than its place")
        os.pwrite(handle, octets, self._turn % SLOTS * SLOT_OCTETS)
        if durable:
            os.fdatasync(handle)
            self._turn += 1
            if not os.fstat(handle).st_nlink:  # removed under way
                self.close()

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if self._handle is None:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            try:
                if os.fstat(handle).st_size < SLOTS * SLOT_OCTETS:
                    os.pwrite(handle, bytes(SLOTS * SLOT_OCTETS), 0)
                    os.fsync(handle)
                    sync_directory(self.path.parent)
            except BaseException:
                os.close(handle)
                raise
            self._handle = handle
        return self._handle


def _encoded(mark: LogMark) -> bytes:
    body = msgspec.json.encode(mark)
    return (b"%08x %b" % (zlib.crc32(body), body)).ljust(SLOT_OCTETS)


def _decoded(octets: bytes) -> LogMark | None:
    checksum, _, body = octets.rstrip(b" \0").partition(b" ")  # zeros: an earlier agent's mark was shorter
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        return msgspec.json.decode(body, type=LogMark)
    except msgspec.MsgspecError:
        return None
