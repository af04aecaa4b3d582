"""Which reading goes to which broker."""

from __future__ import annotations

import pytest

from gatepost.agent.settings.model import Route
from gatepost.agent.uplink.routing import Routes


@pytest.mark.parametrize(
    ("routes", "device", "metric", "wanted"),
    [
        ([], "any", "thing", True),
        ([Route(devices=["bp-*"])], "bp-1", "blood_pressure", True),
        ([Route(devices=["bp-*"])], "BP-1", "blood_pressure", False),
        ([Route(devices=["bp-?"])], "bp-12", "blood_pressure", False),
        ([Route(metrics=["blood_*"])], "x", "blood_pressure", True),
        ([Route(metrics=["blood_*"])], "x", "heart_rate", False),
        ([Route(devices=["bp-*"], metrics=["heart_rate"])], "bp-1", "blood_pressure", False),
        ([Route(devices=["bp-*"], metrics=["heart_rate"]), Route(devices=["x"])], "x", "blood_pressure", True),
    ],
)
def test_routes(routes: list[Route], device: str, metric: str, wanted: bool) -> None:
    assert Routes("b", routes, {}).wants(device, metric) is wanted


def test_a_device_that_names_its_brokers_reports_to_no_other() -> None:
    reports_to = {"d": ["a"], "every": None, "none": []}
    assert Routes("a", [], reports_to).wants("d", "m")
    assert not Routes("b", [], reports_to).wants("d", "m")
    assert Routes("b", [], reports_to).wants("every", "m")
    assert not Routes("b", [], reports_to).reports("none")


def test_a_device_that_is_no_longer_configured_still_reports() -> None:
    assert Routes("b", [], {}).wants("gone", "m")
