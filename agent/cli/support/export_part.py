"""Part file of `gatepost export`: beside its place until it is complete, with a mark of how far it got, so that what
was broken off goes on."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from gatepost.agent.cli.support.export_writers import refuse_existing
from gatepost.agent.core.atomic_file import write_atomic
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.named_files import read_regular

KEEP_EVERY = 1.0  # seconds


class ExportMark(msgspec.Struct):
    """How far an export got; `asked` are its options as they were given, `since` and `until` what they meant then."""

    asked: dict[str, Any]
    since: str | None = None
    until: str | None = None
    cursor: int | None = None  # of the next page
    octets: int = 0
    readings: int = 0


class PartFile:
    """Part file of one export, at the end of what its mark says."""

    def __init__(self, file: BinaryIO, place: Path, mark: ExportMark) -> None:
        self.file = file
        self.mark = mark
        self._place = place
        self._due = 0.0

    def keep(self, cursor: int | None, readings: int) -> None:
        """Everything up to here counts, and the page of `cursor` comes next; on the disk once a second."""
        mark = self.mark
        mark.cursor, mark.octets, mark.readings = cursor, self.file.tell(), mark.readings + readings
        if time.monotonic() >= self._due:
            self.settle()
            self._due = time.monotonic() + KEEP_EVERY

    def settle(self) -> None:
        """What was kept is on the disk, before the mark that counts on it."""
        if self.mark.cursor is not None:
            self.file.flush()
            os.fsync(self.file.fileno())
            write_atomic(self._place, msgspec.json.encode(self.mark), 0o600)


@contextmanager
def part_file(path: Path, force: bool, mark: ExportMark) -> Iterator[PartFile]:
    """Put in its place when the block is left; after an error it stays for the next time, if it has a page. A mark with
    other options is not gone on from. Raises GatepostError."""
    refuse_existing(path, force)
    part, place = (path.with_name(f".{path.name}.{ending}") for ending in ("part", "mark"))
    try:
        with open(os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "r+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise GatepostError(f"another export writes {path}", "wait for its end") from None
            found = _earlier(place, mark, os.fstat(file.fileno()).st_size) or mark
            file.truncate(found.octets)
            file.seek(found.octets)
            made = PartFile(file, place, found)
            try:
                yield made
                file.flush()
                os.fsync(file.fileno())
                os.replace(part, path)
                place.unlink(missing_ok=True)
            except BaseException:
                with suppress(OSError):
                    made.settle()
                raise
            finally:
                if not place.exists():  # complete, or not one page was kept
                    part.unlink(missing_ok=True)
    except OSError as error:
        raise GatepostError(f"{path}: {error.strerror or error}") from error


def _earlier(place: Path, mark: ExportMark, size: int) -> ExportMark | None:
    """Of the same export, broken off."""
    try:
        found = msgspec.json.decode(read_regular(place), type=ExportMark)
    except (OSError, msgspec.MsgspecError):
        return None
    whole = found.asked == mark.asked and found.cursor is not None and found.octets <= size
    return found if whole else None
