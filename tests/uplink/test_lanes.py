"""Lanes by themselves: whose turn it is, what is missing, what was settled."""

from __future__ import annotations

from collections import Counter

from gatepost.agent.store.delivery.positions import DeliveryPosition
from gatepost.agent.store.model import IN_STEP, URGENT, Record
from gatepost.agent.store.ranges import FOREVER
from gatepost.agent.uplink.lanes import PAGE_ROWS, REFILL_BELOW, Lane, Lanes


def row(seq: int, size: int = 10, urgent: bool = False) -> Record:
    return Record(seq, 1, seq, seq, IN_STEP | (URGENT if urgent else 0), b"x" * size)


def rows(lo: int, hi: int, size: int = 10) -> list[Record]:
    return [row(seq, size) for seq in range(lo, hi)]


def owing(*ranges: tuple[int, int]) -> DeliveryPosition:
    position = DeliveryPosition("b")
    for lo, hi in ranges:
        position.owe(lo, hi)
    return position


def test_what_is_owed_is_split_at_the_head() -> None:
    lanes = Lanes(owing((3, 5), (8, FOREVER)), head=10, share=0.2)
    assert lanes.backlog.missing(10) == (3, 5)
    assert lanes.urgent.missing(10) == (3, 5)
    assert lanes.live.missing(10) is None
    assert lanes.live.missing(12) == (11, 13)


def test_ranges_follow_one_another() -> None:
    lane = Lane("backlog", 0, [(3, 5), (8, 11)])
    lane.load(rows(3, 5), 5)
    assert lane.missing(100) == (8, 11)
    lane.load(rows(8, 11), 11)
    assert lane.missing(100) is None


def test_enough_is_enough() -> None:
    lane = Lane("live", 0, [(1, FOREVER)])
    lane.load(rows(1, REFILL_BELOW + 1), REFILL_BELOW + 1)
    assert lane.missing(1_000_000) is None
    lane.take()
    assert lane.missing(1_000_000) == (REFILL_BELOW + 1, 1_000_001)


def test_large_bodies_make_small_pages() -> None:
    lane = Lane("live", 0, [(1, FOREVER)])
    assert lane.limit == PAGE_ROWS
    lane.load([row(1, 25_000)], 2)
    assert lane.limit == 10
    lane.load([row(2, 500)], 3)
    assert lane.limit == 500


def test_urgent_goes_first_and_the_backlog_by_its_share() -> None:
    lanes = Lanes(owing((1, FOREVER)), head=100, share=0.25)
    lanes.live.load(rows(101, 301), 301)
    lanes.backlog.load(rows(1, 100), 100)
    lanes.urgent.load([row(50, urgent=True)], 51)
    order = []
    for _ in range(41):
        lane = lanes.choose()
        assert lane is not None
        order.append(lane.name)
        lane.take()
    assert order[0] == "urgent"
    assert Counter(order[1:]) == {"live": 30, "backlog": 10}
    assert order[1:9] == ["live", "live", "live", "backlog"] * 2


def test_neither_starves_at_the_ends_of_the_share() -> None:
    for share, expected in ((1.0, "live"), (0.05, "backlog")):
        lanes = Lanes(owing((1, FOREVER)), head=100, share=share)
        lanes.live.load(rows(101, 201), 201)
        lanes.backlog.load(rows(1, 100), 100)
        names = []
        for _ in range(60):
            lane = lanes.choose()
            assert lane is not None
            names.append(lane.name)
            lane.take()
        assert expected in names


def test_a_backlog_that_may_not_send_leaves_the_turn_to_live_or_nobody() -> None:
    lanes = Lanes(owing((1, FOREVER)), head=100, share=1.0)
    lanes.backlog.load(rows(1, 100), 100)
    assert lanes.choose(backlog_allowed=False) is None
    lanes.live.load(rows(101, 102), 102)
    assert lanes.choose(backlog_allowed=False) is lanes.live


def test_settled_ends_before_the_first_in_flight() -> None:
    lane = Lane("live", 0, [(1, FOREVER)])
    lane.load(rows(1, 11), 11)
    for _ in range(5):
        lane.take()
    del lane.in_flight[1], lane.in_flight[4]
    assert lane.settled() == [(1, 2)]
    assert lane.settled() == []
    for seq in (2, 3, 5):
        del lane.in_flight[seq]
    assert lane.settled() == [(2, 6)]


