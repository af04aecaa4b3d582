"""`every` of a rule: the newest reading of each device and metric in that time, and nothing owed is forgotten."""

from __future__ import annotations

import pytest

from gatepost.agent.settings.model import RouteRule
from gatepost.agent.uplink.lanes import Lanes
from gatepost.agent.uplink.routing import BrokerRoutes, PaceKey, PaceVerdict, ReadingThinner

from .fakes import WALL, Rig

KEY = PaceKey("d", "m", False)
SECOND = 1_000_000
SEND, HOLD, DONE = PaceVerdict.SEND, PaceVerdict.HOLD, PaceVerdict.DONE
EVERY = RouteRule(every=10e-6)  # the rows of the fake store lie a microsecond apart


def judge(thinner: ReadingThinner, second: int, urgent: bool = False, key: PaceKey = KEY, seq: int = -1) -> PaceVerdict:
    """Of the reading of this second, of which the number is the same if nothing else is said."""
    return thinner.judge(key, 10.0, second if seq < 0 else seq, second * SECOND, urgent)


def test_the_first_is_sent_what_follows_waits_and_the_last_is_sent_when_the_time_is_over() -> None:
    thinner = ReadingThinner()
    assert [judge(thinner, second) for second in range(10)] == [SEND] + [HOLD] * 9
    assert thinner.due(KEY, 10.0) == 10 * SECOND
    assert thinner.release(KEY, 10.0, 9, 9 * SECOND)
    assert judge(thinner, 9) is SEND  # a repeat
    assert judge(thinner, 19) is HOLD  # the time runs on from 10 s
    assert judge(thinner, 25) is SEND


def test_urgent_ones_pass_and_take_the_place_of_older_ones() -> None:
    thinner = ReadingThinner()
    assert judge(thinner, 0) is SEND
    assert judge(thinner, 5, urgent=True) is SEND
    assert judge(thinner, 4) is DONE
    assert not thinner.release(KEY, 10.0, 4, 4 * SECOND)
    assert judge(thinner, 4, key=PaceKey("d", "other", False)) is SEND


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    thinner = ReadingThinner()
    assert judge(thinner, 100_000, seq=1) is SEND
    assert judge(thinner, 100_001, urgent=True, seq=2) is SEND
    assert judge(thinner, 50, seq=3) is SEND
    assert judge(thinner, 51, seq=4) is HOLD
    assert judge(thinner, 60, seq=5) is SEND


def test_what_came_before_the_time_was_over_and_is_stored_after_it_waits_for_the_next() -> None:
    thinner = ReadingThinner()
    assert [judge(thinner, second) for second in (0, 8)] == [SEND, HOLD]
    assert thinner.release(KEY, 10.0, 8, 8 * SECOND)
    assert judge(thinner, 9) is HOLD


def test_the_backlog_of_a_new_connection_goes_on_where_live_was() -> None:
    thinner = ReadingThinner()
    judge(thinner, 0)
    thinner.begin()
    assert judge(thinner, 1, key=KEY._replace(replayed=True)) is HOLD
    assert judge(thinner, 2) is HOLD


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


async def test_what_was_sent_and_not_acknowledged_comes_again_each_of_its_own_time() -> None:
    rig = Rig(window=100)
    rig.store_new(35)
    rig.wall = WALL + 1000
    for _ in range(3):
        connection = rig.connect(routes=[EVERY])
        rig.session.send_pending()
        assert connection.readings == [1, 10, 20, 30, 35]
        rig.drop()
    rig.store.position("b").settle(0, 1, 35)
    for _ in range(3):  # the last one, too, waits for nothing newer
        connection = rig.connect(routes=[EVERY])
        assert connection.readings == [35]
        rig.drop()


async def test_what_was_refused_for_now_comes_again_each_of_its_own_time() -> None:
    rig = Rig(window=100)
    rig.store_new(20)
    rig.wall = WALL + 1000
    connection = rig.connect(routes=[EVERY])
    rig.session.send_pending()
    assert connection.readings == [1, 10, 20]
    connection.ack(1, 10, 20, code=0x97)
    rig.later(100)
    rig.session.send_pending()
    assert connection.readings[3:] == [1, 10, 20]


async def test_history_is_sent_again_thinned_by_its_own_times_after_a_new_connection_too() -> None:
    rig = Rig(window=100)
    rig.store_new(35)
    rig.wall = WALL + 1000
    for _ in range(2):
        connection = rig.connect(routes=[EVERY])
        rig.session.send_pending()
        connection.ack(*connection.unacked())
        sent = len(connection.readings)
        rig.store.position("b").owe(1, 21)
        rig.session.renew(lambda: Lanes(rig.store.position("b"), rig.store.head, 0.5))
        rig.session.send_pending()
        assert connection.readings[sent:] == [1, 10, 20]
        connection.ack(*connection.unacked())
        assert rig.owed() == []
        rig.drop()


async def test_what_waits_is_sent_though_the_clock_is_set_back_meanwhile() -> None:
    rig = Rig(window=100)
    connection = rig.connect(routes=[EVERY])
    rig.send_new(3)
    assert connection.readings == [1]
    rig.wall = WALL - 1_000_000
    rig.session.send_pending()
    assert connection.readings == [1, 3]


async def test_all_that_wait_are_sent_though_the_window_takes_one_at_a_time() -> None:
    rig = Rig(window=1)
    connection = rig.connect(routes=[EVERY])
    for device in ("a", "b"):
        rig.send_new(device=device)
        connection.ack(*connection.unacked())
    for device in ("a", "b"):
        rig.send_new(device=device)
    assert connection.readings == [1, 2]
    rig.wall = WALL + 100
    rig.session.send_pending()
    connection.ack(3)
    rig.session.send_pending()
    assert connection.readings == [1, 2, 3, 4]


async def test_what_waits_is_sent_when_others_have_passed_it() -> None:
    rig = Rig(window=100)
    connection = rig.connect(routes=[RouteRule(devices=["slow"], every=10e-6), RouteRule()])
    rig.send_new(2, device="slow")
    rig.wall = WALL + 100
    rig.send_new(3, device="fast")
    assert connection.readings == [1, 3, 4, 5, 2]
    connection.ack(*connection.unacked())
    assert rig.owed() == []


async def test_what_waits_is_sent_when_others_that_are_not_sent_have_passed_it() -> None:
    for rate in (0.0, 1000.0):
        rig = Rig(window=100, rate=rate)
        connection = rig.connect(routes=[RouteRule(devices=["slow"], every=10e-6), RouteRule(drop=True)])
        rig.send_new(2, device="slow")
        rig.wall = WALL + 100
        rig.send_new(device="dropped")
        assert connection.readings == [1, 2]


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
    rig.send_new()
    assert second.readings == [3, 4]  # the time of the first is over
    rig.store.add()
    rig.send_new()
    assert second.readings == [3, 4]
    rig.session.reroute(BrokerRoutes("b", [], {}), 0.5, 0.0)
    assert second.readings == [3, 4, 6]  # 5 was replaced by 6


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
