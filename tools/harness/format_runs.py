"""Payload formats through the whole agent: what a reading costs in each, memory, and an outage with a kill in each.

python -m tools.harness.format_runs cost [--runs 3] [--seconds 10]
python -m tools.harness.format_runs memory
python -m tools.harness.format_runs outage
"""

from __future__ import annotations

import argparse
import sys
import time
from statistics import median
from typing import Any

from tools.harness.account import superseded
from tools.harness.format_reader import NAMES, OPTIONS
from tools.harness.helper import end_cleanly_when_asked, wait_for
from tools.harness.rig import Rig
from tools.harness.truth import Stored

DEVICES = 8
RATE = 1000.0
MIB = 1 << 20
AWAY = 20.0  # seconds without a broker
SURE = 3.0  # seconds around an outage in which a reading may go either way


def settings(name: str) -> dict[str, Any]:
    """Of the broker."""
    return {} if name == "devices" else {"format": name, "options": OPTIONS.get(name, {})}


def cost(name: str, seconds: float) -> tuple[float, float, int]:
    """(microseconds of CPU a reading, MiB resident at the end, readings lost)."""
    with Rig("agent", DEVICES, payload_format=name, broker=settings(name)) as rig:
        rig.start()
        before = rig.program.usage()
        rig.feeder.ask("feed", rate=RATE)
        time.sleep(seconds)
        fed = rig.stop_feeding()
        rig.arrived(fed)
        time.sleep(1.2)  # the position of the last acknowledgements is committed, too
        after = rig.program.usage()
        seen = {(row.device, row.n) for row in rig.rows()}
        rig.program.stop()
    return (after.cpu - before.cpu) / fed * 1e6, after.rss / MIB, fed - len(seen)


def costs(runs: int, seconds: float) -> None:
    """By turns, so that what else the machine does meets all alike."""
    found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in NAMES}
    for _ in range(runs):
        for name in NAMES:
            found[name].append(cost(name, seconds))
    floor = median(each[0] for each in found["devices"])
    print(f"{'format':14}{'CPU us':>8}{'x devices':>11}{'RSS MiB':>9}{'lost':>6}")
    for name, some in found.items():
        middle = median(each[0] for each in some)
        rss, lost = median(each[1] for each in some), sum(each[2] for each in some)
        print(f"{name:14}{middle:8.1f}{middle / floor:11.2f}{rss:9.1f}{lost:6}", flush=True)


def memory() -> None:
    """Resident memory with one broker of each format, and with one of any, after readings went to them."""
    for names in (NAMES, *((name,) for name in NAMES)):
        with Rig("agent", DEVICES, payload_format=names[0], broker=settings(names[0])) as rig:
            url = f"mqtt://127.0.0.1:{rig.mosquitto.port}"
            more = {name: {"url": url, "client_id": f"c-{name}", **settings(name)} for name in names[1:]}
            rig.change_settings(brokers=more)
            rig.start()
            rig.feeder.ask("feed", rate=100.0)
            time.sleep(6.0)
            rig.stop_feeding()
            usage = rig.program.usage()
            rig.program.stop()
        title = "one of each" if len(names) > 1 else names[0]
        print(f"{title:14}{usage.rss / MIB:7.1f} MiB, {usage.peak / MIB:.1f} at the peak", flush=True)


def outage(name: str, rate: float = 200.0) -> dict[str, Any]:
    """The broker is away for 20 s, and in the middle of that the agent is killed."""
    with Rig("agent", DEVICES, tap=True, payload_format=name, broker=settings(name)) as rig:
        assert rig.tap is not None
        rig.start()
        rig.feeder.ask("feed", rate=rate)
        time.sleep(3.0)
        rig.tap.ask("mode", mode="refuse")
        away = time.time_ns()
        time.sleep(AWAY / 2)
        rig.program.kill()
        rig.feeder.ask("release")
        rig.program.start()
        rig.program.opened(rig.ports)
        time.sleep(AWAY / 2)
        back = time.time_ns()
        rig.tap.ask("mode", mode="pass")
        wait_for("the agent coming back", lambda: rig.collector.ask("stats")["last"] > back, 90.0, 0.2)
        time.sleep(10.0)
        rig.stop_feeding()
        rig.rest()
        numbers: dict[str, int] = {name: at for at, name in enumerate(rig.collector.ask("stats")["devices"])}
        arrived = rig.rows()
        stored = Stored(rig.folder / "state")
        stored.read()
        rig.program.stop()
    base = dict(zip((path.name for path in rig.ttys), rig.base, strict=True))
    rows = {key: row for key, row in stored.rows.items() if not row.event and row.n > base[row.device]}
    keys = {(numbers[row.device], row.n): key for key, row in rows.items()}
    found = {keys[each.device, each.n]: each for each in arrived if (each.device, each.n) in keys}
    missing = rows.keys() - found.keys()
    if name == "homeassistant":
        missing -= superseded(rows, dict.fromkeys(found, 1))
    margin = int(SURE * 1e9)
    again = min((each.received for each in arrived if each.received > back), default=back)
    wrong_ids = sum(each.sequence not in (-1, int(key.rpartition(":")[2])) for key, each in found.items())
    old = [each for key, each in found.items() if away + margin < rows[key].ts < back - margin]
    new = [each for key, each in found.items() if rows[key].ts > again + margin]
    wrong_marks = sum(each.replayed == 0 for each in old) + sum(each.replayed == 1 for each in new)
    return {
        "stored": len(rows),
        "arrived": len(found),
        "of the outage": len(old),
        "missing": len(missing),
        "wrong ids": wrong_ids,
        "wrong marks": wrong_marks,
        "not from the log": sum((each.device, each.n) not in keys for each in arrived),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cost", "memory", "outage"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    if asked.what == "cost":
        costs(asked.runs, asked.seconds)
    elif asked.what == "memory":
        memory()
    else:
        for name in NAMES:
            figures = outage(name)
            print(f"{name:14}", ", ".join(f"{what} {count}" for what, count in figures.items()), flush=True)
    return 0


if __name__ == "__main__":
    end_cleanly_when_asked()
    sys.exit(main())
