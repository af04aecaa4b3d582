"""Uptime follows the boot clock, whatever the wall clock does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from gatepost.agent.core.clock import US, rfc3339
from gatepost.agent.status_report import StatusReport
from tests.support.clock import T0, HandClock


@pytest.mark.parametrize(("moved", "started"), [(0.0, T0), (0.4, T0), (212 * 86_400.0, T0 + 212 * 86_400 * US)])
def test_a_clock_that_is_set_changes_no_uptime(moved: float, started: int) -> None:
    clock = HandClock()
    current = SimpleNamespace(settings=SimpleNamespace(gateway=SimpleNamespace(id="g")), as_dict=dict)
    nobody = cast(Any, SimpleNamespace(views=list, as_dict=dict))
    others = dict.fromkeys(("store", "devices", "brokers", "supervisor", "notifier", "fleet"), nobody)
    report = StatusReport(cast(Any, current), clock=clock, **others)
    clock.pass_seconds(90)
    clock.wall += round(moved * US)
    status = report.status()
    assert (status["uptime"], status["started"]) == (90.0, rfc3339(started))
