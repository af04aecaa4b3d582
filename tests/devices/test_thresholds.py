from __future__ import annotations

import math

from gatepost.agent.devices.thresholds import MAX_METRICS, ThresholdWatch
from gatepost.agent.settings.model import ThresholdSettings


def spo2() -> ThresholdWatch:
    return ThresholdWatch({"spo2": ThresholdSettings(min=90), "heart_rate": ThresholdSettings(min=40, max=130)})


def test_a_limit_itself_is_inside():
    assert spo2().judge("m", {"spo2": 90, "heart_rate": 130}) == (False, False)


def test_below_and_above_are_outside_and_a_change_shows_once():
    limits = spo2()
    assert limits.judge("m", {"spo2": 89.9}) == (True, True)
    assert limits.judge("m", {"spo2": 89}) == (True, False)
    assert limits.judge("m", {"spo2": 95, "heart_rate": 131}) == (True, True)
    assert limits.judge("m", {"spo2": 95, "heart_rate": 39}) == (True, True)
    assert limits.judge("m", {"spo2": 95, "heart_rate": 60}) == (False, True)


def test_no_value_is_neither_outside_nor_back_inside():
    limits = spo2()
    limits.judge("m", {"spo2": 80})
    for nothing in ({}, {"spo2": None}, {"spo2": math.nan}, {"spo2": "80"}, {"spo2": True}):
        assert limits.judge("m", nothing) == (False, False)
    assert limits.judge("m", {"spo2": 80}) == (True, False)


def test_metrics_have_states_of_their_own():
    limits = spo2()
    assert limits.judge("a", {"spo2": 80}) == (True, True)
    assert limits.judge("b", {"spo2": 80}) == (True, True)


def test_made_up_metrics_are_bounded():
    limits = spo2()
    for number in range(1000):
        limits.judge(f"m{number}", {"spo2": 80})
    assert len(limits._sides) <= MAX_METRICS + 1
