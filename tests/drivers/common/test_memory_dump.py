"""Records without numbers: each is given once, whatever the order, the clock, or the moment of a crash."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.record_digests import DIGEST_SIZE, MAX_DIGESTS
from gatepost.drivers.serial.common.memory_dump import SHARDS, MemoryDump

MAX_BOOKMARK = MAX_DIGESTS * DIGEST_SIZE * 4 // 3  # characters
RECORDS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), max_size=60)


def take(bookmarks, records, owner="M1"):
    """One dump; the marks of the records that are new, as they would be stored one after the other."""
    seen = MemoryDump(bookmarks, twins=True)
    seen.begin()
    return [(record, mark) for record in records if (mark := seen.take(owner, *record)) is not None]


def test_a_record_is_given_once():
    bookmarks = dict(mark for _, mark in take({}, [(1, 100), (2, 100), (1, 90)]))
    assert take(bookmarks, [(1, 100), (2, 100), (1, 90)]) == []
    assert [record for record, _ in take(bookmarks, [(3, 7), (1, 100)])] == [(3, 7)]


def test_the_same_record_twice_in_a_dump_is_two():
    twice = [(1, 100), (1, 100)]
    found = take({}, twice)
    assert len(found) == 2
    assert len(take(dict(mark for _, mark in found[:1]), twice)) == 1
    assert take(dict(mark for _, mark in found), twice) == []


def test_what_is_heard_twice_is_one_record_where_there_are_no_twins():
    seen = MemoryDump({})
    assert [seen.take("M1", 1, 100) is None for _ in range(3)] == [False, True, True]


def test_another_meter_starts_anew():
    bookmarks = dict(mark for _, mark in take({}, [(1, 100)]))
    assert len(take(bookmarks, [(1, 100)], owner="M2")) == 1


@given(RECORDS, RECORDS, st.integers(0, 60))
def test_a_crash_anywhere_loses_nothing_and_doubles_nothing(first, second, stored):
    """`stored` records of the first dump are on disk when the agent is killed; then the dump is of both."""
    before = take({}, first)[:stored]
    bookmarks = dict(mark for _, mark in before)
    after = take(bookmarks, first + second)
    assert sorted([record for record, _ in before] + [record for record, _ in after]) == sorted(first + second)
    assert take(bookmarks | dict(mark for _, mark in after), first + second) == []


def test_bookmarks_are_bounded():
    bookmarks = dict(mark for _, mark in take({}, [(i, i) for i in range(12_000)]))
    assert len(bookmarks) == SHARDS
    assert max(map(len, bookmarks.values())) <= MAX_BOOKMARK
    assert min(map(len, bookmarks.values())) > MAX_BOOKMARK // 2  # they fill evenly
    newest = [(i, i) for i in range(8000, 12_000)]
    assert take(bookmarks, newest) == []
    assert orjson.loads(orjson.dumps(bookmarks)) == bookmarks


def test_a_bookmark_of_another_kind_does_no_harm():
    assert len(take({"M1/0": 7, "M1/1": None, "other": ["x"]}, [(i, 0) for i in range(50)])) == 50
