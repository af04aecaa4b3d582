"""ECG boards through the whole program: every sample stored and at the far end, in order; what that costs a second.

The floor gets the same samples as ready blocks, one JSON line a second and device, and no numbers beside them: it knows
no protocol. So its share is storing and sending alone.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import orjson

from gatepost.agent.store.model import whole_body
from tools.harness import program
from tools.harness.helper import Helper, HelperFailed, wait_for
from tools.harness.mosquitto import Mosquitto
from tools.harness.rig import BROKER, INFLIGHT
from tools.harness.truth import connect, unmoved
from tools.harness.wave_feeder import counted

BODIES = "SELECT bits, body FROM reading JOIN series ON series.id = series WHERE device = ? ORDER BY seq"


class Waves(NamedTuple):
    """One run, or the medians of several. `lost`: samples that are not at the far end."""

    samples: float  # a second, all devices
    lost: int
    broken: int  # samples that do not follow the one before, in the log or at the far end
    gaps: int  # blocks flagged so
    skipped: int  # moments when a board found its port full
    cpu: float  # percent of a core
    cpu_sample: float  # microseconds
    wakes: float  # a second
    rss: float
    disk: float  # bytes a second, at the block layer, and what the next checkpoint will add
    body: float  # bytes of a sample within the stored row; 0 for the floor


def run(
    kind: str, devices: int, rate: int, seconds: float, base: Path | None, settings: dict[str, Any] | None = None
) -> Waves:
    """Raises HelperFailed or TimeoutError when the program does not work."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="gatepost-", dir=base))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        broker = stack.enter_context(Mosquitto(folder, INFLIGHT))
        collector = stack.enter_context(Helper("wave_collector", port=broker.port))
        form = "frames" if kind == "agent" else "lines"
        feeder = stack.enter_context(Helper("wave_feeder", folder=str(folder), devices=devices, rate=rate, form=form))
        ttys = [folder / f"tty-{index}" for index in range(devices)]
        measured = stack.enter_context(_program(kind, folder, broker.port, ttys, rate, settings or {}))
        measured.start()
        measured.opened(feeder.hello["ports"])
        feeder.ask("start")
        wait_for("blocks of every device", lambda: collector.ask("stats")["devices"] == devices, 30.0, 0.1)
        before, waited, fed_before = measured.usage(), unmoved(folder), sum(feeder.ask("stats")["samples"])
        time.sleep(seconds)
        after, waits, fed_after = measured.usage(), unmoved(folder), sum(feeder.ask("stats")["samples"])
        fed = _stop(feeder)
        arrived = _arrived(collector, feeder, rate * devices)
        measured.stop()  # what was no whole block yet stays with the decoder: its samples are not counted as lost
        broken, body = _stored(folder, ttys) if kind == "agent" else (0, 0.0)
        if arrived["connects"] != 1:
            raise HelperFailed("the collector lost its connection, so it cannot say what arrived")
        span = after.at - before.at
        whole = sum(samples // rate * rate for samples in fed)
        return Waves(
            samples=(fed_after - fed_before) / span,
            lost=max(0, whole - arrived["samples"]),
            broken=broken + arrived["breaks"],
            gaps=arrived["gaps"],
            skipped=feeder.ask("stats")["skipped"],
            cpu=(after.cpu - before.cpu) / span * 100,
            cpu_sample=(after.cpu - before.cpu) / max(1, fed_after - fed_before) * 1e6,
            wakes=(after.wakes - before.wakes) / span,
            rss=after.rss,
            disk=(after.disk - before.disk + waits - waited) / span,
            body=body,
        )


def _program(kind: str, folder: Path, port: int, ttys: list[Path], rate: int, more: dict[str, Any]) -> program.Program:
    if kind == "floor":
        return program.floor(folder, port, ttys)
    settings = {**program.agent_settings(folder, {BROKER: port}, ttys), **more}
    board = {"driver": "protocentral-ads1292r", "options": {"rate": rate, "waveforms": ["ecg"]}}
    settings["devices"] = {path.name: {**board, "port": str(path)} for path in ttys}
    return program.agent(folder, settings)


def _stop(feeder: Helper) -> list[int]:
    feeder.ask("stop")
    wait_for("the last octets written", lambda: not feeder.ask("stats")["pending"], 10.0)
    fed: list[int] = feeder.ask("stats")["samples"]
    return fed


def _arrived(collector: Helper, feeder: Helper, block: int, timeout: float = 30.0) -> dict[str, int]:
    """When every whole block has come, or nothing came for a while."""
    fed = sum(feeder.ask("stats")["samples"])
    until = time.monotonic() + timeout
    while True:
        arrived: dict[str, int] = collector.ask("stats", timeout=30.0)
        if arrived["samples"] > fed - block or time.monotonic() > until:
            time.sleep(1.5)
            return dict(collector.ask("stats"))
        time.sleep(0.1)


def _stored(folder: Path, ttys: list[Path]) -> tuple[int, float]:
    """Samples in the log that do not follow the one before, and the bytes that one takes there."""
    breaks = samples = octets = 0
    with closing(connect(folder / "state")) as db:
        for path in ttys:
            number = 0
            for bits, body in db.execute(BODIES, (path.name,)):
                told = orjson.loads(whole_body(bits, body))
                if "samples" not in told:
                    continue
                octets += len(body)
                for sample in told["samples"]:
                    breaks += sample != counted(number)
                    number += 1
            samples += number
    return breaks, octets / max(1, samples)


def medians(runs: list[Waves]) -> Waves:
    """Of each figure by itself; what was lost, broken or marked is added up, for nothing of it may hide."""
    middle = Waves(*(median(values) for values in zip(*runs, strict=True)))
    return middle._replace(
        lost=sum(one.lost for one in runs),
        broken=sum(one.broken for one in runs),
        gaps=sum(one.gaps for one in runs),
        skipped=sum(one.skipped for one in runs),
    )
