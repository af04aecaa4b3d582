"""Damage run: the agent is killed under serial input, its state is damaged, and it starts again.

`python -m tools.harness.damage`: bits, cuts, older copies and removed files, over the log, its write-ahead log, its
mark, the audit log and the settings that it keeps; a disk that is full for a while. Each time: it starts, what is gone
and was stored is told by gap records, what is there is as it was, and the broker never got one id with two contents.
Where the whole directory is an older copy, only the broker can know what is missing.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from operator import itemgetter
from pathlib import Path

import orjson

from gatepost.agent.store.damage.log_mark import LogMarkFile
from gatepost.agent.store.model import is_sound, lost_series, whole_body
from tools.harness import program
from tools.harness.account import Arrivals
from tools.harness.helper import Helper, HelperFailed, end_cleanly_when_asked
from tools.harness.state_files import StateFiles, small_disk
from tools.harness.tap import HOT
from tools.harness.truth import EVENT, Row, connect

BROKER = "cloud"
START = 90.0  # seconds
ROWS = """SELECT seq, series, wall, mono, bits, reading.crc, body, device
FROM reading LEFT JOIN series ON series.id = series"""
GAPS = "SELECT time, reason, count, first_seq, last_seq FROM gap"
TELLING = ("log-damaged", "damaged-database", "damaged-row", "log-full", "stopped-unstored")
Gap = tuple[int, str, int, int | None, int | None]


class DamageRun:
    """One run in a folder of its own. `wrong` says what did not hold."""

    def __init__(self, stack: ExitStack, folder: Path, rate: float, seed: int) -> None:
        self.rng = random.Random(seed)
        self.rate = rate
        self.state = folder / "state"
        self.state.mkdir()
        self.small = small_disk(stack, self.state)
        self.feeder = stack.enter_context(Helper("feeder", folder=str(folder), devices=3, urgent=50))
        tap = stack.enter_context(Helper("tap", upstream=None, journal=str(folder / "cloud.journal")))
        self.tap, self.arrivals = tap, Arrivals(folder / "cloud.journal")
        ttys = [folder / f"tty-{index}" for index in range(3)]
        settings = program.agent_settings(folder, {BROKER: tap.hello["port"]}, ttys, HOT)
        if self.small:
            settings["store"] = {"reserve": "1MB"}
        self.agent = stack.enter_context(program.agent(folder, settings))
        self.files = StateFiles(self.state, self.rng)
        self.did: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.lost = self.told = self.rows = 0

    def run(self, rounds: int) -> None:
        self._start()
        for number in range(1, rounds + 1):
            self.feeder.ask("feed", rate=self.rate)
            time.sleep(self.rng.uniform(0.5, 3.0))
            name, what = self._choose()
            self.did[name] += 1
            try:
                self._round(name, what)
            except (HelperFailed, OSError, sqlite3.Error) as error:
                self._blame(f"round {number}, {name}: {error}; {self.agent.tail(400)}")
                if not self.agent.running:
                    self._start()
            if number % 10 == 0:
                print(
                    f"round {number}: {self.rows} rows, lost {self.lost}, told {self.told}, wrong {len(self.wrong)}",
                    flush=True,
                )

    def _choose(self) -> tuple[str, Callable[[], object]]:
        files = self.files
        log = "gatepost.db"
        targets = {
            "log": log,
            "write-ahead log": f"{log}-wal",
            "mark": f"{log}.mark",
            "audit": "audit.log",
            "settings": "last-good.json",
        }
        pick = self.rng.random()
        if pick < 0.08:
            return "nothing", lambda: None
        if pick < 0.16:
            return "directory older", files.roll_all_back
        if pick < 0.22:
            return "log and write-ahead log removed", lambda: (files.remove(log), files.remove(f"{log}-wal"))[0]
        if pick < 0.30 and self.small:
            return "disk full", self.files.fill
        target, kind = self.rng.choice(list(targets)), self.rng.choice(list(files.kinds))
        return f"{target}: {kind}", lambda: files.kinds[kind](targets[target])

    def _round(self, name: str, what: Callable[[], object]) -> None:
        if name == "disk full":
            what()
            time.sleep(self.rng.uniform(0.5, 3.0))
        orderly = self.rng.random() < 0.2
        if orderly:
            self.agent.stop(30.0)
        else:
            self.agent.kill()
        before, gaps_before = self._stored(copy=True)
        self._count_arrivals(before)
        untold = self._untold(name, before)
        if self.rng.random() < 0.5:
            self.files.keep()
        if name != "disk full":
            with suppress(FileNotFoundError):  # an orderly stop leaves no write-ahead log
                what()
        if name == "disk full" and self.rng.random() < 0.5:
            self.files.empty()  # else it starts on a full disk
        self._start()
        if name == "disk full":
            time.sleep(1.0)
            self.files.empty()
        self._read_all()
        after, gaps = self._stored()
        self.rows = len(after)
        changed = [key for key, row in after.items() if key in before and row != before[key]]
        if changed:
            self._blame(f"{name}: {len(changed)} rows changed, {changed[0]}")
        # By what they say: where the table of starts is lost, what is left gets other ids.
        # On a full disk, what every broker had makes room.
        kept = self.arrivals.times if name == "disk full" else ()
        gone = set(before.values()) - set(after.values()) - untold
        # Readings whose series is lost stay, and say so themselves.
        unknown = {(row.n, row.ts) for row in after.values() if row.device == lost_series(0).device}
        missing = {row for row in gone if not row.event and row.ts not in kept and (row.n, row.ts) not in unknown}
        new = Counter(gaps) - Counter(gaps_before)
        told = sum(gap[2] * count for gap, count in new.items() if gap[1] in TELLING)
        self.lost += len(missing)
        self.told += told
        if name != "directory older" and told < len(missing):
            few = f"{sorted(missing)[:2]}, gaps {sorted(new)[:3]}"
            self._blame(f"{name}{' after a stop' * orderly}: {len(missing)} rows missing, {told} told; {few}")
        if name == "nothing" and told:
            self._blame(f"a false alarm: {new}")

    def _untold(self, name: str, before: dict[str, Row]) -> set[Row]:
        """Rows that were committed in the moment of the kill: they are not in the mark yet, and nobody was told."""
        mark = LogMarkFile(self.state / "gatepost.db").read()
        if mark is None:
            return set()
        later = {key: row for key, row in before.items() if int(key.rpartition(":")[2]) > mark.seq}
        if early := sorted(later.keys() & self.arrivals.sent.keys()):
            self._blame(f"{name}: {len(early)} rows were sent before they were marked, {early[0]}")
        return set(later.values())

    def _blame(self, what: str) -> None:
        self.wrong.append(what)
        print(f"WRONG {what}", flush=True)

    def _count_arrivals(self, before: dict[str, Row]) -> None:
        """What the broker got is what was stored under that id."""
        self.tap.ask("stats")
        self.arrivals.read()
        other = [
            key
            for key, row in before.items()
            if key in self.arrivals.sent and self.arrivals.sent[key] != (row.device, row.n)
        ]
        other = [key for key in other if not before[key].event]
        if other or self.arrivals.changed:
            contents = [f"{key}: sent {self.arrivals.sent[key]}, stored {before[key]}" for key in other[:2]]
            self._blame(f"an id with two contents: {[*contents, *self.arrivals.changed][:4]}")
            self.arrivals.changed.clear()

    def _stored(self, copy: bool = False) -> tuple[dict[str, Row], list[Gap]]:
        """Rows and gap records, of a copy where the agent is not there: reading would change the files."""
        with tempfile.TemporaryDirectory() as folder:
            state = self.state
            if copy:
                state = Path(folder)
                for suffix in ("", "-wal"):
                    source = self.state / f"gatepost.db{suffix}"
                    if source.exists():
                        shutil.copy(source, state / source.name)
            with closing(connect(state)) as db:
                gaps: list[Gap] = db.execute(GAPS).fetchall()
                meta = dict(db.execute("SELECT key, value FROM meta"))
                starts = db.execute("SELECT first, epoch FROM start ORDER BY first").fetchall()
                rows = {}
                for *row, crc, body, device in db.execute(ROWS):
                    if is_sound(tuple(row), crc, body):  # else it is one of those that are lost
                        told, event = orjson.loads(whole_body(row[4], body)), bool(row[4] & EVENT)
                        epoch = starts[bisect_right(starts, row[0], key=itemgetter(0)) - 1][1]
                        n, ts = (-1, -1) if event else (int(told["n"]), int(told["ts"]))
                        rows[f"{meta['gateway']}:{epoch}:{row[0]}"] = Row(device or "", n, ts, event)
        return rows, gaps

    def _read_all(self) -> None:
        """Everything is read once, so that all damage shows; what was lost is written down a moment later."""
        out = self.state.parent / "export.jsonl"
        command = [
            str(Path(sys.executable).with_name("gatepost")),
            "export",
            str(out),
            "--force",
            "--socket",
            str(self.state.parent / "api.sock"),
        ]
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.5)
        time.sleep(1.5)
        self.feeder.ask("stop")
        time.sleep(1.2)

    def _start(self) -> None:
        self.feeder.ask("release")
        self.agent.start(timeout=START)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rate", type=float, default=200.0, help="lines a second over three devices (200)")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    end_cleanly_when_asked()
    folder = Path(tempfile.mkdtemp(prefix="gatepost-damage-"))
    try:
        with ExitStack() as stack:
            run = DamageRun(stack, folder, asked.rate, seed)
            run.run(asked.rounds)
            report = {"did": dict(run.did), "rows": run.rows, "lost": run.lost, "told": run.told}
            report["starts"], report["slowest start, s"] = len(run.agent.starts), max(run.agent.starts)
            print(json.dumps({**report, "wrong": run.wrong}, indent=1))
            return 1 if run.wrong else 0
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
