"""Check a log, and carry what can be read of a damaged one into a new file. Plain sqlite3: runs in a thread, or from
the command line while no agent runs."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.errors import StoreError
from agent.store import carve
from agent.store.database import PAGE_SIZE, sql
from agent.store.ranges import Ranges
from agent.store.rows import checksum
from agent.store.schema import EPOCH_BYTES, STEPS, VERSION

JUMP = 1_000_000_000  # sequence numbers left out after a repair, so that no id of a lost row is given twice
SIDE_TABLES = ("meta", "boot", "series", "owed", "gap", "dead_letter", "state", "ledger")
SUFFIXES = ("", "-wal", "-shm")


@dataclass
class Report:
    """What a check or a repair found."""

    path: str
    healthy: bool = True
    problems: list[str] = field(default_factory=list)
    rows: int = 0
    damaged: int = 0  # rows whose checksum failed
    lost: int = 0  # rows that a broker still owed and that could not be read
    aside: str = ""  # where the damaged file is now

    @property
    def aside_name(self) -> str:
        return Path(self.aside).name if self.aside else ""

    def problem(self, what: str) -> None:
        self.healthy = False
        self.problems.append(what)


def check(path: Path) -> Report:
    """Read everything: SQLite's own integrity check, then the checksum of every row. Changes nothing."""
    report = Report(str(path))
    if not path.exists():
        raise StoreError(f"There is no database at {path}.", "Name the file, or the settings with --config.")
    try:
        with contextlib.closing(_open_readonly(path)) as db:
            for (line,) in db.execute("PRAGMA integrity_check(20)"):
                if line != "ok":
                    report.problem(str(line))
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                report.problem(f"schema version {version} belongs to a newer agent (this one knows {VERSION})")
                return report
            for seq, crc, body in db.execute("SELECT seq, crc, body FROM reading ORDER BY seq"):
                report.rows += 1
                if crc != checksum(seq, body):
                    report.damaged += 1
    except sqlite3.Error as error:
        report.problem(str(error))
    if report.damaged:
        report.problem(f"{report.damaged} rows fail their checksum")
    return report


def repair(path: Path) -> Report:
    """Check, and where the file is damaged set it aside and carry over what can be read."""
    report = check(path)
    if report.healthy:
        return report
    salvaged = salvage(path)
    salvaged.problems = report.problems
    return salvaged


def salvage(path: Path, next_seq: int = 0) -> Report:
    """Set the file aside and make a new one from every row that reads and passes its checksum.

    The epoch stays when it can be read, and the sequence jumps ahead: no id is ever given twice.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in SUFFIXES:
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    report = Report(str(path), healthy=False, aside=str(aside))
    fresh = path.with_name(path.name + ".salvage")
    for suffix in SUFFIXES:
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(fresh, isolation_level=None)) as new:
        new.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        new.execute("PRAGMA synchronous = FULL")
        for names in STEPS.values():
            for name in names:
                new.executescript(sql(name))
        new.execute(f"PRAGMA user_version = {VERSION}")
        new.execute("BEGIN")
        _carry(aside, new, report, next_seq)
        new.execute("COMMIT")
    fresh.rename(path)
    return report


def _carry(aside: Path, new: sqlite3.Connection, report: Report, next_seq: int) -> None:
    """First what SQLite itself can still read; where it fails, whatever the raw pages hold."""
    complete: dict[str, bool] = dict.fromkeys(SIDE_TABLES, False)
    whole = False
    try:
        with contextlib.closing(_open_readonly(aside)) as old:
            for table in SIDE_TABLES:
                complete[table] = _copy_table(old, new, table)
            whole = _copy_rows(old, new, report)
    except sqlite3.Error as error:
        report.problem(str(error))
    if not complete["series"] or not whole:
        for row in carve.series(aside):
            new.execute("INSERT OR IGNORE INTO series (id, boot, device, patient, common) VALUES (?, ?, ?, ?, ?)", row)
    if not whole:
        for row in carve.readings(aside):
            text = sql("reading_insert").replace("INSERT", "INSERT OR IGNORE", 1)
            report.rows += new.execute(text, row).rowcount
    _patch_series(new)
    seen = (next_seq, *new.execute("SELECT coalesce((SELECT max(seq) FROM reading), 0), max(lo) FROM owed").fetchone())
    highest = max(number or 0 for number in seen)
    if new.execute(sql("meta_get"), ("epoch",)).fetchone() is None:
        new.execute(sql("meta_put"), ("epoch", carve.epoch(aside) or secrets.token_hex(EPOCH_BYTES)))
    new.execute(sql("meta_put"), ("floor", str(highest + JUMP)))
    if not complete["owed"]:
        # Nobody knows what was delivered: every broker gets everything again, which its ids make harmless.
        new.execute("DELETE FROM owed")
        new.execute(sql("meta_put"), ("starting", "1"))
    report.lost = _missing(new, highest)


def _copy_rows(old: sqlite3.Connection, new: sqlite3.Connection, report: Report) -> bool:
    """Rows in order until the first that cannot be read; whether that was the end."""
    try:
        for row in old.execute("SELECT seq, series, wall, mono, bits, crc, body FROM reading ORDER BY seq"):
            if row[5] != checksum(row[0], row[6]):
                report.damaged += 1
                continue
            new.execute(sql("reading_insert"), row)
            report.rows += 1
    except (sqlite3.Error, TypeError) as error:
        report.problem(str(error))
        return False
    return True


def _open_readonly(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def _copy_table(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> bool:
    """Whether the whole table could be read."""
    try:
        columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
        if not columns:
            return True
        marks = ", ".join("?" * len(columns))
        for row in old.execute(f"SELECT {', '.join(columns)} FROM {table}"):  # noqa: S608 - names of our own schema
            new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)  # noqa: S608
    except sqlite3.Error:
        return False
    return True


def _patch_series(new: sqlite3.Connection) -> None:
    """Rows whose series could not be read are kept, under a series that says so."""
    new.execute("INSERT OR IGNORE INTO boot (id, name) SELECT DISTINCT boot, 'lost-' || boot FROM series")
    new.execute("INSERT OR IGNORE INTO boot (id, name) VALUES (1, 'lost-1')")
    new.execute(
        "INSERT OR IGNORE INTO series (id, boot, device, patient, common) "
        "SELECT DISTINCT series, (SELECT min(id) FROM boot), 'unknown', NULL, "
        """'{"metric_type":"unknown","units":{},"quality":"uncertain","flags":["series:lost"]}' FROM reading"""
    )


def _missing(new: sqlite3.Connection, highest: int) -> int:
    owed = Ranges(limit=100_000)
    for lo, hi in new.execute("SELECT lo, hi FROM owed"):
        owed.add(lo, min(hi, highest + 1))
    lost = 0
    for lo, hi in owed:
        present = new.execute("SELECT count(*) FROM reading WHERE seq >= ? AND seq < ?", (lo, hi)).fetchone()[0]
        lost += hi - lo - present
    return max(0, lost)
