"""`every` of a rule: the newest reading of each device and metric in that time, and nothing owed is forgotten."""

from __future__ import annotations

import pytest

from gatepost.agent.settings.model import RouteRule
from gatepost.agent.uplink.routing import BrokerRoutes, PaceKey, PaceVerdict, ReadingThinner

from .fakes import WALL, Rig

KEY = PaceKey("d", "m", False)
SECOND = 1_000_000
SEND, HOLD, DONE = PaceVerdict.SEND, PaceVerdict.HOLD, PaceVerdict.DONE
EVERY = RouteRule(every=10e-6)  # the rows of the fake store lie a microsecond apart


def test_the_first_is_sent_what_follows_waits_and_the_last_is_sent_when_the_time_is_over() -> None:
    thinner = ReadingThinner()
    verdicts = [thinner.judge(KEY, 10.0, second * SECOND, False) for second in range(10)]
    assert verdicts == [SEND] + [HOLD] * 9
    assert thinner.due(KEY, 10.0) == 10 * SECOND
    assert thinner.release(KEY, 10.0, 9 * SECOND)
    assert thinner.judge(KEY, 10.0, 9 * SECOND, False) is SEND  # a repeat
    assert thinner.judge(KEY, 10.0, 8 * SECOND, False) is DONE
    assert thinner.judge(KEY, 10.0, 19 * SECOND, False) is HOLD  # the time runs on from 10 s
    assert thinner.judge(KEY, 10.0, 25 * SECOND, False) is SEND


def test_urgent_ones_pass_and_take_the_place_of_older_ones() -> None:
    thinner = ReadingThinner()
    assert thinner.judge(KEY, 10.0, 0, False) is SEND
    assert thinner.judge(KEY, 10.0, 5 * SECOND, True) is SEND
    assert thinner.judge(KEY, 10.0, 4 * SECOND, False) is DONE
    assert not thinner.release(KEY, 10.0, 4 * SECOND)
    assert thinner.judge(PaceKey("d", "other", False), 10.0, 4 * SECOND, False) is SEND


def test_the_backlog_of_a_new_connection_goes_on_where_live_was() -> None:
    thinner = ReadingThinner()
    thinner.judge(KEY, 10.0, 0, False)
    thinner.begin()
    assert thinner.judge(KEY._replace(replayed=True), 10.0, 1, False) is HOLD
    assert thinner.judge(KEY, 10.0, 2, False) is HOLD


async def test_the_newest_is_sent_when_its_time_is_over_and_only_then_settled() -> None:
    rig = Rig(window=100)
    connection = rig.connect(routes=[EVERY])
    rig.send_new(8)
    assert connection.readings == [1]
    connection.ack(1)
    rig.session.feed.lanes.settle()
    assert rig.owed() == [8]
    rig.wall = WALL + 11
    rig.session.send_pending()
    assert connection.readings == [1, 8]
    connection.ack(8)
    assert rig.owed() == []
    assert rig.counters.skipped == 6


async def test_the_backlog_is_thinned_by_the_times_of_its_readings() -> None:
    rig = Rig(window=100)
    rig.store_new(35)
    rig.wall = WALL + 1000
    connection = rig.connect(routes=[EVERY])
    rig.session.send_pending()
    assert connection.readings == [1, 10, 20, 30, 35]
    connection.ack(1, 10, 20, 30, 35)
    assert rig.owed() == []


async def test_what_waits_comes_again_after_the_connection_and_other_rules() -> None:
    rig = Rig(window=100)
    first = rig.connect(routes=[EVERY])
    rig.send_new(3)
    first.ack(1)
    rig.drop()
    second = rig.connect(routes=[EVERY])
    assert second.readings == []
    rig.wall = WALL + 12
    rig.session.send_pending()
    assert second.readings == [3]
    second.ack(3)
    rig.store.add()
    rig.send_new()
    assert second.readings == [3]
    rig.session.reroute(BrokerRoutes("b", [], {}), 0.5, 0.0)
    assert second.readings == [3, 5]  # 4 was replaced by 5


@pytest.mark.parametrize("window", [1, 3])
async def test_a_small_window_holds_up_nothing(window: int) -> None:
    rig = Rig(window=window)
    rig.wall = WALL + 1000
    connection = rig.connect(routes=[RouteRule(devices=["slow"], every=10e-6), RouteRule()])
    for _ in range(20):
        rig.store.add(device="slow")
        rig.send_new(device="fast")
    for _ in range(60):
        if unacked := connection.unacked():
            connection.ack(*unacked)
    fast = [seq for seq in connection.readings if seq % 2 == 0]
    slow = [seq for seq in connection.readings if seq % 2]
    assert fast == list(range(2, 41, 2))
    assert slow == [1, 9, 19, 29, 39]
    assert rig.owed() == []
