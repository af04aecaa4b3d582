"""Newest records in memory: bounded, and hardly any where nobody asks for them."""

from __future__ import annotations

from gatepost.agent.store import recent_records
from gatepost.agent.store.model import Record
from gatepost.agent.store.recent_records import UNASKED, RecentRecords


def batch(first: int, count: int = 10) -> list[Record]:
    return [Record(seq, 1, 0, 0, 0, b"x" * 10) for seq in range(first, first + count)]


def seqs(recent: RecentRecords, seq: int, limit: int = 10_000) -> list[int] | None:
    found = recent.since(seq, limit)
    return None if found is None else [record.seq for record in found]


def test_whoever_asks_finds_what_came_since_the_bound() -> None:
    recent = RecentRecords(1)
    for first in range(1, 20_000, 10):
        assert recent.extend(batch(first)) == 100
        assert seqs(recent, first) == list(range(first, first + 10))
    held = seqs(recent, recent.start)
    assert held is not None
    assert recent_records.MAX_ROWS <= len(held) <= recent_records.MAX_ROWS * 5 // 4 + 10
    assert seqs(recent, recent.start - 1) is None
    assert seqs(recent, held[-1] + 1) == []


def test_where_nobody_asks_only_the_newest_commit_is_held() -> None:
    recent = RecentRecords(1)
    for number in range(UNASKED):
        recent.extend(batch(1 + 10 * number))
    assert recent.start == 1
    newest = 1 + 10 * UNASKED
    recent.extend(batch(newest))
    recent.extend([])  # a commit without readings changes nothing
    assert seqs(recent, newest - 1) is None  # the file has it
    assert seqs(recent, newest) == list(range(newest, newest + 10))
    recent.extend(batch(newest + 10))  # somebody asked
    assert seqs(recent, newest) == list(range(newest, newest + 20))
