"""One session: the window, refusals, limits, the suspect, other messages, and the end."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.settings.model import RouteRule
from gatepost.agent.uplink import acknowledgements, delivery, log_feed, poison_messages
from gatepost.agent.uplink.lanes import RUN
from gatepost.agent.uplink.poison_messages import QUIET, SUSPECT_AFTER
from gatepost.agent.uplink.routing import BrokerRoutes
from gatepost.agent.uplink.wire_message import WireMessage
from tests.support.waiting import until

from .fakes import FAILURE, Rig, connected


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_window_is_kept_full_and_not_wider() -> None:
    rig, connection = connected(window=3)
    rig.send_new(10)
    assert connection.sent == [1, 2, 3]
    connection.ack(1, 2)
    assert connection.sent == [1, 2, 3, 4, 5]
    assert rig.counters.delivered == 2
    assert len(rig.session.acknowledgements.in_flight) == 3


async def test_the_broker_s_receive_maximum_binds_and_leaves_ids_for_answers() -> None:
    rig = Rig(window=100)
    connection = rig.connect(receive_maximum=6)
    rig.send_new(10)
    assert len(connection.sent) == 6 - delivery.SPARE_IDS


async def test_a_slow_link_is_not_stuffed() -> None:
    rig = Rig()
    connection = rig.connect(unsent=delivery.UNSENT_LIMIT + 1)
    rig.send_new()
    assert connection.sent == []
    connection.unsent = 0
    await until(lambda: connection.sent == [1])


async def test_urgent_first_then_live_beside_backlog_and_marked_so() -> None:
    rig = Rig(window=100)
    rig.store_new(8)
    rig.store.add(urgent=True)
    connection = rig.connect(share=0.5, is_open=False)
    rig.store_new(4)
    connection.is_open = True
    rig.session.send_pending()
    assert connection.sent[0] == 9
    assert connection.sent.index(10) < 4
    assert connection.sent.index(1) <= 1 + RUN
    replayed = {tag: orjson.loads(connection.messages[tag][1])["replayed"] for tag in connection.sent}
    assert [replayed[seq] for seq in (1, 8, 9, 10, 13)] == [True, True, False, False, False]


async def test_a_final_refusal_is_a_dead_letter_and_the_lane_goes_on() -> None:
    rig, connection = connected(window=2)
    rig.send_new(4)
    connection.answer((1, 0x99), (2, 0))
    assert rig.store.dead == [("b", 1, 0x99, "payload format invalid")]
    assert connection.sent == [1, 2, 3, 4]
    assert rig.owed() == [3, 4]
    assert (rig.counters.refused, rig.counters.dead, rig.counters.delivered) == (1, 1, 1)


async def test_a_refused_event_is_marked_so_that_no_event_tells_of_it() -> None:
    rig, connection = connected(window=2)
    rig.store.add()
    rig.send_new(event=True)
    connection.answer((1, 0x99), (2, 0x87))
    assert [seq for _, seq, _, _ in rig.store.dead] == [1, 2]
    assert rig.store.dead_events == [2]


async def test_over_quota_pauses_and_sends_again_in_order() -> None:
    rig, connection = connected(window=4)
    rig.send_new(8)
    connection.answer((3, 0x97), (1, 0x97))
    assert connection.sent == [1, 2, 3, 4]
    connection.answer((2, 0), (4, 0))
    assert connection.sent == [1, 2, 3, 4]  # a pause
    assert rig.owed() == [1, 2, 3, 4, 5, 6, 7, 8]
    rig.later(acknowledgements.FIRST_PAUSE)
    assert connection.sent == [1, 2, 3, 4, 1, 3, 5, 6]


async def test_a_wide_window_is_filled_again_when_half_of_it_is_acknowledged() -> None:
    window = delivery.SMALL_WINDOW + 10
    rig, connection = connected(window=window)
    rig.send_new(2 * window)
    for seq in range(1, window // 2):
        connection.ack(seq)
        assert len(connection.sent) == window
    connection.ack(window // 2)
    assert connection.sent == list(range(1, window + window // 2 + 1))


async def test_a_narrow_window_is_filled_again_with_each_answer() -> None:
    rig, connection = connected(window=delivery.SMALL_WINDOW)
    rig.send_new(2 * delivery.SMALL_WINDOW)
    connection.ack(1)
    assert connection.sent == list(range(1, delivery.SMALL_WINDOW + 2))


async def test_an_urgent_reading_does_not_wait_for_half_of_the_window() -> None:
    rig, connection = connected(window=delivery.SMALL_WINDOW + 10)
    rig.send_new(2 * delivery.SMALL_WINDOW)
    urgent = rig.store.add(urgent=True)
    rig.session.send_pending()
    connection.ack(1)
    assert connection.sent[-1] == urgent


async def test_a_message_that_is_not_acknowledged_holds_no_others_up() -> None:
    rig, connection = connected(window=2)
    rig.session.control.put([WireMessage(b"t", b"", 1, False, b"")] * 3)
    rig.send_new(4)
    connection.ack(1, 2)
    assert connection.readings == [1, 2, 3, 4]


async def test_the_quota_is_waited_for_without_end_and_ever_longer() -> None:
    rig, connection = connected(window=1)
    rig.send_new()
    waits = []
    for _ in range(12):
        connection.answer((1, 0x97))
        before = rig.now
        while not connection.flight:
            rig.later(0.5)
        waits.append(rig.now - before)
    assert rig.store.dead == []
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == acknowledgements.LONGEST_PAUSE
    connection.ack(1)
    assert rig.owed() == []
    assert not rig.session.acknowledgements._refusals


async def test_a_delivery_ends_the_growth_of_the_pauses() -> None:
    rig, connection = connected(window=1)
    for seq in (1, 2):
        rig.send_new()
        for _ in range(3):
            connection.answer((seq, 0x97))
            rig.later(4.0)
        connection.ack(seq)
    rig.send_new()
    connection.answer((3, 0x97))
    rig.later(acknowledgements.FIRST_PAUSE)
    assert connection.flight == [3]


async def test_a_pause_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "FIRST_PAUSE", 0.05)
    rig = Rig()
    loop = asyncio.get_running_loop()
    began = loop.time()
    connection = rig.connect()
    rig.monotonic = lambda: 1000.0 + loop.time() - began
    rig.send_new()
    connection.answer((1, 0x97))
    rig.session._timer.wake_within(0.001)  # something else wants to look earlier
    await until(lambda: connection.sent == [1, 1], 5)


async def test_a_message_refused_for_now_too_often_is_a_dead_letter() -> None:
    rig, connection = connected()
    rig.send_new()
    for _ in range(acknowledgements.REFUSAL_LIMIT):
        connection.answer((1, 0x80))
        rig.later(acknowledgements.LONGEST_PAUSE)
    assert [letter[1:3] for letter in rig.store.dead] == [(1, 0x80)]
    assert not connection.flight
    assert not rig.session.acknowledgements._refusals


async def test_what_is_too_large_for_the_broker_is_not_sent() -> None:
    rig = Rig()
    connection = rig.connect(maximum_packet_size=300)
    rig.store.add(body=b'{"n":"%b"}' % (b"x" * 300))
    rig.send_new()
    assert connection.sent == [2]
    assert rig.store.dead[0][1:3] == (1, 0x95)
    assert "300" in rig.store.dead[0][3]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_the_size_is_the_one_on_the_wire(qos: int) -> None:
    for event in (False, True):
        rig = Rig(qos=qos)
        connection = rig.connect()
        rig.send_new(event=event)
        topic, payload, used, _, _ = connection.messages[1]
        octets = 3 + 2 + len(topic) + (2 if used else 0) + 1 + len(payload)
        assert used == (1 if event else qos)
        for most, dead in ((octets, False), (octets - 1, True)):
            rig = Rig(qos=qos)
            connection = rig.connect(maximum_packet_size=most)
            rig.send_new(event=event)
            assert bool(rig.store.dead) is dead


async def test_a_topic_that_cannot_be_published_to_is_a_dead_letter() -> None:
    rig, connection = connected()
    rig.store.add(device="a+b")
    rig.send_new()
    assert connection.sent == [2]
    assert rig.store.dead[0][1:3] == (1, 0x90)


async def test_a_damaged_row_does_not_hold_up_the_others() -> None:
    rig, connection = connected()
    rig.store.add(device="broken")
    rig.store.series[1] = rig.store.series[1]._replace(common=b"{no json")
    rig.send_new()
    assert connection.sent == [2]
    assert "cannot be written" in rig.store.dead[0][3]
    assert not rig.lost


async def test_a_series_forgotten_meanwhile_is_read_again() -> None:
    rig = Rig()
    seq = rig.store.add()
    series = rig.store.series.pop(1)
    connection = rig.connect()
    assert connection.sent == []
    rig.store.series[1] = series  # the page brings it back
    await settle()
    assert connection.sent == [seq]
    assert rig.store.pages


async def test_a_fault_in_sending_ends_the_connection_and_goes_no_further(caplog: pytest.LogCaptureFixture) -> None:
    rig, connection = connected()
    connection.receive_maximum = -1  # what cannot be
    rig.session._window = 10
    connection.__dict__["publish"] = None
    rig.store.add()
    connection.receive_maximum = 10
    rig.session.send_pending()
    assert len(rig.lost) == 1
    assert rig.lost[0].silent
    assert "sending failed" in caplog.text


async def test_the_backlog_s_rate_is_kept_and_live_is_free_of_it() -> None:
    rig = Rig(window=100, rate=10.0)
    rig.store_new(50)
    connection = rig.connect()
    assert len(connection.sent) == 1
    rig.later(1.0)
    assert len(connection.sent) == 11
    rig.now += 0.25
    rig.send_new(30)
    assert len([seq for seq in connection.sent if seq > 50]) == 30
    assert len([seq for seq in connection.sent if seq <= 50]) == 13


async def test_the_backlog_s_rate_goes_on_by_itself() -> None:
    rig = Rig(window=100, rate=100.0)
    loop = asyncio.get_running_loop()
    rig.store_new(5)
    connection = rig.connect()
    rig.monotonic = lambda: 1000.0 + loop.time() % 1000
    await until(lambda: len(connection.sent) == 5, 5)


async def test_readings_that_are_not_routed_are_passed_over_and_settled() -> None:
    rig = Rig()
    for device in "xaxaxx":
        rig.store.add(device=device)
    rig.store.add(device="x", event=True)
    connection = rig.connect(routes=[RouteRule(devices=["a"])])
    assert connection.sent == [2, 4, 7]
    connection.ack(2, 4, 7)
    assert rig.owed() == []
    assert rig.counters.skipped == 4


async def test_what_is_passed_over_is_told_to_the_store() -> None:
    rig = Rig()
    rig.store.position("b").dirty = False
    rig.store.add(device="x")
    rig.connect(routes=[RouteRule(devices=["a"])])
    assert rig.store.position("b").unsaved_rows == 1
    assert rig.store.position("b").dirty


async def test_other_routes_count_at_once() -> None:
    rig = Rig()
    connection = rig.connect(routes=[RouteRule(devices=["a"])])
    rig.send_new(device="x")
    rig.session.reroute(BrokerRoutes("b", [], {}), 0.2, 0.0)
    rig.send_new(device="x")
    assert connection.sent == [2]


async def test_a_log_that_cannot_be_read_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_feed, "FIRST_REREAD", 0.01)
    rig = Rig()
    rig.store.add()
    rig.store.restart()
    rig.store.failing = FAILURE
    connection = rig.connect()
    await until(lambda: len(rig.store.pages) > 2)
    rig.store.failing = None
    await until(lambda: connection.sent == [1])
    await until(lambda: not rig.session.feed._loads)  # the other lanes too


async def test_rows_that_come_while_the_log_is_read_are_not_sent_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live falls behind so far that it becomes backlog, while a page of it is under way."""
    monkeypatch.setattr(log_feed, "LIVE_LAG", 15)
    rig, connection = connected(memory=5, window=1000)
    rig.store.gate.clear()
    for _ in range(2):
        rig.send_new(12)
        await settle()
    rig.store.gate.set()
    await until(lambda: len(connection.sent) >= 24)
    assert sorted(connection.sent) == list(range(1, 25))


