"""Sequences of damage on the store alone: many more of them than whole agents can go through.

`python -m tools.harness.damage_sequences`: each time the store takes readings, is killed (a quarter of the time
stopped), its files are damaged, and it opens again. As in the damage run: what is gone is told, where nothing was done
nothing is told, and no id is ever that of two readings.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import orjson

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import Store
from tools.harness.damage import GAPS, TELLING
from tools.harness.state_files import StateFiles
from tools.harness.truth import connect

LOG = "gatepost.db"
PLENTY = 1 << 40
KEPT = {"metric_type": "reading", "units": {}, "quality": "good", "flags": []}
Fault = tuple[str, Callable[[], object]]


class DamageSequence:
    """One sequence in a folder of its own. `wrong` says what did not hold, `story` what was done."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.state, self.spare = folder / "state", folder / "spare"
        self.state.mkdir()
        self.files = StateFiles(self.state, self.rng)
        self.given: dict[str, int] = {}  # id -> the reading that has it
        self.wrong: list[str] = []
        self.story: list[str] = []
        self._n = 0

    async def run(self, rounds: int) -> None:
        await self._open()
        try:
            for _ in range(rounds):
                await self._fill()
                if self.rng.random() < 0.2:
                    await self._store.database.checkpoint("TRUNCATE")
                    await self._fill()
                await self._round()
                if self.wrong:
                    break
        finally:
            await self._close(finish=False)

    async def _open(self) -> None:
        settings = StoreSettings(commit_interval=0.0)
        self._store = store = await Store.open(
            self.state / LOG, "gw", settings, SystemClock(), EventBus(), random.Random(1), lambda: PLENTY
        )
        # So that generations of the write-ahead log begin under way, too.
        await store.database.write_script(f"PRAGMA wal_autocheckpoint = {self.rng.choice((60, 4000))}")
        store.backlog.set_brokers(("cloud",))
        self._tasks = [asyncio.create_task(task()) for task in store.background_tasks().values()]

    async def _close(self, finish: bool) -> None:
        if finish:
            self._store.finish()
            await asyncio.wait_for(self._tasks[0], 10)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.close()

    async def _fill(self) -> None:
        store, seq = self._store, 0
        for _ in range(self.rng.choice((1, 5, 20, 60, 150))):
            self._n += 1
            series = store.series(f"d{self.rng.randrange(3)}", None, KEPT)
            seq = store.append(series, SystemClock().now(), b"%b" % orjson.dumps({"n": self._n}))
            if self.rng.random() < 0.1:
                await store.stored(seq)
        await store.stored(seq)

    async def _round(self) -> None:
        before = await self._read()
        orderly = self.rng.random() < 0.25
        if not orderly:  # what a kill leaves is what is there now
            shutil.copytree(self.state, self.spare, ignore=shutil.ignore_patterns("*.damaged-*"))
        await self._close(finish=orderly)
        if not orderly:
            shutil.rmtree(self.state)
            self.spare.rename(self.state)
        gaps_before = self._gaps()
        if self.rng.random() < 0.5:
            self.files.keep()
        name, damage = self._choose()
        self.story.append(f"{'stop' if orderly else 'kill'}, {name}")
        with suppress(FileNotFoundError):
            damage()
        await self._open()
        await self._read()
        for _ in range(1000):
            if not self._store.writer.waiting and self._store.pending.losses_left() is None:
                break
            await asyncio.sleep(0.01)
        missing = len(before - await self._read())
        told = sum(gap[2] * count for gap, count in (self._gaps() - gaps_before).items() if gap[1] in TELLING)
        if told < missing and name != "directory older":
            self.wrong.append(f"{missing} readings are missing, {told} were told")
        if told and name == "nothing":
            self.wrong.append(f"a false alarm of {told}")

    async def _read(self) -> set[int]:
        """All readings, as a broker gets them."""
        found = set()
        for record in await self._store.queries.page(0, 0, PLENTY, PLENTY):
            name = self._store.reading_id(record.seq)
            try:
                n = orjson.loads(record.body).get("n")
            except orjson.JSONDecodeError:  # two flips of a row can cancel each other in its checksum
                self.wrong.append(f"{name} is not what was stored")
                continue
            if n:  # else an event of the gateway
                if self.given.setdefault(name, n) != n:
                    self.wrong.append(f"{name} was reading {self.given[name]} and is {n}")
                found.add(n)
        return found

    def _gaps(self) -> Counter[tuple[object, ...]]:
        """Gap records, of a copy: reading would change the files."""
        with tempfile.TemporaryDirectory() as folder:
            for path in self.state.glob(f"{LOG}*"):
                if path.name in (LOG, f"{LOG}-wal"):
                    shutil.copy(path, folder)
            with closing(connect(Path(folder))) as db:
                return Counter(db.execute(GAPS))

    def _choose(self) -> Fault:
        files = self.files
        target, kind = self.rng.choice((LOG, f"{LOG}-wal", f"{LOG}.mark")), self.rng.choice(list(files.kinds))
        faults: list[Fault] = [
            ("nothing", lambda: None),
            ("directory older", files.roll_all_back),
            ("log and write-ahead log removed", lambda: (files.remove(LOG), files.remove(f"{LOG}-wal"))),
            (f"{target}: {kind}", lambda: files.kinds[kind](target)),
        ]
        return self.rng.choices(faults, (15, 10, 5, 70))[0]


def play(seed: int, rounds: int, base: Path | None = None) -> DamageSequence:
    """The same seed damages the same files; how far a write had come differs."""
    with tempfile.TemporaryDirectory(prefix="gatepost-sequence-", dir=base) as folder:
        sequence = DamageSequence(Path(folder), seed)
        asyncio.run(asyncio.wait_for(sequence.run(rounds), 120))
        return sequence


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=8, help="of each sequence (8)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one; those after it count up (0)")
    parser.add_argument("--folder", type=Path, help="where to put them, best in memory (that for temporary files)")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    wrong = 0
    for seed in range(asked.seed, asked.seed + asked.sequences):
        sequence = play(seed, asked.rounds, asked.folder)
        if sequence.wrong:
            wrong += 1
            print(f"WRONG, seed {seed}: {sequence.wrong[:3]} after {sequence.story}", flush=True)
        if (seed - asked.seed + 1) % 100 == 0:
            print(f"{seed - asked.seed + 1} sequences, {wrong} wrong", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
