"""Cost of curves out of a long log: `python -m tools.harness.history [--days N] [--devices N]`."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import orjson

from gatepost.agent.api.handlers.curves import shown
from gatepost.agent.core.clock import US, SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import Store
from gatepost.agent.store.curves.reader import auto_step
from gatepost.agent.store.database import PAGE_SIZE
from gatepost.agent.store.model import IN_STEP, Series, checksum, series_row
from gatepost.agent.store.schema import script

DAY = 86_400
UNITS = {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}
COMMON = {"metric_type": "pulse_oximetry", "units": UNITS, "quality": "good", "flags": []}
NO_FINGER = {**COMMON, "quality": "uncertain", "flags": ["spo2:no-finger"]}
RANGES = {"1 h": 3600, "6 h": 6 * 3600, "24 h": DAY, "7 d": 7 * DAY, "30 d": 30 * DAY}


def fill(path: Path, days: float, devices: int, now: int) -> None:
    """A log of oximeters that report once a second, as schema version 2 has it."""
    with sqlite3.connect(path, isolation_level=None) as db:
        db.executescript(f"PRAGMA page_size = {PAGE_SIZE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        db.executescript(script(1) + script(2) + "PRAGMA user_version = 2")
        db.execute("INSERT INTO boot VALUES (1, 'earlier', NULL)")
        for device in range(devices):
            for part, common in enumerate((COMMON, NO_FINGER)):
                series = Series(2 * device + part + 1, 1, f"oximeter-{device + 1}", None, orjson.dumps(common))
                db.execute("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", series_row(series))
        db.execute("BEGIN")
        db.executemany("INSERT INTO reading VALUES (?, ?, ?, ?, ?, ?, ?)", _rows(int(days * DAY), devices, now))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _rows(seconds: int, devices: int, now: int) -> Iterator[tuple[Any, ...]]:
    rng, seq = Random(1), 0
    for second in range(seconds):
        wall = (now - seconds + second) * US
        for device in range(devices):
            seq += 1
            values: dict[str, float] = {"heart_rate": rng.randrange(60, 100)}
            off = second // 600 % 50 == 7
            if not off:
                values |= {"spo2": rng.randrange(90, 100), "perfusion_index": round(rng.random() * 5, 2)}
            row = (seq, 2 * device + 1 + off, wall, wall - US, IN_STEP)
            body = orjson.dumps(values)
            yield (*row, checksum(*row, body), body)


async def _opened(path: Path) -> Store:
    return await Store.open(path, "measured", StoreSettings(), SystemClock(), EventBus())


async def measure(path: Path, now: int) -> None:
    store = await _opened(path)
    before, began = (await store.stats())["bytes"], time.process_time()
    await store.summaries.catch_up()
    grown, used = (await store.stats())["bytes"] - before, time.process_time() - began
    print(f"summaries: {grown / before:.2%} of the log, {used / store.head * 1e6:.1f} us of CPU a reading")
    await store.close()
    for name, seconds in RANGES.items():
        store = await _opened(path)  # anew: nothing is in memory
        wall, cpu, since = time.perf_counter(), time.process_time(), now - seconds
        found = await store.history.curves("oximeter-1", None, since, now, auto_step(since, now))
        assert found is not None
        body = orjson.dumps(shown("oximeter-1", found))
        spent = (time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3
        points = max((len(cells) for cells in found.curves.values()), default=0)
        print(
            f"{name:>5}: {spent[0]:6.0f} ms, {spent[1]:4.0f} ms of CPU, {len(body) / 1e3:5.1f} kB, "
            f"{len(found.curves)} curves, {points} points of {found.step} s, complete: {found.complete}"
        )
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--devices", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, now = Path(folder) / "gatepost.db", int(time.time())
        fill(path, options.days, options.devices, now)
        asyncio.run(measure(path, now))


if __name__ == "__main__":
    main()