async def test_ranges_that_memory_holds_are_not_passed_over() -> None:
    """What is acknowledged in between must not hide what is owed behind it."""
    rig = Rig(window=1000)
    rig.store_new(30)
    rig.store.backlog.position("b").settle(0, 11, 21)
    connection = rig.connect()
    assert connection.sent == [*range(1, 11), *range(21, 31)]


# -- the suspect


async def test_the_suspect_is_sent_alone_after_a_quiet_time() -> None:
    rig = Rig()
    rig.store_new(5)
    for _ in range(SUSPECT_AFTER):
        rig.connect()
        assert rig.poison.hung_up(*rig.drop()) is None
    connection = rig.connect()
    assert connection.sent == []
    rig.later(QUIET)
    assert connection.sent == [1]
    assert rig.session.end() == (1, True)


async def test_beside_an_answer_in_flight_it_is_not_alone() -> None:
    rig = Rig()
    rig.store.add()
    rig.hung_up_on()
    connection = rig.connect()
    answer = asyncio.ensure_future(rig.send("t", b"x", 1, False, b"", 5))
    await settle()
    rig.later(QUIET)
    assert connection.sent == [-1, 1]
    assert rig.session.end() == (1, False)
    connection.is_open = False
    with pytest.raises(NotConnected):
        await answer


