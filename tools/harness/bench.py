"""Benchmark of the agent, default settings, by turns with a floor program that does only this work, in the same run.

Real PTYs print JSON lines, a real mosquitto takes every reading at QoS 1, an independent subscriber counts arrivals.
CPU, memory and disk are those of the measured process alone; feeder, broker and subscriber share the machine with it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tools.harness import pace, proc, scenarios, waves
from tools.harness.helper import HelperFailed, end_cleanly_when_asked
from tools.harness.pace import Pace

T = TypeVar("T")
PACES: dict[str, float | None] = {"flood": None, "1000": 1000.0, "100": 100.0, "10": 10.0}
OTHERS = ("idle", "disk", "waves", "outage", "memory", "backlog", "start", "status")
MIB = 1 << 20
HEAD = (
    f"{'':<24}{'readings/s':>11}{'CPU us':>8}{'x floor':>8}{'wakes/s':>9}{'RSS MiB':>9}{'peak':>7}"
    f"{'disk B':>8}{'p50 ms':>8}{'p99 ms':>9}{'lost':>6}{'again':>6}"
)
WAVES_HEAD = (
    f"{'':<24}{'samples/s':>11}{'CPU %':>8}{'us/sample':>10}{'wakes/s':>9}{'RSS MiB':>9}{'disk B/s':>10}"
    f"{'row B/sample':>13}{'lost':>6}{'broken':>7}{'gaps':>6}"
)
TARGETS = {
    "pace": "CPU <= 1.2 x the floor (flood), 1.0 (1,000/s), 0.75 and 120 wake-ups/s (100/s), nothing lost",
    "idle": "<= 0.3 % of a core, <= 5 wake-ups/s",
    "memory": "<= 45 MiB, flat over 1,000,000 readings",
    "outage": "0 stored readings lost, live p99 < 200 ms after stored",
    "disk": "<= 1,000 B at 10/s, <= 500 B at 1,000/s for each reading",
    "waves": "every sample stored and delivered, in order, <= 8 us and <= 3 B each",
    "backlog": ">= 5,000 readings/s from the backlog, live p99 < 1,000 ms after stored",
    "start": "<= 0.35 s of CPU, no slower with the full log than with the empty one",
    "status": "<= 0.15 s of CPU",
}


class Bench:
    """Runs what was asked and prints as it goes; `results` is the same for --json."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.kinds: list[str] = [asked.program] if asked.program else ["floor", "agent"]
        self.settings = {"store": {"commit_interval": asked.commit}} if asked.commit else {}
        self.results: dict[str, Any] = {}
        self.failed: list[str] = []

    def run(self) -> None:
        where = proc.machine(self.asked.dir or Path(tempfile.gettempdir()))
        self.results["where"] = where
        self._say("; ".join(f"{name}: {value}" for name, value in where.items()))
        if where["filesystem"] in ("tmpfs", "ramfs"):
            self._say("the folder is in memory: figures of disk and of commits mean nothing here; use --dir")
        only: set[str] = set(self.asked.only)
        if paces := [name for name in PACES if name in only]:
            self._say(
                f"\npace, medians of {self.asked.runs} runs of {self.asked.seconds:g} s; target: {TARGETS['pace']}"
            )
            self._say(HEAD)
            for name in paces:
                for devices in self.asked.devices:
                    self._pace(f"{name}, {devices} devices", PACES[name], devices, self.asked.seconds)
        if "disk" in only:
            self._say(f"\ndisk, default settings; target: {TARGETS['disk']}")
            self._say(HEAD)
            self._pace("disk 10/s", 10.0, 8, max(120.0, self.asked.seconds), 1)
            self._pace("disk 1000/s", 1000.0, 8, max(60.0, self.asked.seconds), 1)
        if "waves" in only:
            self._say(
                f"\nwaves, medians of {self.asked.runs} runs of {self.asked.seconds:g} s; target: {TARGETS['waves']}"
            )
            self._say(WAVES_HEAD)
            self._waves(8, 500)
        base, readings = self.asked.dir, self.asked.readings
        measures: dict[str, Callable[[str], dict[str, Any]]] = {
            "idle": lambda kind: scenarios.idle(kind, base, self.asked.idle_seconds),
            "outage": lambda kind: scenarios.outage(kind, base),
            "memory": lambda kind: scenarios.memory(kind, base, readings, self.asked.rate),
            "backlog": lambda kind: scenarios.backlog(kind, base, readings),
            "start": lambda kind: scenarios.start(kind, base, readings),
            "status": lambda kind: scenarios.status(kind, base),
        }
        for name, measure in measures.items():
            if name not in only:
                continue
            self._say(f"\n{name}; target: {TARGETS[name]}")
            if name == "memory" and readings < 1_000_000:
                self._say(f"  {readings:,} readings only; --readings 1000000 is the whole of it")
            for kind in self.kinds:
                figures = self._try(name, kind, measure)
                self.results.setdefault(name, {})[kind] = figures
                for what, value in figures.items():
                    self._say(f"  {kind:<6} {what:<26} {_told(value)}")

    def _pace(self, title: str, rate: float | None, devices: int, seconds: float, runs: int | None = None) -> None:
        done = self._by_turns(
            title,
            runs or self.asked.runs,
            lambda kind: pace.run(kind, devices, rate, seconds, self.asked.dir, self.settings),
        )
        floor: Pace | None = None
        for kind, some in done.items():
            middle = pace.medians(some)
            floor = middle if kind == "floor" else floor
            ratio = middle.cpu / floor.cpu if floor else None
            self.results.setdefault("pace", {}).setdefault(title, {})[kind] = {**middle._asdict(), "x_floor": ratio}
            self._say(
                f"{title if kind == self.kinds[0] else '':<18}{kind:<6}{middle.per_second:>11,.0f}{middle.cpu:>8.1f}"
                f"{f'{ratio:.2f}' if ratio else '':>8}{middle.wakes:>9.0f}{middle.rss / MIB:>9.1f}"
                f"{middle.peak / MIB:>7.1f}{middle.disk:>8.0f}{middle.p50:>8.1f}{middle.p99:>9.1f}"
                f"{middle.lost:>6.0f}{middle.repeated:>6.0f}"
            )

    def _waves(self, devices: int, rate: int) -> None:
        """ECG boards; see tools/harness/waves.py for what the floor is given."""
        title = f"{devices} at {rate} Hz"
        done = self._by_turns(
            f"waves, {title}",
            self.asked.runs,
            lambda kind: waves.run(kind, devices, rate, self.asked.seconds, self.asked.dir, self.settings),
        )
        for kind, some in done.items():
            middle = waves.medians(some)
            self.results.setdefault("waves", {}).setdefault(title, {})[kind] = middle._asdict()
            if middle.lost or middle.broken:
                self._fail(f"waves, {title}, {kind}: {middle.lost} samples lost, {middle.broken} out of order")
            self._say(
                f"{title if kind == self.kinds[0] else '':<18}{kind:<6}{middle.samples:>11,.0f}{middle.cpu:>8.2f}"
                f"{middle.cpu_sample:>10.2f}{middle.wakes:>9.0f}{middle.rss / MIB:>9.1f}{middle.disk:>10,.0f}"
                f"{middle.body:>13.1f}{middle.lost:>6}{middle.broken:>7}{middle.gaps:>6}"
            )

    def _by_turns(self, title: str, runs: int, measure: Callable[[str], T]) -> dict[str, list[T]]:
        """Floor, agent, floor, agent: what else the machine does meets both alike. What never ran is left out."""
        done: dict[str, list[T]] = {}
        for _ in range(runs):
            for kind in self.kinds:
                try:
                    done.setdefault(kind, []).append(measure(kind))
                except (HelperFailed, TimeoutError, OSError) as error:
                    self._fail(f"{title}, {kind}: {error}")
        return {kind: some for kind, some in done.items() if some}

    def _try(self, name: str, kind: str, measure: Any) -> dict[str, Any]:
        try:
            figures: dict[str, Any] = measure(kind)
        except (HelperFailed, TimeoutError, OSError) as error:
            self._fail(f"{name}, {kind}: {error}")
            return {"failed": str(error)}
        return figures

    def _fail(self, what: str) -> None:
        self.failed.append(what)
        print(f"failed: {what}", file=sys.stderr, flush=True)

    def _say(self, text: str) -> None:
        print(text, file=sys.stderr if self.asked.json else sys.stdout, flush=True)


