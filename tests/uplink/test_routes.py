"""Which reading goes to which broker."""

from __future__ import annotations

import pytest

from gatepost.agent.settings.model import RouteRule
from gatepost.agent.uplink.routing import BrokerRoutes


@pytest.mark.parametrize(
    ("routes", "device", "metric", "wanted"),
    [
        ([], "any", "thing", True),
        ([RouteRule(devices=["bp-*"])], "bp-1", "blood_pressure", True),
        ([RouteRule(devices=["bp-*"])], "BP-1", "blood_pressure", False),
        ([RouteRule(devices=["bp-?"])], "bp-12", "blood_pressure", False),
        ([RouteRule(metrics=["blood_*"])], "x", "blood_pressure", True),
        ([RouteRule(metrics=["blood_*"])], "x", "heart_rate", False),
        ([RouteRule(devices=["bp-*"], metrics=["heart_rate"])], "bp-1", "blood_pressure", False),
        ([RouteRule(devices=["bp-*"], metrics=["heart_rate"]), RouteRule(devices=["x"])], "x", "blood_pressure", True),
    ],
)
def test_routes(routes: list[RouteRule], device: str, metric: str, wanted: bool) -> None:
    assert BrokerRoutes("b", routes, {}).wants(device, metric) is wanted


def test_a_device_that_names_its_brokers_reports_to_no_other() -> None:
    reports_to = {"d": ["a"], "every": None, "none": []}
    assert BrokerRoutes("a", [], reports_to).wants("d", "m")
    assert not BrokerRoutes("b", [], reports_to).wants("d", "m")
    assert BrokerRoutes("b", [], reports_to).wants("every", "m")
    assert not BrokerRoutes("b", [], reports_to).reports("none")


def test_a_device_that_is_no_longer_configured_still_reports() -> None:
    assert BrokerRoutes("b", [], {}).wants("gone", "m")