async def test_an_innocent_suspect_opens_the_window_again() -> None:
    rig = Rig()
    rig.store_new(5)
    rig.hung_up_on()
    connection = rig.connect()
    rig.later(QUIET)
    connection.ack(1)
    assert connection.sent == [1, 2, 3, 4, 5]
    assert rig.poison.suspect is None


async def test_a_suspect_that_is_not_owed_any_more_is_acquitted() -> None:
    rig = Rig()
    rig.store_new(3)
    rig.suspect(1)
    rig.store.backlog.position("b").settle(0, 1, 2)
    connection = rig.connect()
    rig.later(QUIET)
    assert connection.sent == [2, 3]
    assert rig.poison.suspect is None


async def test_a_suspect_that_is_not_routed_any_more_is_acquitted() -> None:
    rig = Rig()
    rig.store.add(device="x")
    rig.store.add(device="a")
    rig.store.add(device="a")
    rig.suspect(1)
    connection = rig.connect(routes=[RouteRule(devices=["a"])])
    rig.later(QUIET)
    connection.ack(2)
    assert connection.sent == [2, 3]
    assert rig.poison.suspect is None


async def test_a_broker_that_took_nothing_since_is_shown_another_reading_first() -> None:
    rig = Rig()
    rig.store.add(urgent=True)
    connection = rig.connect()
    rig.drop()
    rig.suspect(1)
    rig.poison.vouched = False
    connection = rig.connect()
    rig.store.add()
    rig.later(QUIET)
    assert connection.sent == [2]
    connection.ack(2)
    assert rig.poison.vouched
    assert connection.sent == [2, 1]


