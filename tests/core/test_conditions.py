"""One judgement of devices and brokers."""

from __future__ import annotations

import pytest

from gatepost.agent.core.conditions import broker_condition, device_condition


@pytest.mark.parametrize(
    ("status", "reason", "streams", "seen", "found"),
    [
        ("online", "", True, True, "ok"),
        ("starting", "", True, False, "idle"),
        ("offline", "asleep", False, True, "idle"),
        ("offline", "waiting", False, False, "idle"),
        ("offline", "missing", True, True, "error"),  # an oximeter that was unplugged
        ("offline", "missing", False, True, "idle"),  # a meter that was read and put away
        ("offline", "missing", False, False, "error"),  # a meter that was never there
        ("offline", "silent", True, True, "error"),
        ("error", "wrong-device", False, True, "error"),
    ],
)
def test_devices(status, reason, streams, seen, found):
    assert device_condition(status, reason, monitoring=True, streams=streams, seen=seen) == found


@pytest.mark.parametrize(
    ("reason", "quiet", "rhythm", "seen", "found"),
    [
        ("disconnected", 2.0, None, True, "idle"),  # it said goodbye, and how often it comes is not known yet
        ("disconnected", 2.0, None, False, "error"),  # it has never said anything
        ("connection lost", 2.0, None, True, "error"),
        ("disconnected", 200.0, 60.0, True, "idle"),
        ("keepalive", 200.0, 60.0, True, "idle"),
        ("connection lost", 4.0, 0.1, True, "idle"),
        ("disconnected", 301.0, 60.0, True, "error"),  # it is missed
        ("connection lost", 6.0, 1.0, True, "error"),
        ("token revoked", 2.0, 60.0, True, "error"),
    ],
)
def test_a_device_that_connects_for_each_message_is_missed_when_it_stays_away(reason, quiet, rhythm, seen, found):
    said = {"monitoring": True, "streams": False, "seen": seen}
    assert device_condition("offline", reason, **said, quiet_for=quiet, rhythm=rhythm) == found


def test_a_device_that_reports_nothing_by_order_is_idle():
    assert device_condition("online", "", monitoring=False, streams=True, seen=True) == "idle"


@pytest.mark.parametrize(
    ("state", "attempts", "refuses", "found"),
    [
        ("connected", 1, False, "ok"),
        ("connected", 1, True, "error"),
        ("disconnected", 3, False, "idle"),
        ("connecting", 1, False, "idle"),
        ("connecting", 2, False, "error"),
        ("waiting", 1, False, "error"),
        ("refused", 1, False, "error"),
    ],
)
def test_brokers(state, attempts, refuses, found):
    assert broker_condition(state, attempts, refuses) == found
