"""Torture run: kills, cuts and blocks at random moments while serial input flows; then the account must be exact.

The agent reads PTYs and devices that speak MQTT, and forwards to brokers, each behind a tap that journals what was
sent and acknowledged: `hospital`, `sparkplug` and `homeassistant` (in these formats) are a real mosquitto, `cloud` a
recording broker. The judge reads the agent's database, the journals and what the MQTT devices had acknowledged.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from tests.support.ports import free_port
from tools.harness import mqtt_writers, program
from tools.harness.account import Arrivals, Window, holes, key_at, superseded, unexplained
from tools.harness.helper import Helper, HelperFailed, end_cleanly_when_asked
from tools.harness.mosquitto import Mosquitto
from tools.harness.state_faults import StateFaults
from tools.harness.state_files import small_disk
from tools.harness.tap import HOT
from tools.harness.truth import Stored

BROKERS = {
    "mosquitto": ["hospital"],
    "recording": ["cloud"],
    "both": ["hospital", "cloud"],
    "formats": ["sparkplug", "homeassistant"],
    "all": ["hospital", "cloud", "sparkplug", "homeassistant"],
}
URGENT_EVERY = 50  # lines
SLACK = 3.0  # seconds around an absence in which lines may be lost before they were stored: the commit interval and air
BURST = 0.4  # seconds of lines as fast as they are taken
WEIGHTS = {
    "agent killed": 35,
    "agent killed while starting": 8,
    "agent stopped": 5,
    "agent stopped while starting": 4,
    "broker killed": 18,
    "link cut": 15,
    "link half open": 7,
    "link stalled": 6,
    "link refused": 5,
    "burst while refused": 4,
    "state rolled back": 5,
    "disk full": 5,
}
ALWAYS = ("state rolled back", "disk full")  # at least once in a run of so many cycles:
ALWAYS_FROM = 10


class Torture:
    """One run in a folder of its own."""

    def __init__(
        self, stack: ExitStack, folder: Path, brokers: list[str], devices: int, writers: int, rate: float, seed: int
    ) -> None:
        self.rng = random.Random(seed)
        self.folder, self.rate = folder, rate
        (folder / "state").mkdir()
        self.small = small_disk(stack, folder / "state")
        self.mosquitto: Mosquitto | None = None
        self.taps: dict[str, Helper] = {}
        self.feeder = stack.enter_context(Helper("feeder", folder=str(folder), devices=devices, urgent=URGENT_EVERY))
        self.ports: list[str] = self.feeder.hello["ports"]
        for name in brokers:
            upstream = None
            if name != "cloud":
                if self.mosquitto is None:
                    self.mosquitto = stack.enter_context(Mosquitto(folder))
                upstream = self.mosquitto.port
            journal = str(folder / f"{name}.journal")
            self.taps[name] = stack.enter_context(Helper("tap", upstream=upstream, journal=journal))
        ttys = [folder / f"tty-{index}" for index in range(devices)]
        ports = {name: tap.hello["port"] for name, tap in self.taps.items()}
        settings = program.agent_settings(folder, ports, ttys, HOT)
        for name in {"sparkplug", "homeassistant"} & ports.keys():
            settings["brokers"][name] |= {"format": name, "client_id": f"harness-{name}"}
        if self.small:
            settings["store"] = {"reserve": "1MB"}
        self.writers: Helper | None = None
        if writers:
            port = free_port()
            of_writers = mqtt_writers.settings(writers, port)
            settings["devices"] |= of_writers["devices"]
            settings["listener"] = of_writers["listener"]
            self.writers = stack.enter_context(Helper("mqtt_writers", port=port, count=writers))
        self.agent = stack.enter_context(program.agent(folder, settings))
        self.stored = Stored(folder / "state")
        self.faults = StateFaults(folder / "state", self.rng, self.stored)
        self.arrivals = {name: Arrivals(folder / f"{name}.journal", mqtt_writers.PREFIX) for name in brokers}
        self.windows: list[Window] = []
        self.stops: list[float] = []
        self.did: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.fed: dict[str, int] = {}
        self.due: set[str] = set()  # ids that every broker must have acknowledged; stopping may add an event
        self._away_since = 0
        self._full = (0, 0)  # when the disk was full last, and how many rows were stored by then
        self._heal: list[tuple[float, Callable[[], None]]] = []

    def run(self, cycles: int, pause: float) -> None:
        """Feeds and breaks; leaves everything healed, drained and stopped."""
        self._start()
        self.feeder.ask("feed", rate=self.rate)
        self._writers("feed", rate=self.rate / 4)
        for cycle, what in enumerate(self._plan(cycles), 1):
            self._wait(self.rng.expovariate(1 / pause))
            self._break(what)
            self.did[what] += 1
            if cycle % 10 == 0 or cycle == cycles:
                self._progress(cycle, cycles)
        self._wait(pause)
        self._healed()
        self._wait(3.0)  # healthy for a moment, so that the last lines have no excuse
        last = self.feeder.ask("stop")
        self.fed = {f"tty-{index}": count for index, count in enumerate(last["fed"])}
        self.did["lines that found their port full"] = last["skipped"]
        self._writers("stop")
        self._drain(120.0)
        self.due = set(self.stored.rows)
        if self.agent.running:
            self._stop()

    def _plan(self, cycles: int) -> list[str]:
        weights = {what: weight for what, weight in WEIGHTS.items() if self.small or what != "disk full"}
        plan = self.rng.choices(list(weights), list(weights.values()), k=cycles)
        if cycles >= ALWAYS_FROM:
            plan[: len(ALWAYS)] = [what if what in weights else plan[0] for what in ALWAYS]
            self.rng.shuffle(plan)
        return plan

    def _writers(self, do: str, **fields: Any) -> dict[str, Any]:
        return {} if self.writers is None else self.writers.ask(do, **fields)

    def _break(self, what: str) -> None:
        name, tap = self.rng.choice(list(self.taps.items()))
        if what == "state rolled back":
            self._roll_back()
        elif what == "disk full":
            self._fill_disk()
        elif what.startswith("agent"):
            if what.startswith("agent stopped"):
                self._away_since = time.time_ns()
                self._stop()
            else:
                self._kill()
            if what == "agent killed while starting":
                self._launch_and_kill()
            elif what == "agent stopped while starting":
                self.feeder.ask("release")
                self.agent.start(60.0)
                self._stop()
            if self.rng.random() < 0.5:
                self.faults.files.keep()
            self._wait(self.rng.uniform(0, 1.0), agent_up=False)
            self._start()
        elif what == "broker killed" and self.mosquitto is not None:
            broker = self.mosquitto
            if broker.pid is not None:
                broker.kill()
                self._later(broker.start, 0.0, 3.0)
        elif what in ("link cut", "broker killed"):
            tap.ask("cut")
        else:
            modes = {"link half open": "void", "link stalled": "stall"}
            tap.ask("mode", mode=modes.get(what, "refuse"))
            if what == "burst while refused":  # more than the agent keeps in memory
                self.feeder.ask("feed", rate=None)
                self._wait(BURST)
                self.feeder.ask("feed", rate=self.rate)
            self._later(lambda: self._pass(name), 0.1, 4.0)

    def _roll_back(self) -> None:
        if not self.faults.files.older:
            self._kill()
            self.faults.files.keep()
            self._start()
            self._wait(self.rng.uniform(0.5, 2.0))
        self._kill()
        self.faults.roll_back()
        self._start()
        self.faults.account(time.time_ns())

    def _fill_disk(self) -> None:
        """Full for a moment, under way or also at the start."""
        since = time.time_ns()
        self.faults.files.fill()
        until = time.monotonic() + self.rng.uniform(0.3, 2.0)
        while time.monotonic() < until:  # room is made of what was delivered, be it new: each row is seen before
            self._look()
            self._wait(0.05)
        if self.rng.random() < 0.5:
            self._kill()
            self._away_since = since  # what waits for the disk dies with the agent
            self._start()
        self._look()
        self.faults.files.empty()
        self._full = (since, len(self.stored.rows))

    def _pass(self, name: str) -> None:
        self.taps[name].ask("mode", mode="pass")

    def _later(self, heal: Callable[[], None], least: float, most: float) -> None:
        self._heal.append((time.monotonic() + self.rng.uniform(least, most), heal))

    def _kill(self) -> None:
        self._look()
        since, rows = self._full
        not_tried = since and len(self.stored.rows) == rows  # what waits for the disk dies with the agent
        self._away_since = since if not_tried else time.time_ns()
        self._full = (0, 0)
        self.agent.kill()

    def _stop(self) -> None:
        """As systemd stops it; that may come at any moment after READY."""
        try:
            self.stops.append(self.agent.stop())
        except HelperFailed as error:
            self.wrong.append(f"a clean stop was none: {error}")

    def _launch_and_kill(self) -> None:
        """Killed again somewhere between exec and the first reading."""
        self.feeder.ask("release")
        try:
            self.agent.start(timeout=self.rng.uniform(0.05, 1.2))
        except HelperFailed:
            if not self.agent.running:
                self.wrong.append(f"the agent ended by itself while starting: {self.agent.tail(600)}")
        self.agent.kill()

    def _start(self) -> None:
        self.feeder.ask("release")
        self.agent.start(timeout=60.0)
        self.agent.opened(self.ports, 30.0)
        self.windows.append(Window(self._away_since, time.time_ns()))

    def _wait(self, seconds: float, agent_up: bool = True) -> None:
        until = time.monotonic() + seconds
        while True:
            now = time.monotonic()
            due = [one for one in self._heal if one[0] <= now]
            self._heal = [one for one in self._heal if one[0] > now]
            for _, heal in due:
                heal()
            if agent_up and not self.agent.running:
                self.wrong.append(f"the agent ended by itself: {self.agent.tail(600)}")
                self._away_since = time.time_ns()
                self._start()
            if now >= until:
                return
            time.sleep(min(0.05, until - now))

    def _healed(self) -> None:
        for _, heal in self._heal:
            heal()
        self._heal = []
        for name in self.taps:
            self._pass(name)

    def _look(self) -> dict[str, int]:
        """Reads everything that was added; what is still owed to each broker."""
        self.stored.read()
        for name, tap in self.taps.items():
            tap.ask("stats")  # its journal is on disk now
            self.arrivals[name].read()
        return {name: len(self._missing(name, set(self.stored.rows))) for name in self.arrivals}

    def _missing(self, broker: str, due: set[str]) -> set[str]:
        """Stored rows that this broker has not acknowledged, though it is owed them."""
        rows, delivered = self.stored.rows, self.arrivals[broker].delivered
        missing = {key for key in due if key_at(broker, key, rows[key]) not in delivered}
        return missing - superseded(rows, delivered) if broker == "homeassistant" else missing

    def _drain(self, timeout: float) -> None:
        """Until every stored row was acknowledged by every broker and nothing new is stored."""
        until, before = time.monotonic() + timeout, -1
        while time.monotonic() < until:
            owed = self._look()
            waiting = self._writers("stats").get("open", 0)
            if not any(owed.values()) and not waiting and len(self.stored.rows) == before:
                return
            before = len(self.stored.rows)
            self._wait(2.0)
        self.wrong.append(f"not drained within {timeout:.0f} s: still owed {owed}, {waiting} messages of devices open")

    def _progress(self, cycle: int, cycles: int) -> None:
        try:
            owed = self._look()
        except (sqlite3.Error, OSError) as error:
            self.wrong.append(f"the database cannot be read: {error}")
            return
        lines = sum(self.feeder.ask("stats")["fed"])
        print(
            f"cycle {cycle}/{cycles}: fed {lines}, stored {len(self.stored.rows)}, owed {owed}, "
            f"slowest start {max(self.agent.starts):.2f} s, wrong so far {len(self.wrong)}",
            flush=True,
        )

    def judge(self) -> dict[str, Any]:
        """The ledger; adds every violation to `wrong`."""
        self._look()
        rows = self.stored.rows
        readings = sum(not row.event for row in rows.values())
        lines = {key: row for key, row in rows.items() if not row.device.startswith(mqtt_writers.PREFIX)}
        found, twice, disorder = holes(lines, self.fed)
        self._violations("stored twice under different ids", twice)
        self._violations("stored in another order than printed", disorder)
        lost = unexplained(found, [*self.windows, *self.faults.windows], SLACK)
        self._violations("older copies of the state", self.faults.wrong)
        self._violations("lines missing while the agent was there", [str(hole) for hole in lost])
        integrity = self.stored.integrity()
        if integrity != "ok":
            self.wrong.append(f"the database is damaged: {integrity}")
        aside = [path.name for path in (self.folder / "state").iterdir() if "damaged" in path.name]
        self._violations("the agent set a database aside", aside)
        brokers = {}
        for name, seen in self.arrivals.items():
            missing = sorted(self._missing(name, self.due))
            keys = {key_at(name, key, row): row for key, row in rows.items()}
            ever = {key_at(name, key, row): row for key, row in self.faults.gone.items()} | keys
            unknown = sorted(seen.sent.keys() - ever.keys())
            other = [key for key, row in ever.items() if key in seen.sent and seen.sent[key][1] != row.n]
            self._violations(f"{name}: stored and never acknowledged", missing)
            self._violations(f"{name}: sent but not stored", unknown)
            self._violations(f"{name}: an id with another content", seen.changed + other)
            self._violations(f"{name}: wrong order", seen.disorder)
            brokers[name] = {
                "stored": len(keys),
                "delivered": len(seen.delivered),
                "missing": len(missing),
                "repeated": sum(seen.delivered.values()) - len(seen.delivered),
                "wrong order": len(seen.disorder),
                "sent but not stored": len(unknown),
                "refused": seen.refused,
                "sent as backlog": seen.replayed,
                "connections": seen.connections,
            }
        return {
            "did": dict(self.did),
            "fed": sum(self.fed.values()),
            "stored readings": readings,
            "stored events": len(rows) - readings,
            "never taken": sum(hole.lines for hole in found),
            "of these unexplained": sum(hole.lines for hole in lost),
            "counted by the agent as lost": self.stored.counted_losses(),
            "stored twice": len(twice),
            "gone with older copies": len(self.faults.gone),
            "of these told": self.faults.told,
            "MQTT devices": self._judge_writers(),
            "brokers": brokers,
            "integrity": integrity,
            "starts": len(self.agent.starts),
            "ready after, s": {"median": median(self.agent.starts), "slowest": max(self.agent.starts)},
            "stopped within, s": max(self.stops, default=None),
            "violations": self.wrong,
        }

    def _judge_writers(self) -> dict[str, int]:
        if self.writers is None:
            return {}
        path = self.folder / "acknowledged.json"
        stats = self.writers.ask("dump", path=str(path))
        missing, twice = mqtt_writers.judge(self.stored.rows, self.faults.gone, json.loads(path.read_text("utf-8")))
        self._violations("MQTT devices: acknowledged and missing", missing)
        self._violations("MQTT devices: QoS 2 stored twice", twice)
        return {**stats, "acknowledged and missing": len(missing), "QoS 2 stored twice": len(twice)}

    def _violations(self, what: str, which: list[str]) -> None:
        if which:
            self.wrong.append(f"{what}: {len(which)}, for example {'; '.join(which[:3])}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tools/torture", description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, help="how many times something is broken (200)")
    parser.add_argument("--seconds", type=float, help="about how long breaking takes, starts not counted (1.2 a cycle)")
    parser.add_argument("--seed", type=int, help="of the random moments; the default is a new one, printed")
    parser.add_argument("--rate", type=float, default=400.0, help="lines a second over all devices (400)")
    parser.add_argument("--devices", type=int, default=6, help="simulated devices (6)")
    parser.add_argument("--writers", type=int, default=4, help="devices that speak MQTT, QoS 1 and 2 by turns (4)")
    parser.add_argument("--broker", choices=list(BROKERS), default="all")
    parser.add_argument("--dir", type=Path, help="where the folder of the run is made (the system's temporary folder)")
    parser.add_argument("--keep", action="store_true", help="keep the folder: database, journals, logs")
    parser.add_argument("--json", action="store_true", help="print the ledger as JSON")
    asked = parser.parse_args(arguments)
    seed = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1 << 32)
    pause = (asked.seconds or asked.cycles * 1.2) / max(1, asked.cycles)
    brokers = BROKERS[asked.broker]
    folder = Path(tempfile.mkdtemp(prefix="gatepost-torture-", dir=asked.dir))
    print(f"seed {seed}, {asked.cycles} cycles, {asked.rate:g} lines/s over {asked.devices} devices, in {folder}")
    wrong = True
    try:
        with ExitStack() as stack:
            run = Torture(stack, folder, brokers, asked.devices, asked.writers, asked.rate, seed)
            try:
                run.run(asked.cycles, pause)
            except (HelperFailed, TimeoutError) as error:
                run.wrong.append(f"{error}; the agent's log ends: {run.agent.tail()}")
            ledger = {"seed": seed, **run.judge()}
            wrong = bool(run.wrong)
        print(json.dumps(ledger, indent=1) if asked.json else _table(ledger))
    finally:
        if asked.keep or wrong:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


def _table(ledger: dict[str, Any], indent: int = 0) -> str:
    lines = []
    for name, value in ledger.items():
        if isinstance(value, dict):
            lines.append(f"{'  ' * indent}{name}")
            lines.append(_table(value, indent + 1))
        elif isinstance(value, list):
            lines.append(f"{'  ' * indent}{name}: {len(value) or 'none'}")
            lines.extend(f"{'  ' * indent}  - {one}" for one in value)
        else:
            told = f"{value:.2f}" if isinstance(value, float) else value
            lines.append(f"{'  ' * indent}{name:<32} {told}")
    return "\n".join(line for line in lines if line)


if __name__ == "__main__":
    end_cleanly_when_asked()
    sys.exit(main())
