"""The hash chain of the audit log: canonical lines, and the check of what stands in its files.

A line is JSON with sorted keys; `hash` = SHA-256 over `prev` and the same object without `hash`. The first line's
`prev` is 64 zeros. A line torn by a crash stays, followed by an `audit-torn` line that names its length and digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

GENESIS = "0" * 64
TORN = "audit-torn"
DAMAGED = frozenset({"audit-damaged", "audit-truncated"})  # the log itself says that it is not whole
MAX_LINE = 1 << 20
KEEP = 15  # full files beside the current one


class ChainLink(NamedTuple):
    """The last line so far."""

    seq: int
    hash: str


class ChainBreak(NamedTuple):
    """The first place that does not hold."""

    file: str
    line: int
    why: str


class ChainReport(NamedTuple):
    """`torn` = marked leftovers of crashes (harmless); `broken` None = the chain holds."""

    lines: int
    torn: int
    broken: ChainBreak | None


def seal(entry: dict[str, Any], last: ChainLink) -> tuple[bytes, ChainLink]:
    """An entry as the next line (with its line end), and the link that it makes."""
    full = entry | {"seq": last.seq + 1, "prev": last.hash}
    digest = _digest(full)
    line = orjson.dumps(full | {"hash": digest}, option=orjson.OPT_SORT_KEYS)
    return line + b"\n", ChainLink(last.seq + 1, digest)


def unseal(line: bytes) -> dict[str, Any] | None:
    """The entry, if the line is exactly what `seal` made of it."""
    try:
        entry = orjson.loads(line)
        if not isinstance(entry, dict) or orjson.dumps(entry, option=orjson.OPT_SORT_KEYS) != line:
            return None
        bare = {name: value for name, value in entry.items() if name != "hash"}
        whole = isinstance(bare.get("seq"), int) and isinstance(bare.get("prev"), str)
        return entry if whole and entry.get("hash") == _digest(bare) else None
    except (orjson.JSONDecodeError, TypeError):
        return None


def link(entry: dict[str, Any]) -> ChainLink:
    return ChainLink(entry["seq"], entry["hash"])


def torn_note(leftover: bytes) -> dict[str, Any]:
    return {"what": TORN, "bytes": len(leftover), "sha256": hashlib.sha256(leftover).hexdigest()}


def files(path: Path) -> list[Path]:
    """The log's files that there are, oldest first: `audit-000000004711.log` (by last line), then `audit.log`."""
    older = sorted(path.parent.glob(f"{path.stem}-{'[0-9]' * 12}{path.suffix}"))
    return [*older, path] if path.exists() else older


def verify(path: Path, head: ChainLink | None = None, keep: int = KEEP) -> ChainReport:
    """Check every line; `head` is a link that is known from elsewhere, which shows a cut-off end. Reads only.

    The chain may begin late only where `keep` full files are there, so that older ones have gone.
    """
    present = files(path)
    check = _Check(head, whole=len(present) <= keep)
    for file in present:
        with file.open("rb") as handle:
            for number, raw in enumerate(_lines(handle), 1):
                if not check.take(file.name, number, raw):
                    return check.result()
    return check.finish()


class _Check:
    def __init__(self, head: ChainLink | None, whole: bool) -> None:
        self._head = head
        self._whole = whole
        self._last: ChainLink | None = None
        self._leftover: tuple[str, int, bytes] | None = None  # an unreadable line, until its note is seen
        self._broken: ChainBreak | None = None
        self._place = ("", 0)
        self._lines = 0
        self._torn = 0

    def take(self, file: str, number: int, raw: bytes) -> bool:
        """False at the first line that does not hold."""
        self._place = (file, number)
        entry = unseal(raw.removesuffix(b"\n")) if raw.endswith(b"\n") else None
        if entry is None:
            if self._leftover is not None:
                return self._fail(*self._leftover[:2], "unreadable or changed")
            self._leftover = (file, number, raw)
            return True
        if self._leftover is not None:
            where, line, left = self._leftover
            note = torn_note(left.removesuffix(b"\n"))
            if any(entry.get(name) != value for name, value in note.items()):
                return self._fail(where, line, "unreadable or changed")
            self._leftover = None
            self._torn += 1
        why = self._wrong(entry)
        if why:
            return self._fail(file, number, why)
        self._last = link(entry)
        self._lines += 1
        return True

    def _wrong(self, entry: dict[str, Any]) -> str:
        if self._last is None:
            if (self._whole or entry["seq"] == 1) and (entry["seq"] - 1, entry["prev"]) != (0, GENESIS):
                return "the beginning is missing"
        elif (entry["seq"] - 1, entry["prev"]) != self._last:
            return "does not follow the line before"
        if self._head is not None and entry["seq"] == self._head.seq and entry["hash"] != self._head.hash:
            return "is not the line that was written"
        return "the log was found damaged here" if entry.get("what") in DAMAGED else ""

    def finish(self) -> ChainReport:
        if self._leftover is not None:
            file, line, left = self._leftover
            if left.endswith(b"\n"):
                self._fail(file, line, "unreadable or changed")
            else:
                self._torn += 1  # a crash's leftover, or a line being written at this moment
        if self._broken is None and self._head is not None and (self._last is None or self._last.seq < self._head.seq):
            missing = self._head.seq - (self._last.seq if self._last else 0)
            self._fail(self._place[0], self._place[1] + 1, f"the end is missing: {missing} lines")
        return self.result()

    def result(self) -> ChainReport:
        return ChainReport(self._lines, self._torn, self._broken)

    def _fail(self, file: str, line: int, why: str) -> bool:
        self._broken = ChainBreak(file, line, why)
        return False


def newest_first(path: Path, block: int = 1 << 16) -> Iterator[bytes]:
    """The raw lines of all files backwards, without their ends; a last one without an end comes first."""
    for file in reversed(files(path)):
        with file.open("rb") as handle:
            yield from _backwards(handle, block)


def _backwards(handle: BinaryIO, block: int) -> Iterator[bytes]:
    position = handle.seek(0, 2)
    rest = b""
    while position > 0:
        size = min(block, position)
        position -= size
        handle.seek(position)
        first, *others = (handle.read(size) + rest).split(b"\n")
        rest = first[:MAX_LINE]
        yield from (line for line in reversed(others) if line)
    if rest:
        yield rest


def _lines(handle: BinaryIO) -> Iterable[bytes]:
    return iter(lambda: handle.readline(MAX_LINE), b"")


def _digest(entry: dict[str, Any]) -> str:
    body = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(entry["prev"].encode() + body).hexdigest()
