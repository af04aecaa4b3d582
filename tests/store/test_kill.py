"""Killed with -9 at any moment: what the process was told is stored is there, once, under its id, with its series."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from gatepost.agent.store import check
from gatepost.agent.store.ranges import FOREVER

CYCLES = 20
CHILD = """
import asyncio, sys
from pathlib import Path
from random import Random
import orjson
from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import Store

async def main(path, seed):
    rng = Random(seed)
    clock = SystemClock()
    clock.boot_id = f"boot-{seed // 3}"
    settings = StoreSettings(commit_interval=rng.choice([0.0, 0.001, 0.01]), max_size=400_000, reserve=0)
    store = await Store.open(path, "gw", settings, clock, EventBus(), rng)
    store.backlog.set_brokers(("a",))
    tasks = [asyncio.create_task(run()) for run in store.background_tasks().values()]
    told = []

    def stored():
        lines = b""
        while told and told[0][0] <= store.head:
            seq, device, value = told.pop(0)
            lines += orjson.dumps([store.reading_id(seq), device, value]) + b"\\n"
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()

    store.on_stored.append(stored)
    value = seed * 1_000_000
    while True:
        for _ in range(rng.randrange(40)):
            value += 1
            device = f"d-{rng.randrange(4)}-{rng.randrange(seed + 1)}"
            series = store.series(device, None, {"metric_type": "reading", "units": {}, "quality": "good", "flags": []})
            seq = store.append(series, clock.now(), orjson.dumps({"n": value}), rng.random() < 0.05)
            told.append((seq, device, value))
        if rng.random() < 0.1:
            store.lost("d", 1, "queue-full")
        await asyncio.sleep(rng.choice([0, 0, 0.002]))
        if rng.random() < 0.3:
            sys.stdout.buffer.write(orjson.dumps(["settled", "", store.head // 2]) + b"\\n")
            sys.stdout.buffer.flush()
            store.backlog.position("a").settle(0, 0, store.head // 2)
            store.backlog.position("a").count(100)
        if rng.random() < 0.02:
            await store.retention.once()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def test_every_id_that_was_told_is_there_once_after_any_kill(start: Any, tmp_path: Path) -> None:
    path = tmp_path / "gatepost.db"
    rng = random.Random(4)
    told: dict[str, tuple[str, int]] = {}
    settled = [0]  # numbers below it were settled by a broker, whether that was written or not

    def cycle(number: int) -> None:
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path), str(number)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.1))
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
        child.wait(20)
        child.stdout.close()
        for line in (first + rest).splitlines():
            try:
                id_, device, value = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # cut by the kill
            if id_ == "settled":
                settled[0] = max(settled[0], value)
                continue
            assert id_ not in told, "an id was given twice"
            told[id_] = (device, value)

    for number in range(CYCLES):
        await asyncio.to_thread(cycle, number)
    assert len(told) > CYCLES * 10
    async with start() as run:
        found: dict[str, tuple[str, int]] = {}
        for track in (0, 1):
            for record in await run.store.queries.page(track, 0, FOREVER, 1_000_000):
                if not record.bits & 4:
                    id_ = run.store.reading_id(record.seq)
                    assert id_ not in found
                    found[id_] = (run.store.series_of(record.series).device, orjson.loads(record.body)["n"])
        assert {id_: row for id_, row in found.items() if id_ in told} == {
            id_: told[id_] for id_ in told if id_ in found
        }
        assert len(found.keys() & told.keys()) > CYCLES * 10
        missing = sorted(int(id_.rsplit(":", 1)[1]) for id_ in told.keys() - found.keys())
        dropped = sum(gap["count"] for gap in await run.store.gaps(100_000) if gap["reason"] == "log-full")
        assert sum(seq >= settled[0] for seq in missing) <= dropped
        assert await run.store.database.pragma("integrity_check") == "ok"
    assert (await asyncio.to_thread(check, path)).healthy
