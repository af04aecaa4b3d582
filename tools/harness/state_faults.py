"""Faults of the state under a torture run: an older copy of it comes back, its disk is full for a while."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.harness.account import Window
from tools.harness.state_files import StateFiles
from tools.harness.truth import Row, Stored

LOG = "gatepost.db"


class StateFaults:
    """What older copies took away: `gone`, the rows that were stored and are there no more; `wrong`, what did not hold.

    An older copy of the log beside a newer mark must be told by a gap record. Of one of the whole directory only the
    broker can know; but no id may ever be given twice.
    """

    def __init__(self, state: Path, rng: random.Random, stored: Stored) -> None:
        self.files = StateFiles(state, rng)
        self.gone: dict[str, Row] = {}
        self.told = 0
        self.wrong: list[str] = []
        self.windows: list[Window] = []  # what was stored in them may be gone
        self._state, self._rng, self._stored = state, rng, stored
        self._before: set[str] = set()
        self._told_before = 0
        self._all = False

    def roll_back(self) -> None:
        """The agent is down: an older copy takes the place of what is there."""
        with _copied(self._state) as copy:
            copy.read()
            self._before = set(copy.rows)
            self._stored.rows |= copy.rows  # what came since it was read last
        self._all = self._rng.random() < 0.3
        source = self.files.roll_all_back() if self._all else self.files.roll_back(LOG)
        if source is None:
            raise FileNotFoundError("there is no older copy")
        self._since = int(source.name.rpartition("-")[2])
        with _copied(self._state) as copy:
            self._told_before = copy.counted_losses().get("log-damaged", 0)

    def account(self, now: int) -> None:
        """The agent is there again: what is gone, and whether that was told."""
        newer = Stored(self._state)
        newer.read()
        gone = {key: self._stored.rows[key] for key in self._before - newer.rows.keys()}
        told = newer.counted_losses().get("log-damaged", 0) - self._told_before
        lost = sum(not row.event for row in gone.values())
        if not self._all and told < lost:
            self.wrong.append(f"an older log: {lost} rows are gone, {told} were told")
        self.told += told
        for rows in (gone, self._stored.rows):
            again = [key for key, row in newer.rows.items() if key in rows and rows[key] != row]
            self.wrong += [f"an id was given twice: {key}" for key in again[:3]]
        self.gone |= gone
        self._stored.forget(gone, newer)
        self.windows.append(Window(self._since, now))


@contextmanager
def _copied(state: Path) -> Iterator[Stored]:
    """The log of an agent that is down, read elsewhere: reading it would change its files."""
    with tempfile.TemporaryDirectory() as folder:
        for name in (LOG, f"{LOG}-wal"):
            if (state / name).exists():
                shutil.copy(state / name, Path(folder) / name)
        yield Stored(Path(folder))
