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
    assert (BrokerRoutes("b", routes, {}).series(device, metric).rule(False, True) is not None) is wanted


def test_a_device_that_names_its_brokers_reports_to_no_other() -> None:
    reports_to = {"d": ["a"], "every": None, "none": []}
    assert BrokerRoutes("a", [], reports_to).series("d", "m").rules
    assert not BrokerRoutes("b", [], reports_to).series("d", "m").rules
    assert BrokerRoutes("b", [], reports_to).series("every", "m").rules
    assert not BrokerRoutes("b", [], reports_to).reports("none")


def test_a_device_that_is_no_longer_configured_still_reports() -> None:
    assert BrokerRoutes("b", [], {}).series("gone", "m").rules


def rule_of(routes: list[RouteRule], urgent: bool = False, good: bool = True, room: str = "") -> RouteRule | None:
    return BrokerRoutes("b", routes, {}, {"d": room}).series("d", "m").rule(urgent, good)


def test_the_first_rule_that_matches_counts() -> None:
    urgent, rest = RouteRule(only=["urgent"], qos=2), RouteRule(qos=0)
    assert rule_of([urgent, rest]) is rest
    assert rule_of([urgent, rest], urgent=True) is urgent
    assert rule_of([RouteRule(drop=True), rest]) is None
    assert rule_of([urgent]) is None


def test_rules_ask_for_room_and_quality() -> None:
    ward, good = RouteRule(rooms=["Bed *"]), RouteRule(only=["good", "urgent"])
    assert rule_of([ward], room="Bed 4") is ward
    assert rule_of([ward], room="Lab") is None
    assert rule_of([good], urgent=True) is good
    assert rule_of([good], urgent=True, good=False) is None
    assert rule_of([good]) is None


@pytest.mark.parametrize(
    ("routes", "wanted"),
    [
        ([], True),
        ([RouteRule(devices=["bp-*"])], False),
        ([RouteRule(rooms=["Bed *"])], True),
        ([RouteRule(metrics=["ecg"])], True),
        ([RouteRule(devices=["ox-*"], drop=True), RouteRule()], False),
        ([RouteRule(metrics=["ecg"], drop=True), RouteRule()], True),
        ([RouteRule(only=["urgent"], drop=True)], False),
    ],
)
def test_whether_a_broker_is_sent_anything_of_a_device(routes: list[RouteRule], wanted: bool) -> None:
    assert BrokerRoutes("a", routes, {"ox-1": None}, {"ox-1": "Bed 4"}).sends("ox-1") is wanted
    assert not BrokerRoutes("a", routes, {"ox-1": ["b"]}, {"ox-1": "Bed 4"}).sends("ox-1")