async def test_without_another_reading_the_suspect_has_its_turn_in_the_end() -> None:
    rig = Rig()
    rig.store.add()
    rig.suspect(1)
    rig.poison.vouched = False
    connection = rig.connect()
    rig.later(poison_messages.PROBE_WAIT - 1)
    assert connection.sent == []
    rig.later(1)
    assert connection.sent == [1]


async def test_an_acknowledged_event_vouches_for_nothing() -> None:
    rig = Rig()
    rig.poison.vouched = False
    connection = rig.connect()
    rig.send_new(event=True)
    connection.ack(1)
    assert not rig.poison.vouched


# -- acknowledgements that do not come


async def test_a_link_without_acknowledgements_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "ACK_LIMIT", 0.04)
    rig, connection = connected()
    rig.send_new()
    await until(lambda: connection.checks >= 3)
    connection.ack(1)
    seen = connection.checks
    await asyncio.sleep(0.05)
    assert connection.checks <= seen + 1


async def test_a_left_out_acknowledgement_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "ACK_LIMIT", 0.04)
    rig, connection = connected(window=2)
    rig.send_new()
    await until(lambda: connection.checks >= 2)
    rig.send_new()
    connection.ack(2)
    rig.now += 1.0
    await until(lambda: rig.lost)
    assert rig.lost[0].silent


async def test_without_any_acknowledgement_the_connection_itself_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "ACK_LIMIT", 0.02)
    rig, connection = connected()
    rig.send_new()
    for _ in range(3):
        seen = connection.checks
        rig.now += 1.0
        await until(lambda seen=seen: connection.checks > seen)
    assert not rig.lost


async def test_a_slow_broker_that_keeps_the_order_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledgements, "ACK_LIMIT", 0.02)
    rig, connection = connected(window=2)
    rig.send_new(40)
    for _ in range(20):
        connection.ack(connection.flight[0])
        rig.now += 1.0
        seen = connection.checks
        await until(lambda seen=seen: connection.checks > seen)
    assert not rig.lost


