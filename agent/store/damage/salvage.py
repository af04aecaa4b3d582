"""Salvage of a damaged log: check it, and copy what can be read into a new file. Plain sqlite3: runs in a thread,
or from the command line while no agent runs."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from gatepost.agent.core.atomic_file import sync_directory
from gatepost.agent.core.errors import StoreError
from gatepost.agent.store.damage import carve
from gatepost.agent.store.database import sql
from gatepost.agent.store.model import is_sound, lost_series, series_from, series_row, text_checksum
from gatepost.agent.store.ranges import FOREVER, Ranges
from gatepost.agent.store.schema import VERSION, create, too_new
from gatepost.agent.store.start_epochs import is_start, start_row

JUMP = 1_000_000_000  # sequence numbers left out after a repair, so that no id of a lost row is given twice
SALVAGED = "salvaged"  # in meta, until the mark is compared: the repairs since
UNREADABLE = (sqlite3.Error, UnicodeDecodeError, OverflowError)  # what sqlite3 says of a file with flipped bits
NUMBERS = ("floor", "starting")  # of meta
SIDE_TABLES = ("meta", "boot", "start", "series", "owed", "gap", "dead_letter", "state", "ledger")
SUFFIXES = ("", "-wal", "-shm")
SOUND: dict[str, Callable[[tuple[Any, ...]], bool]] = {
    "series": lambda row: series_from(row) is not None,
    "start": is_start,
    "boot": lambda row: type(row[0]) is int and type(row[2]) in (int, type(None)),
    "meta": lambda row: row[0] not in NUMBERS or (isinstance(row[1], str) and row[1].isdecimal()),
    "owed": lambda row: row[-1] == text_checksum(*row[:-1]),
}
MAX_ASIDE = 3  # damaged files that are kept: on a dying card they would fill what is left of it


class Repair(msgspec.Struct, frozen=True, array_like=True):
    """A repair: the rows that it has told as lost, and the floor of the log before and after it."""

    lost: int
    before: int
    after: int


@dataclass
class SalvageReport:
    """What a check or a repair found."""

    path: str
    healthy: bool = True
    problems: list[str] = field(default_factory=list)
    rows: int = 0
    damaged: int = 0  # rows whose checksum failed
    floor: int = 0  # no number up to this one is given again
    lost: int = 0  # rows that a broker still owed and that could not be read
    aside: str = ""  # where the damaged file is now

    @property
    def aside_name(self) -> str:
        return Path(self.aside).name if self.aside else ""

    def problem(self, what: str) -> None:
        self.healthy = False
        self.problems.append(what)


def make(path: Path, gateway: str) -> None:
    """A new log, where there is none. Blocks; raises sqlite3.Error, OSError."""
    fresh = _beside(path, ".fresh")
    remove(fresh)
    _make_private(fresh, path)
    create(fresh)
    with contextlib.closing(sqlite3.connect(fresh)) as new, new:
        new.execute(sql("meta_put"), ("gateway", gateway))
    fresh.rename(path)
    sync_directory(path.parent)


def check(path: Path) -> SalvageReport:
    """Read everything: SQLite's own integrity check, then the checksum of every row. Changes nothing, but for a repair
    that was interrupted: that is finished.

    Raises StoreError when there is no file, or a newer agent wrote it.
    """
    report = SalvageReport(str(path))
    settle(path)
    if not path.exists():
        raise StoreError(f"there is no database at {path}", "name the file, or the settings with --config")
    try:
        with contextlib.closing(_open_readonly(path)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise too_new(version)
            for (line,) in db.execute("PRAGMA integrity_check(20)"):
                if line != "ok":
                    report.problem(str(line))
            known = {row[0] for row in db.execute("SELECT * FROM series") if series_from(row)}
            for seq, series, wall, mono, bits, crc, body in db.execute("SELECT * FROM reading ORDER BY seq"):
                report.rows += 1
                if not is_sound((seq, series, wall, mono, bits), crc, body):
                    report.damaged += 1
                elif series not in known:
                    known.add(series)
                    report.problem(f"series {series} is lost")
    except UNREADABLE as error:
        report.problem(str(error))
    if report.damaged:
        report.problem(f"{report.damaged} rows fail their checksum")
    return report


def copy_log(source: Path, target: Path) -> None:
    """Copy of a sound log while its agent goes on, without free pages (sqlite.org/lang_vacuum.html, VACUUM INTO).

    `target` must not exist. Raises StoreError.
    """
    try:
        with contextlib.closing(_open_readonly(source)) as db:
            db.execute("VACUUM INTO ?", (str(target),))
        with contextlib.closing(sqlite3.connect(target)) as copy, copy:
            copy.execute(sql("meta_drop"), ("marked",))  # its mark stays behind, and is not missed where it is restored
    except sqlite3.Error as error:
        hint = "`gatepost store check` shows whether it is damaged"
        raise StoreError(f"{source} could not be copied: {error}", hint) from error


def repair(path: Path) -> SalvageReport:
    """Check, and where the file is damaged set it aside and carry over what can be read."""
    report = check(path)
    if report.healthy:
        return report
    salvaged = salvage(path)
    salvaged.problems = report.problems
    return salvaged


def salvage(path: Path, next_seq: int = 0) -> SalvageReport:
    """Make a new file from every row that reads and passes its checksum, and set the damaged one aside.

    Epochs stay where all of them can be read, and the sequence jumps ahead: no id is ever given twice. A crash at any
    moment leaves either the damaged file in its place, or a finished new one that `settle` puts there.
    """
    report = SalvageReport(str(path), healthy=False, aside=str(_aside(path)))
    fresh = _beside(path, ".salvage")
    remove(fresh)
    _make_private(fresh, path)
    create(fresh)
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as new:
        new.execute("PRAGMA synchronous = FULL")
        new.execute("BEGIN")
        _carry(path, new, report, next_seq)
        new.execute("COMMIT")
    fresh.rename(_beside(path, ".mended"))
    sync_directory(path.parent)
    settle(path, Path(report.aside))
    return report


def _make_private(fresh: Path, path: Path) -> None:
    """Readings are nobody else's, whatever the umask of whoever repairs; and the service must be able to open it."""
    os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    fresh.chmod(0o600)
    with contextlib.suppress(OSError):
        before = path.stat()
        os.chown(fresh, before.st_uid, before.st_gid)