def test_what_was_never_owed_is_not_settled() -> None:
    lane = Lane("backlog", 0, [(1, 3), (7, 9)])
    lane.load([row(1), row(2)], 3)
    lane.load([row(7), row(8)], 9)
    for _ in range(4):
        lane.take()
    lane.in_flight.clear()
    assert lane.settled() == [(1, 3), (7, 9)]


def test_a_refused_reading_comes_first_again_and_holds_the_position() -> None:
    lane = Lane("live", 0, [(1, FOREVER)])
    lane.load(rows(1, 6), 6)
    for _ in range(4):
        lane.take()
    del lane.in_flight[1], lane.in_flight[3]
    lane.retry([4, 2])
    assert [record.seq for record in lane.buffer] == [2, 4, 5]
    assert lane.settled() == [(1, 2)]


def test_a_reading_refused_while_later_ones_fly_holds_the_position() -> None:
    lane = Lane("live", 0, [(1, FOREVER)])
    lane.load(rows(1, 4), 4)
    for _ in range(3):
        lane.take()
    lane.retry([1])
    assert lane.settled() == []


def test_live_that_lags_becomes_backlog() -> None:
    lanes = Lanes(owing((1, FOREVER)), head=0, share=0.2)
    lanes.live.load(rows(1, 21), 21)
    lanes.live.take()
    assert not lanes.demote(head=32, most=30)
    assert lanes.demote(head=33, most=30)
    assert lanes.live.missing(40) == (34, 41)
    assert lanes.backlog.missing(40) == (2, 34)
    assert lanes.live.settled() == []
    lanes.live.in_flight.clear()
    assert lanes.live.settled() == [(1, 2)]


def test_what_live_ceded_is_not_ceded_again() -> None:
    lanes = Lanes(owing((1, FOREVER)), head=0, share=0.2)
    lanes.live.load(rows(1, 21), 21)
    lanes.live.take()
    assert lanes.demote(head=50, most=10)
    lanes.live.retry([1])
    assert not lanes.demote(head=55, most=10)
    assert [record.seq for record in lanes.live.buffer] == [1]
    assert lanes.demote(head=80, most=10)
    assert list(lanes.backlog._ahead) == [(2, 51), (51, 81)]


def test_what_was_forgotten_is_read_again_without_what_was_sent() -> None:
    lane = Lane("backlog", 0, [(1, 20)])
    lane.load(rows(1, 11), 11)
    for _ in range(5):
        lane.take()
    for seq in (1, 3, 4):
        del lane.in_flight[seq]
    lane.retry([2])
    assert lane.holds(2)
    assert lane.holds(5)
    assert lane.holds(12)
    assert not lane.holds(3)
    lane.unload()
    assert lane.missing(100) == (2, 3)
    lane.load([row(2)], 3)
    assert lane.missing(100) == (6, 20)
    assert not lane.holds(3)
    assert not lane.holds(4)
    assert lane.holds(6)


def test_what_was_sent_and_is_read_again_is_not_ceded() -> None:
    lane = Lane("live", 0, [(1, FOREVER)])
    lane.load(rows(1, 6), 6)
    for _ in range(5):
        lane.take()
    for seq in (1, 3, 5):
        del lane.in_flight[seq]
    lane.retry([2, 4])
    lane.unload()
    lane.load([row(2)], 3)
    assert lane.cede(20) is None  # 4 is still to be read
    lane.load([row(4)], 5)
    assert lane.cede(20) == (6, 20)
    assert [record.seq for record in lane.buffer] == [2, 4]
    assert lane.settled() == [(1, 2)]


def test_what_is_to_be_read_again_stays_so_when_it_is_forgotten_once_more() -> None:
    lane = Lane("urgent", 0, [(1, FOREVER)])
    lane.load([row(3)], 4)
    lane.take()
    lane.retry([3])
    lane.unload()
    lane.unload()
    assert lane.missing(10) == (3, 4)
    assert lane.settled() == [(1, 3)]
