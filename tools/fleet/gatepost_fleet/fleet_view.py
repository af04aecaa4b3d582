"""View of the fleet: gateways and rollouts as the database had them a moment ago, for the page and Prometheus."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gatepost_fleet.desired_state import count_rollouts, show_rollouts
from gatepost_fleet.fleet_status import STATES, GatewayLine, gateways
from gatepost_fleet.rollout import FAILED

REFRESH = 15.0  # seconds
ROLLOUT_STATES = ("running", "paused", "aborted", "done")


class FleetView(Collector):
    """View that `refresh` makes anew now and then, and that other threads read. The controller sets `state`."""

    def __init__(self) -> None:
        self.lines: list[GatewayLine] = []
        self.rollouts: list[dict[str, Any]] = []
        self.states: dict[str, int] = {}  # of all rollouts that are kept
        self.state = "starting"
        self.stale = False  # the last look at the database failed
        self._taken = -REFRESH

    async def refresh(self, connection: Any) -> None:
        """Look at the database if it is time."""
        now = asyncio.get_running_loop().time()
        if now - self._taken >= REFRESH:
            self._taken = now
            try:
                self.lines, self.rollouts = await gateways(connection), await show_rollouts(connection)
                self.states = await count_rollouts(connection)
            except BaseException:
                self.stale = True
                raise
            self.stale = False

    def counts(self) -> dict[str, int]:
        """State -> gateways, the worst first."""
        found = Counter(line.state for line in self.lines)
        return {state: found[state] for state in STATES}

    def collect(self) -> Iterator[Metric]:
        active = float(self.state == "active")
        yield GaugeMetricFamily("gatepost_fleet_active", "Whether this controller is the active one.", value=active)
        yield _family("gateways", "Gateways in each state.", "state", self.counts())
        yield GaugeMetricFamily("gatepost_fleet_stale", "Whether these figures could not be renewed.", value=self.stale)
        states = {each: self.states.get(each, 0) for each in ROLLOUT_STATES}
        yield _family("rollouts", "Rollouts in each state.", "state", states)
        for name, about, of in _OF_GATEWAY:
            values = {line.id: value for line in self.lines if (value := of(line)) is not None}
            yield _family(f"gateway_{name}", about, "gateway", values)


_OF_GATEWAY = (
    ("silent_seconds", "Time since the gateway was heard.", lambda line: line.silent),
    ("missing_readings", "Readings that it says it sent and that did not arrive.", lambda line: line.missing),
    ("copied", "Whether two boxes use its id.", lambda line: line.copied),
    ("clock_offset_seconds", "Arrival less time of its newest live reading.", lambda line: line.clock_offset),
    ("backlog_age_seconds", "Age of the readings that it delivers late.", lambda line: line.backlog_age),
    ("owed_readings", "Readings that wait there, by its newest account.", lambda line: line.owed),
    ("desired_lag_seconds", "Time since its desired state was released, without an outcome.", lambda line: line.lag),
    ("desired_failed", "Whether it reverted or refused its desired state.", lambda line: line.outcome in FAILED),
)


def _family(name: str, about: str, label: str, values: dict[str, Any]) -> Metric:
    family = GaugeMetricFamily(f"gatepost_fleet_{name}", about, labels=[label])
    for each, value in values.items():
        family.add_metric([each], float(value))
    return family
