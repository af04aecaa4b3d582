"""The main measurement: lines at a pace, or as fast as they are taken, for a time; what each reading cost."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tools.harness.rig import Rig, quantile
from tools.harness.truth import unmoved


class Pace(NamedTuple):
    """One run, or the medians of several. Sizes in bytes, latencies in ms from the line written to the far end."""

    delivered: int
    lost: int
    repeated: int
    per_second: float  # as fast as they are taken: from the first line to the last arrival; at a pace: while fed
    cpu: float  # microseconds for each reading
    wakes: float  # a second, while fed
    preempted: float
    rss: float
    peak: float
    disk: float  # for each reading, at the block layer, and what the next checkpoint will add
    written: float  # for each reading, handed to write(2)
    p50: float
    p99: float


def run(
    kind: str,
    devices: int,
    rate: float | None,
    seconds: float,
    base: Path | None,
    settings: dict[str, Any] | None = None,
) -> Pace:
    """`rate` None = as fast as they are taken; `settings` of the agent beside its defaults. Raises HelperFailed or
    TimeoutError when the program does not work."""
    with Rig(kind, devices, base, **settings or {}) as rig:
        rig.start()
        before, waited = rig.program.usage(), unmoved(rig.folder)
        rig.feeder.ask("feed", rate=rate)
        time.sleep(seconds)
        fed = rig.stop_feeding()
        during = rig.program.usage()
        rig.arrived(fed)
        time.sleep(1.2)  # the position of the last acknowledgements is committed, too
        after, waits = rig.program.usage(), unmoved(rig.folder)
        rows = rig.rows()
        rig.program.stop()
    seen = {(row.device, row.n) for row in rows}
    count = max(1, len(seen))
    ways = sorted((row.received - row.ts) / 1e6 for row in rows)
    span = max(row.received for row in rows) - min(row.ts for row in rows) if rows else 1
    fed_for = during.at - before.at
    return Pace(
        delivered=len(seen),
        lost=fed - len(seen),
        repeated=len(rows) - len(seen),
        per_second=len(seen) / (span / 1e9 if rate is None else fed_for),
        cpu=(after.cpu - before.cpu) / count * 1e6,
        wakes=(during.wakes - before.wakes) / fed_for,
        preempted=(during.preempted - before.preempted) / fed_for,
        rss=after.rss,
        peak=after.peak,
        disk=(after.disk - before.disk + waits - waited) / count,
        written=(after.written - before.written) / count,
        p50=quantile(ways, 0.5) or 0.0,
        p99=quantile(ways, 0.99) or 0.0,
    )


def medians(runs: list[Pace]) -> Pace:
    """Of each figure by itself; what was lost is added up, for no loss may hide."""
    middle = Pace(*(median(values) for values in zip(*runs, strict=True)))
    return middle._replace(lost=sum(one.lost for one in runs), repeated=sum(one.repeated for one in runs))