def settle(path: Path, aside: Path | None = None) -> None:
    """Finish what a crash may have interrupted: a new file that is whole takes the place of the damaged one."""
    mended = _beside(path, ".mended")
    if not mended.exists():
        return
    aside = aside or _aside(path)
    for suffix in reversed(SUFFIXES):  # the log first: it must not be taken for one of the new file
        source = _beside(path, suffix)
        if source.exists():
            source.rename(_beside(aside, suffix))
    mended.rename(path)
    sync_directory(path.parent)
    for old in asides(path)[:-MAX_ASIDE]:
        remove(old)


def asides(path: Path) -> list[Path]:
    """Files that were set aside as damaged, the oldest first."""
    return sorted(path.parent.glob(f"{path.name}.damaged-*Z"))


def _carry(aside: Path, new: sqlite3.Connection, report: SalvageReport, next_seq: int) -> None:
    """First what SQLite itself can still read; where it fails, whatever the raw pages hold."""
    complete: dict[str, bool] = dict.fromkeys(SIDE_TABLES, False)
    whole = False
    try:
        with contextlib.closing(_open_readonly(aside)) as old:
            for table in SIDE_TABLES:
                complete[table] = _copy_table(old, new, table)
            whole = _copy_rows(old, new, report)
    except UNREADABLE as error:
        report.problem(str(error))
    if not complete["series"] or not whole:
        for series in carve.series(aside):
            new.execute("INSERT OR IGNORE INTO series VALUES (?, ?, ?, ?, ?, ?)", series_row(series))
    if not whole:
        insert = sql("reading_insert").replace("INSERT", "INSERT OR IGNORE", 1)
        for row in carve.readings(aside):
            report.rows += new.execute(insert, row).rowcount
    known = not _patch_series(new)
    meta = carve.meta(aside)
    kept = dict(new.execute("SELECT key, value FROM meta"))
    floors = [int(found["floor"]) for found in (meta, kept) if found.get("floor", "").isdecimal()]
    seen = [next_seq, *(floor for floor in floors if floor < FOREVER // 2)]
    seen += [n or 0 for n in new.execute("SELECT (SELECT max(seq) FROM reading), max(lo) FROM owed").fetchone()]
    highest = max(seen)
    report.floor = highest + JUMP
    before = max(floors, default=0)
    epoch = kept.get("epoch") or meta.get("epoch")  # of a file of version 1: one for all its rows
    if epoch:
        new.execute(sql("start_put"), start_row(0, epoch))
        new.execute(sql("meta_drop"), ("epoch",))
    elif not complete["start"] or not known:  # an id means a device, too
        new.execute("DELETE FROM start")  # the next start draws another epoch for all of them
    new.execute(sql("meta_put"), ("floor", str(report.floor)))
    if not complete["owed"]:
        # Nobody knows what was delivered: every broker gets everything again, which its ids make harmless.
        new.execute("DELETE FROM owed")
        new.execute(sql("meta_put"), ("starting", "1"))
    report.lost = _missing(new, highest)
    if report.lost:
        now = int(datetime.now(UTC).timestamp() * 1e6)
        new.execute(sql("gap_add"), (now, "damaged-database", None, None, report.lost, 0, None, None, None, None))
    repairs = [*salvaged(kept.get(SALVAGED, "")), Repair(report.lost, before, report.floor)]
    new.execute(sql("meta_put"), (SALVAGED, msgspec.json.encode(repairs).decode()))


def salvaged(text: str, floor: int = 0) -> list[Repair]:
    """The repairs that SALVAGED tells of and a mark of this floor does not know: a write-ahead log that is gone takes
    along that they were compared."""
    try:
        repairs = msgspec.json.decode(text, type=list[Repair]) if text else []
    except msgspec.MsgspecError:
        return []
    return [repair for repair in repairs if repair.after > floor]


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, report: SalvageReport) -> bool:
    """Rows in order until the first that cannot be read; whether that was the end."""
    try:
        for row in old.execute("SELECT seq, series, wall, mono, bits, crc, body FROM reading ORDER BY seq"):
            if is_sound(row[:5], row[5], row[6]):
                new.execute(sql("reading_insert"), row)
                report.rows += 1
            else:
                report.damaged += 1
    except UNREADABLE as error:
        report.problem(str(error))
        return False
    return True


def _open_readonly(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> bool:
    """Whether the whole table could be read."""
    try:
        columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
        marks = ", ".join("?" * len(columns))
        whole, sound = True, SOUND.get(table, _any)
        for row in old.execute(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608 - names of our own schema
            if sound(row):
                new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
            else:
                whole = False
    except UNREADABLE:
        return False
    return whole


def _any(_: tuple[Any, ...]) -> bool:
    return True


def _patch_series(new: sqlite3.Connection) -> bool:
    """Rows whose series could not be read are kept, under a series that says so, of a boot without a known clock;
    whether there are any."""
    for (boot,) in new.execute("SELECT DISTINCT boot FROM series WHERE boot NOT IN (SELECT id FROM boot)").fetchall():
        new.execute("INSERT INTO boot (id, name) VALUES (?, ?)", (boot, f"lost-{boot}-{secrets.token_hex(4)}"))
    orphans = "SELECT DISTINCT series FROM reading WHERE series NOT IN (SELECT id FROM series)"
    numbers = [row[0] for row in new.execute(orphans)]
    if numbers:
        name = f"lost-{secrets.token_hex(4)}"
        boot = new.execute("INSERT INTO boot (name) VALUES (?)", (name,)).lastrowid or 0
        new.executemany(sql("series_add"), [series_row(lost_series(number, boot)) for number in numbers])
    return bool(numbers)


def _missing(new: sqlite3.Connection, highest: int) -> int:
    """Rows owed that are not there, without the numbers that an earlier repair left out."""
    owed = Ranges(limit=100_000)
    for lo, hi in new.execute("SELECT lo, hi FROM owed"):
        owed.add(lo, min(hi, highest + 1))
    lost = 0
    for lo, hi in owed:
        last, jumped, present = lo - 1, 0, 0
        for (seq,) in new.execute("SELECT seq FROM reading WHERE seq >= ? AND seq < ? ORDER BY seq", (lo, hi)):
            if seq - last > JUMP // 2:
                jumped += seq - last - 1
            last, present = seq, present + 1
        if hi - 1 - last > JUMP // 2:
            jumped += hi - 1 - last
        lost += hi - lo - present - jumped
    return max(0, lost)


def _aside(path: Path) -> Path:
    return _beside(path, f".damaged-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S.%fZ')}")


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def replace(copy: Path, path: Path) -> None:
    """Put a whole file in the place of another one, which is set aside if it is there."""
    aside = _aside(path)
    for suffix in reversed(SUFFIXES):
        source = _beside(path, suffix)
        if source.exists():
            source.rename(_beside(aside, suffix))
    copy.rename(path)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """The file and what belongs to it."""
    for suffix in (*SUFFIXES, "-journal"):
        _beside(path, suffix).unlink(missing_ok=True)


def readings_only_in(before: Path, restored: Path) -> int:
    """How many readings one database has and the other has not; 0 where that cannot be seen."""
    if not before.exists():
        return 0
    count = """SELECT count(*) FROM before.reading AS one LEFT JOIN reading AS other
               ON other.seq = one.seq AND other.crc = one.crc WHERE other.seq IS NULL AND NOT one.bits & 4"""
    try:
        with contextlib.closing(sqlite3.connect(f"{restored.as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("ATTACH ? AS before", (f"{before.as_uri()}?mode=ro",))
            return int(connection.execute(count).fetchone()[0])
    except sqlite3.Error:
        return 0