# -- other messages


async def test_an_answer_returns_the_broker_s_code() -> None:
    rig, connection = connected()
    task = asyncio.ensure_future(rig.send("a/b", b"hello", 1, True, b"p", 5))
    await settle()
    assert connection.messages[-1] == (b"a/b", b"hello", 1, True, b"p")
    connection.ack(-1, code=0x10)
    assert await task == 0x10


async def test_an_answer_without_acknowledgement_is_given_up() -> None:
    rig = Rig()
    rig.connect()
    with pytest.raises(UplinkError):
        await rig.send("a/b", b"hello", 1, True, b"", 0.02)
    assert not rig.session.control._pending


async def test_an_answer_that_is_too_large_is_not_sent() -> None:
    rig = Rig()
    connection = rig.connect(maximum_packet_size=50)
    assert await rig.send("a/b", b"x" * 60, 1, True, b"", 5) == 0x95
    assert connection.sent == []


async def test_answers_get_through_where_the_broker_takes_one_message_at_a_time() -> None:
    rig = Rig()
    rig.store_new(100)
    connection = rig.connect(receive_maximum=1)
    answers = [asyncio.ensure_future(rig.send("t", b"x", 1, False, b"", 5)) for _ in range(3)]
    for _ in range(12):
        await settle()
        connection.ack(*connection.flight)
    await settle()
    assert all(answer.done() for answer in answers)
    while connection.flight:
        connection.ack(*connection.flight)
    assert connection.readings == list(range(1, 101))


@pytest.mark.parametrize("receive_maximum", [1, 2, 3, 60])
async def test_a_reading_of_more_messages_than_the_broker_takes_at_once_goes_out_whole(receive_maximum: int) -> None:
    rig, count = Rig(), receive_maximum + 3
    rig.store_new(2)
    connection = rig.connect(receive_maximum=receive_maximum, is_open=False)
    render = rig.session.renderer.render
    rig.session._plain = None
    rig.session.renderer.render = lambda some: [*render(some)] * count  # type: ignore[method-assign]
    connection.is_open = True
    rig.session.send_pending()
    while connection.flight:
        connection.ack(*connection.flight)
    assert connection.readings == [1] * count + [2] * count
    assert rig.owed() == []


async def test_readings_go_on_when_an_answer_that_waited_is_given_up() -> None:
    rig = Rig()
    connection = rig.connect(receive_maximum=1)
    first = asyncio.ensure_future(rig.send("t", b"x", 1, False, b"", 5))
    await settle()
    rig.store.add()
    second = asyncio.ensure_future(rig.send("t", b"x", 1, False, b"", 0.02))
    with pytest.raises(UplinkError):
        await second
    connection.ack(-1)
    assert await first == 0
    assert connection.readings == [1]


async def test_the_end_tells_those_who_wait_and_settles() -> None:
    rig, connection = connected()
    rig.send_new(3)
    connection.ack(1)
    task = asyncio.ensure_future(rig.send("t", b"x", 1, False, b"", 5))
    await settle()
    assert rig.session.end() == (2, False)
    with pytest.raises(NotConnected):
        await task
    assert rig.owed() == [2, 3]
    rig.session.send_pending()
    assert len(connection.readings) == 3


async def test_held_back_nothing_more_is_sent() -> None:
    rig, connection = connected()
    rig.session.hold()
    rig.send_new()
    assert connection.sent == []


async def test_acknowledgements_look_for_more_only_where_there_is_more() -> None:
    rig, connection = connected(window=100)
    seqs = [rig.store.add() for _ in range(20)]
    rig.session.send_pending()
    assert connection.sent == seqs
    looked: list[bool] = []
    fill = rig.session.feed.fill
    rig.session.feed.fill = lambda: (looked.append(True), fill())[1]  # type: ignore[method-assign]
    connection.ack(*seqs[:15])
    assert not looked
    more = rig.store.add()  # stored, and nobody has told yet
    connection.ack(seqs[15])
    assert looked
    assert connection.sent[-1] == more
    connection.ack(seqs[16], code=0x97)  # not now
    connection.ack(*seqs[17:], more)
    rig.later(100)
    assert connection.sent[-1] == seqs[16]
