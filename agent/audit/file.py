"""File of the audit log: appended and fsynced in a thread, mended after a crash, rotated at a bound."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatepost.agent.audit.hash_chain import (
    GENESIS,
    MAX_LINE,
    ChainLink,
    files,
    link,
    newest_first,
    seal,
    torn_note,
    unseal,
)
from gatepost.agent.core.atomic_file import sync_directory
from gatepost.agent.core.named_files import check_regular, open_regular


class AuditFile:
    """Not thread-safe: one call at a time. `last` is the chain's end as written."""

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._handle: int | None = None
        self._size = 0
        self._leftover = b""  # of a write that failed in the middle
        self.last = ChainLink(0, GENESIS)

    def open(self, head: ChainLink | None, time: str) -> list[dict[str, Any]]:
        """Find the chain's end; `head` is the end as known from elsewhere. Returns notes to be written first."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            check_regular(self._path)
        notes: list[dict[str, Any]] = []
        unreadable = 0
        unended = self._unended()
        for raw in newest_first(self._path):
            entry = unseal(raw)
            if entry is not None:
                self.last = link(entry)
                break
            if raw != unended:
                unreadable += 1
        if unreadable:
            notes.append({"time": time, "what": "audit-damaged", "lines": unreadable})
        if head is not None and self.last.seq < head.seq:
            notes.append({"time": time, "what": "audit-truncated", "expected": head.seq, "found": self.last.seq})
            self.last = head
        elif head is not None and self.last.seq == head.seq and self.last.hash != head.hash:
            notes.append({"time": time, "what": "audit-damaged", "lines": 1})
        try:
            self._open()
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.ENOSPC, errno.EDQUOT):
                raise
            return notes  # the disk is full or read-only: it is opened again when something is written
        if unended is not None:
            if unseal(unended) is not None:
                self._append(b"\n")
            else:
                self._leftover = unended
        return notes

    def write(self, entries: Sequence[dict[str, Any]]) -> tuple[int, OSError | None]:
        """Append and fsync; how many entries are in the file now, and what went wrong."""
        try:
            if self._handle is None:
                self._open()
            if self._size >= self._max_bytes:
                self._rotate()
        except OSError as trouble:
            return 0, trouble
        text, last = self._mend(entries[0]["time"]) if self._leftover and entries else (b"", self.last)
        ends = [(len(text), last)]
        for entry in entries:
            line, last = seal(entry, last)
            text += line
            ends.append((len(text), last))
        before = self._size
        done, error = self._append(text)
        written = [end for end in ends if end[0] <= done]
        whole, self.last = written[-1] if written else (0, self.last)
        if written:
            self._leftover = b""
        if done > whole:
            self._take_back(before + whole, text[whole:done])
        return max(0, len(written) - 1), error

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _mend(self, time: str) -> tuple[bytes, ChainLink]:
        """End the torn line where it stands, and say so in the chain."""
        line, last = seal({"time": time, **torn_note(self._leftover)}, self.last)
        return b"\n" + line, last

    def _take_back(self, size: int, partial: bytes) -> None:
        """Half a line that nobody was told of; where the file may only grow, it is marked as torn later."""
        assert self._handle is not None
        try:
            os.ftruncate(self._handle, size)
            self._size = size
        except OSError:
            self._leftover = partial

    def _append(self, text: bytes) -> tuple[int, OSError | None]:
        assert self._handle is not None
        done = 0
        try:
            while done < len(text):
                count = os.write(self._handle, text[done:])
                done += count
                self._size += count
            os.fsync(self._handle)
        except OSError as error:
            return done, error
        return done, None

    def _open(self) -> None:
        new = not self._path.exists()
        self._handle = open_regular(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._size = os.fstat(self._handle).st_size
        if new:
            sync_directory(self._path.parent)

    def _rotate(self) -> None:
        """The full file is named after its last line; the oldest beyond `keep` go."""
        if self._leftover:
            return
        self.close()
        self._path.rename(self._path.with_name(f"{self._path.stem}-{self.last.seq:012d}{self._path.suffix}"))
        for old in files(self._path)[: -self._keep]:
            old.unlink()
        self._open()

    def _unended(self) -> bytes | None:
        """What stands after the last line end of the current file, if anything (at most 1 MiB of it)."""
        if not self._path.exists() or self._path.stat().st_size == 0:
            return None
        with self._path.open("rb") as handle:
            size = handle.seek(0, 2)
            handle.seek(max(0, size - MAX_LINE))
            tail = handle.read()
        return tail.rpartition(b"\n")[2] or None
