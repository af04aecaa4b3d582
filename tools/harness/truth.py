"""Stored readings by the agent's database, read from outside and read-only."""

from __future__ import annotations

import sqlite3
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection
from contextlib import closing
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import orjson

from gatepost.agent.store.model import whole_body

NEWER = "SELECT seq, device, bits, body FROM reading JOIN series ON series.id = series WHERE seq > ? ORDER BY seq"
WAL_HEADER, FRAME_HEADER = 32, 24  # https://www.sqlite.org/fileformat2.html#the_write_ahead_log
PAUSE = 0.003  # seconds between two looks
EVENT = 4  # bit of a row that is no reading


class Row(NamedTuple):
    """A stored row; n and ts are what the device printed, -1 for an event."""

    device: str
    n: int
    ts: int
    event: bool


class Stored:
    """Every stored row by its id; `read` adds what came since."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._head = 0
        self._gateway = ""
        self._starts: dict[str, int] = {}  # the place of each start of the agent, by what its ids share
        self.rows: dict[str, Row] = {}

    def read(self) -> None:
        """Raises sqlite3.Error when the file cannot be read."""
        with closing(connect(self._state)) as db:
            if not self._gateway:
                meta = dict(db.execute("SELECT key, value FROM meta"))
                self._gateway = meta["gateway"]
            starts = db.execute("SELECT first, epoch FROM start ORDER BY first").fetchall()
            for seq, device, bits, body in db.execute(NEWER, (self._head,)):
                self._head = seq
                told = {} if bits & EVENT else orjson.loads(whole_body(bits, body))
                row = Row(device, int(told.get("n", -1)), int(told.get("ts", -1)), bool(bits & EVENT))
                epoch = starts[bisect_right(starts, seq, key=itemgetter(0)) - 1][1]
                self.rows[f"{self._gateway}:{epoch}:{seq}"] = row

    def forget(self, gone: Collection[str], newer: Stored) -> None:
        """These rows are there no more; `newer` has read what is."""
        left = {key: row for key, row in self.rows.items() if key not in gone}
        # What made room is not in the log any more, and numbers begin again, in another start, after an older copy.
        for key in (*self.rows, *newer.rows):
            self._starts.setdefault(key.rpartition(":")[0], len(self._starts))

        def place(item: tuple[str, Row]) -> tuple[int, int]:
            start, _, number = item[0].rpartition(":")
            return self._starts[start], int(number)

        self.rows = dict(sorted((left | newer.rows).items(), key=place))
        self._head = newer._head

    def integrity(self) -> str:
        """ "ok", or what SQLite found."""
        with closing(connect(self._state)) as db:
            return str(db.execute("PRAGMA integrity_check").fetchone()[0])

    def owed(self) -> int:
        """Rows that the agent itself has not noted as acknowledged, by all brokers together."""
        with closing(connect(self._state)) as db:
            ranges = db.execute("SELECT urgent, lo, hi FROM owed").fetchall()
            count = "SELECT count(*) FROM reading WHERE seq >= ? AND seq < ? AND bits & 1 = ?"
            return sum(int(db.execute(count, (lo, hi, urgent)).fetchone()[0]) for urgent, lo, hi in ranges)

    def counted_losses(self) -> dict[str, int]:
        """What the agent itself says it lost, by reason."""
        with closing(connect(self._state)) as db:
            return dict(db.execute("SELECT reason, sum(count) FROM gap GROUP BY reason"))


class Watch:
    """Notes when rows became visible to another connection, that is, were committed."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._heads, self._times = array("q"), array("q")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def when(self, sequence: int) -> int | None:
        """Wall nanoseconds at which this row was first seen stored, up to one look late."""
        at = bisect_left(self._heads, sequence)
        return self._times[at] if at < len(self._times) else None

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5.0)

    def _look(self) -> None:
        with closing(connect(self._state)) as db:
            version = -1
            while not self._stop.wait(PAUSE):
                now_version = db.execute("PRAGMA data_version").fetchone()[0]
                if now_version == version:
                    continue
                version = now_version
                head = db.execute("SELECT max(seq) FROM reading").fetchone()[0] or 0
                if not self._heads or head > self._heads[-1]:
                    self._heads.append(head)
                    self._times.append(time.time_ns())


def unmoved(folder: Path) -> int:
    """Bytes that the next checkpoints will write into the databases below `folder`: pages that wait in their WALs."""
    total = 0
    for wal in folder.rglob("*-wal"):
        data = wal.read_bytes()
        if len(data) < WAL_HEADER:
            continue
        size, salts = int.from_bytes(data[8:12], "big"), data[16:24]
        pages = set()
        for at in range(WAL_HEADER, len(data) - size, FRAME_HEADER + size):
            if data[at + 8 : at + 16] != salts:
                break
            pages.add(data[at : at + 4])
        total += len(pages) * size
    return total


def database(state: Path) -> Path:
    """The log in a state directory."""
    found = sorted(state.glob("*.db"))
    if len(found) != 1:
        raise FileNotFoundError(f"{state} holds {len(found)} databases, not 1")
    return found[0]


def connect(state: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{database(state)}?mode=ro", uri=True, timeout=10.0, check_same_thread=False)
    db.execute("PRAGMA query_only = ON")
    db.text_factory = lambda octets: octets.decode("utf-8", "replace")  # what damage has made of a text is no other
    return db
