"""Measurements beside the pace: idle, memory, outage, backlog, start, status. Each returns figures by name."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from tools.harness import program
from tools.harness.helper import wait_for
from tools.harness.rig import Rig, Row, quantile
from tools.harness.truth import Stored, Watch

Figures = dict[str, Any]
MIB = 1 << 20
DEVICES = 8


def idle(kind: str, base: Path | None, seconds: float) -> Figures:
    """Eight open, silent devices."""
    with Rig(kind, DEVICES, base) as rig:
        rig.start()
        time.sleep(3.0)
        before = rig.program.usage()
        time.sleep(seconds)
        after = rig.program.usage()
        rig.program.stop()
    span = after.at - before.at
    return {
        "cpu_percent": (after.cpu - before.cpu) / span * 100,
        "wakes_per_s": (after.wakes - before.wakes) / span,
        "rss_mib": after.rss / MIB,
        "seconds": span,
    }


def memory(kind: str, base: Path | None, readings: int, rate: float) -> Figures:
    """Resident memory before, while and after `readings` at `rate`; the middle tells whether it is flat."""
    with Rig(kind, DEVICES, base) as rig:
        rig.start()
        start = rig.program.usage().rss
        rig.feeder.ask("feed", rate=rate)
        seen: list[int] = []
        fed = 0
        while fed < readings:
            time.sleep(1.0)
            seen.append(rig.program.usage().rss)
            fed = sum(rig.feeder.ask("stats")["fed"]) - sum(rig.base)
        fed = rig.stop_feeding()
        whole = rig.arrived(fed)
        after = rig.program.usage()
        rig.program.stop()
    return {
        "readings": fed,
        "rate": rate,
        "all_delivered": whole,
        "start_mib": start / MIB,
        "first_tenth_mib": seen[len(seen) // 10] / MIB,
        "half_mib": seen[len(seen) // 2] / MIB,
        "end_mib": seen[-1] / MIB,
        "after_mib": after.rss / MIB,
        "peak_mib": after.peak / MIB,
    }


def outage(kind: str, base: Path | None, rate: float = 500.0, away: float = 20.0) -> Figures:
    """The broker goes away; in the middle of that the program is killed; then live readings beside what is owed."""
    with Rig(kind, DEVICES, base, tap=True) as rig, ExitStack() as stack:
        assert rig.tap is not None
        rig.start()
        rig.feeder.ask("feed", rate=rate)
        time.sleep(3.0)
        rig.tap.ask("mode", mode="refuse")
        time.sleep(away / 2)
        rig.program.kill()
        rig.feeder.ask("release")
        ready = rig.program.start()
        rig.program.opened(rig.ports)
        watch = _watch(rig, kind, stack)
        time.sleep(away / 2)
        rig.tap.ask("mode", mode="pass")
        back = time.time_ns()
        time.sleep(15.0)
        fed = rig.stop_feeding()
        rig.rest()
        rows = rig.rows()
        lost = _lost(rig, kind, rows)
        rig.program.stop()
    later = [row.received for row in rows if row.received > back]
    again = min(later, default=back)
    old = [row for row in rows if row.received > back and row.ts < back]
    drained = max((row.received for row in old), default=back)
    live = [row for row in rows if row.ts > again]
    return {
        "fed": fed,
        "delivered": len({(row.device, row.n) for row in rows}),
        **lost,
        "never_stored": fed - len({(row.device, row.n) for row in rows}) - lost.get("stored_lost", 0),
        "ready_s": ready,
        "reconnected_s": (again - back) / 1e9,
        "owed": len(old),
        "drain_s": (drained - again) / 1e9,
        **_ways(live, watch),
    }


def backlog(kind: str, base: Path | None, readings: int) -> Figures:
    """So many readings owed when the broker returns, then 100 live ones a second beside them."""
    with Rig(kind, DEVICES, base, tap=True) as rig, ExitStack() as stack:
        assert rig.tap is not None
        rig.start()
        took = _owe(rig, readings)
        rss = rig.program.usage().rss
        rig.feeder.ask("feed", rate=100.0)
        watch = _watch(rig, kind, stack)
        time.sleep(2.0)
        before = rig.program.usage()
        rig.tap.ask("mode", mode="pass")
        back = time.time_ns()
        owed = wait_for("the backlog draining", lambda: _arrived(rig, readings), 60 + readings / 1000, 0.5)
        after = rig.program.usage()
        time.sleep(3.0)
        fed = rig.stop_feeding()
        rig.arrived(fed)
        rows = rig.rows()
        lost = _lost(rig, kind, rows)
        rig.program.stop()
    again = min((row.received for row in rows), default=back)
    old = [row for row in rows if row.ts < back]
    drained = max((row.received for row in old), default=back)
    live = [row for row in rows if again < row.ts < drained]
    return {
        "readings": owed,
        "taken_per_s": readings / took,
        "reconnected_s": (again - back) / 1e9,
        "drain_s": (drained - again) / 1e9,
        "drain_per_s": len(old) / max(1e-9, (drained - again) / 1e9),
        "cpu_us_per_reading": (after.cpu - before.cpu) / max(1, len(old)) * 1e6,
        **lost,
        "rss_owed_mib": rss / MIB,
        "peak_mib": after.peak / MIB,
        **_ways(live, watch),
    }


def start(kind: str, base: Path | None, readings: int, times: int = 5) -> Figures:
    """Seconds to READY with an empty log and with one of `readings` rows, all still owed."""
    empty, costs = [], []
    for _ in range(times):
        with Rig(kind, DEVICES, base) as rig:
            empty.append(_start_once(rig))
            costs += rig.program.start_costs
    with Rig(kind, DEVICES, base, tap=True) as rig:
        rig.start()
        _owe(rig, readings)
        rig.program.stop()
        full = [_start_once(rig) for _ in range(times)]
        full_costs = rig.program.start_costs[1:]
    return {
        "readings": readings,
        "empty_s": median(empty),
        "empty_range_s": [min(empty), max(empty)],
        "empty_cpu_s": median(costs),
        "full_s": median(full),
        "full_range_s": [min(full), max(full)],
        "full_cpu_s": median(full_costs),
    }


def _start_once(rig: Rig) -> float:
    ready = rig.program.start()
    rig.program.opened(rig.ports)
    time.sleep(1.0)
    rig.program.stop()
    return ready


def status(kind: str, base: Path | None, times: int = 11) -> Figures:
    """`gatepost status`, asked of a running agent; the floor has none."""
    if kind == "floor":
        return {}
    with Rig(kind, DEVICES, base) as rig:
        rig.start()
        gatepost = rig.program.command[0]
        costs = []
        for _ in range(times):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [gatepost, "status", "--socket", str(rig.folder / "api.sock")]
            subprocess.run(command, stdout=subprocess.DEVNULL, env=program.environment(), check=True, timeout=30.0)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        rig.program.stop()
    return {"cpu_s": median(costs), "range_s": [min(costs), max(costs)]}


def _owe(rig: Rig, readings: int) -> float:
    """Takes the broker away and stores so many readings; returns the seconds that it took."""
    assert rig.tap is not None
    rig.tap.ask("mode", mode="refuse")
    began = time.monotonic()
    rig.feeder.ask("feed", rate=None, limit=readings // DEVICES + max(rig.base))
    wait_for("the devices having said all", lambda: rig.feeder.ask("stats")["done"], 60 + readings / 2000, 0.2)
    took = time.monotonic() - began
    rig.feeder.ask("feed", rate=0.0)
    time.sleep(3.0)  # the last ones are committed
    return took


def _arrived(rig: Rig, count: int) -> int:
    received: int = rig.collector.ask("stats", timeout=60.0)["received"]
    return received if received >= count else 0


def _watch(rig: Rig, kind: str, stack: ExitStack) -> Callable[[int], int | None] | None:
    if kind == "floor":
        return None
    watch = Watch(rig.folder / "state")
    stack.callback(watch.close)
    return watch.when


def _lost(rig: Rig, kind: str, rows: list[Row]) -> Figures:
    """Readings that the agent's database holds and the far end never got; and how many the agent says it still owes."""
    if kind == "floor":
        return {}
    stored = Stored(rig.folder / "state")
    stored.read()
    names = rig.collector.ask("stats")["devices"]
    base = {name: rig.base[int(name.rpartition("-")[2])] for name in names}
    got = {(row.device, row.n) for row in rows}
    missing = [
        f"{key} ({row.device} n={row.n})"
        for key, row in stored.rows.items()
        if not row.event and row.n > base.get(row.device, 0) and (names.get(row.device), row.n) not in got
    ]
    figures: Figures = {"stored_lost": len(missing), "repeated": len(rows) - len(got), "still_owed": stored.owed()}
    if missing:
        figures["lost_from"], figures["lost_to"] = missing[0], missing[-1]
    return figures


def _ways(live: list[Row], watch: Callable[[int], int | None] | None) -> Figures:
    line = sorted((row.received - row.ts) / 1e6 for row in live)
    figures: Figures = {
        "live": len(live),
        "live_from_line_p50_ms": quantile(line, 0.5),
        "live_from_line_p99_ms": quantile(line, 0.99),
    }
    if watch is not None:
        times = [(row.received - at) / 1e6 for row in live if (at := watch(row.sequence)) is not None]
        times.sort()
        figures["live_from_stored_p50_ms"] = quantile(times, 0.5)
        figures["live_from_stored_p99_ms"] = quantile(times, 0.99)
    return figures
