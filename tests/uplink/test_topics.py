"""Topics filled in, and devices found in them again."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.uplink.mqtt.codec import check_topic
from gatepost.agent.uplink.topics import BrokerTopics

NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=64)


def test_the_contract_s_defaults() -> None:
    topics = BrokerTopics({}, "ward-7", "org-123")
    assert topics("data", "cuff-3", "blood_pressure") == "devices/cuff-3/data"
    assert topics("device_status", "cuff-3") == "devices/cuff-3/status"
    assert topics("commands", "cuff-3") == "devices/cuff-3/commands"
    assert topics("responses", "cuff-3") == "devices/cuff-3/responses"
    assert topics("gateway_status") == "gateways/ward-7/status"
    assert topics("gateway_events") == "gateways/ward-7/events"
    assert topics("gateway_commands") == "gateways/ward-7/commands"
    assert topics("gateway_responses") == "gateways/ward-7/responses"
    assert topics("broadcast") == "organizations/org-123/broadcast"
    assert topics("batch") == "gateways/ward-7/data"


def test_a_topic_of_one_s_own() -> None:
    topics = BrokerTopics({"data": "{org}/{gateway}/{device}/{metric}"}, "g", "o")
    assert topics("data", "d", "m") == "o/g/d/m"
    assert topics("commands", "d") == "devices/d/commands"


@given(st.text(min_size=1, max_size=40))
def test_no_level_is_smuggled_in_by_a_metric(metric: str) -> None:
    topics = BrokerTopics({"data": "a/{metric}/z"}, "g", None)
    topic = topics("data", "d", metric)
    assert re.fullmatch(r"a/[^/]*/z", topic, re.DOTALL)
    try:
        topic.encode()
    except UnicodeEncodeError:
        return
    assert check_topic(topic) is None


def test_a_name_is_no_placeholder() -> None:
    assert BrokerTopics({"data": "{device}/{metric}"}, "g", None)("data", "d", "{device}") == "d/{device}"


@pytest.mark.parametrize(
    ("template", "wildcard"),
    [
        ("devices/{device}/commands", "devices/+/commands"),
        ("{gateway}/{device}", "g/+"),
        ("dev-{device}/commands", None),
        ("{device}/{device}", None),
        ("all", None),
    ],
)
def test_wildcards(template: str, wildcard: str | None) -> None:
    assert BrokerTopics({"commands": template}, "g", None).wildcard("commands") == wildcard


@given(NAMES)
def test_a_device_is_found_again(name: str) -> None:
    topics = BrokerTopics({}, "g", None)
    assert topics.device_of("commands", topics("commands", name)) == name


def test_devices_of_others_take_no_memory_however_long_their_names() -> None:
    topics = BrokerTopics({}, "gw", None)
    tracemalloc.start()
    try:
        for number in range(500):
            name = f"{number}-{'x' * 60_000}"
            assert topics.device_of("commands", f"devices/{name}/commands") is None
            assert topics("data", name) == f"devices/{name}/data"
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("topic", ["devices/d/data", "devices/d/commands/x", "devices//x/commands", "commands", ""])
def test_another_topic_names_no_device(topic: str) -> None:
    assert BrokerTopics({}, "g", None).device_of("commands", topic) is None


@pytest.mark.parametrize(
    ("own", "device", "topic", "good"),
    [
        ({}, "cuff-3", "devices/cuff-3/responses", True),
        ({}, "cuff-3", "devices/cuff-3/responses/me", True),
        ({}, "cuff-3", "devices/cuff-3/replies/me", True),
        ({}, "cuff-3", "devices/cuff-3", False),
        ({}, "cuff-3", "devices/cuff-3/data", False),
        ({}, "cuff-3", "devices/cuff-3/status", False),
        ({}, "cuff-3", "devices/cuff-3/commands", False),
        ({}, "cuff-3", "devices/cuff-30/replies", False),
        ({}, "cuff-3", "devices/other/replies", False),
        ({}, "cuff-3", "alarms/siren", False),
        ({}, None, "gateways/ward-7/responses/7", True),
        ({}, None, "gateways/ward-7/replies", True),
        ({}, None, "gateways/ward-7/events", False),
        ({}, None, "gateways/ward-7/data", False),
        ({}, None, "gateways/ward-8/replies", False),
        ({"responses": "answers"}, "cuff-3", "answers/7", True),
        ({"responses": "answers"}, "cuff-3", "alarms/siren", False),
        ({"responses": "hospital/answers"}, "cuff-3", "hospital/sirens", False),
        ({"responses": "d/{device}/out", "data": "d/{device}/{metric}"}, "cuff-3", "d/cuff-3/spo2", False),
    ],
)
def test_where_a_response_may_go(own: dict[str, str], device: str | None, topic: str, good: bool) -> None:
    assert BrokerTopics(own, "ward-7", "org-123").is_own_reply(topic, device) is good