def main(arguments: list[str] | None = None) -> int:
    everything = [*PACES, *OTHERS]
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each pace; medians are printed (3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each pace is fed (10)")
    parser.add_argument("--only", type=_names, default=[n for n in everything if n != "10"], metavar="NAME,...",
                        help=f"of {', '.join(everything)}")  # fmt: skip
    parser.add_argument("--devices", type=_numbers, default=[1, 8, 64], metavar="N,...", help="for the paces (1,8,64)")
    parser.add_argument("--readings", type=int, default=200_000, help="for memory, backlog and start (200,000)")
    parser.add_argument("--rate", type=float, default=1000.0, help="lines a second for memory (1,000)")
    parser.add_argument("--idle-seconds", type=float, default=40.0, help="how long idling is watched (40)")
    parser.add_argument("--program", choices=["floor", "agent"], help="measure only one of the two")
    parser.add_argument("--commit", metavar="TIME", help="the agent's commit interval (its default)")
    parser.add_argument("--dir", type=Path, help="where databases are made (the system's temporary folder)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON; progress goes to standard error")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.only) - set(everything):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(everything)}")
    bench = Bench(asked)
    bench.run()
    if asked.json:
        print(json.dumps({**bench.results, "failed": bench.failed}, indent=1))
    return 1 if bench.failed else 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    return [int(name) for name in _names(text)]


def _told(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}"
    if isinstance(value, list):
        return " to ".join(_told(one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    end_cleanly_when_asked()
    sys.exit(main())
