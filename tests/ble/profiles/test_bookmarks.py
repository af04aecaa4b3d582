"""What was taken: sets of numbers against a plain set, downloads in any order with a kill anywhere."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.drivers.ble.stored_records.bookmarks import MOST_RUNS, RecordDownload, TakenNumbers
from gatepost.drivers.ble.stored_records.numbered_records import NumberedRecords, SentRecord

QUICK = settings(max_examples=100, deadline=None)
spans = st.tuples(st.integers(0, 300), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@QUICK
@given(st.lists(spans, max_size=20))
def test_taken_is_a_set_of_numbers(filled):
    taken, plain = TakenNumbers(), set()
    for first, last in filled:
        taken.fill(first, last)
        plain |= set(range(first, last + 1))
        taken = TakenNumbers.load(json.loads(json.dumps(taken.dump())))
    assert {number for number in range(330) if number in taken} == plain
    assert taken.newest == max(plain, default=-1)
    gaps = {number for first, last in taken.gaps() for number in range(first, last + 1)}
    assert gaps == set(range(max(plain, default=-1) + 1)) - plain


def test_too_many_runs_close_the_oldest_gap():
    taken = TakenNumbers()
    for number in range(0, 4 * MOST_RUNS, 2):
        taken.fill(number, number)
    assert len(taken.runs) == MOST_RUNS
    assert 1 in taken
    assert 4 * MOST_RUNS - 3 not in taken


def test_nonsense_means_that_nothing_was_taken():
    for nonsense in (
        None,
        3,
        "x",
        [],
        {},
        {"to": "x"},
        {"to": 1.5},
        {"to": 1, "runs": 7},
        {"to": 1, "runs": [[1], "x"]},
    ):
        taken = TakenNumbers.load(nonsense)
        assert taken.runs == []
        assert taken.to in (-1, 1)
    for nonsense in ({"to": 3, "stamps": 7}, {"stamps": {"x": 1, "2": 3}}, {"stamps": {"²": "x"}}):
        assert NumberedRecords(nonsense).mark()["stamps"] == {}


@QUICK
@given(
    st.sets(st.integers(0, 60), min_size=1, max_size=30).map(sorted),
    st.sampled_from(["rising", "falling"]),
    st.booleans(),
    st.data(),
)
def test_a_kill_anywhere_in_a_download_loses_nothing_and_doubles_nothing(numbers, order, announced, data):
    sent = numbers if order == "rising" else numbers[::-1]
    kill = data.draw(st.integers(0, len(sent)))
    taken = TakenNumbers()
    upstream: list[int] = []
    download = RecordDownload(taken, len(sent) if announced else None)
    upstream += [number for number in sent[:kill] if download.new(number)]
    taken = TakenNumbers.load(taken.dump())
    download = RecordDownload(taken, None)
    upstream += [number for number in sent if download.new(number)]
    assert sorted(upstream) == numbers


@QUICK
@given(st.lists(st.integers(0, 60), max_size=60))
def test_whatever_the_order_a_whole_download_gives_each_number_once(sent):
    download = RecordDownload(TakenNumbers())
    assert sorted(number for number in sent if download.new(number)) == sorted(set(sent))


def test_the_only_record_needs_no_second_one_to_be_believed():
    taken = TakenNumbers(10)
    download = RecordDownload(taken, 1)
    assert download.new(14)
    assert (taken.to, taken.runs) == (14, [])


def test_numbers_beyond_sixteen_bits():
    ledger = NumberedRecords({"to": 65534, "stamps": {}})
    assert ledger.number(65535) == 65535
    assert ledger.number(3) == 65539
    assert ledger.number(65000) == 65000
    assert NumberedRecords({"to": 65534}, wraps=False).number(3) == 3
    assert NumberedRecords().number(40000) == 40000


def test_live_records_do_not_hide_what_is_still_to_be_asked_for():
    ledger = NumberedRecords({"to": 100}, wraps=False)
    assert ledger.take(SentRecord(200, ""))
    assert ledger.taken.gaps() == [(101, 199)]
    ledger.caught_up = True
    assert ledger.take(SentRecord(205, ""))
    assert ledger.take(SentRecord(210, ""))
    assert not ledger.take(SentRecord(205, ""))
    assert ledger.take(SentRecord(230, ""))  # three were missed
    assert ledger.taken.gaps() == [(101, 199), (211, 229)]


def test_the_stamps_of_the_highest_numbers_are_kept():
    ledger = NumberedRecords()
    ledger.begin(None)
    for number in range(100, 0, -1):
        ledger.take(SentRecord(number, f"t{number}"))
    assert ledger.knows(SentRecord(100, "t100"))
    assert not ledger.knows(SentRecord(100, "t1"))
    assert not ledger.knows(SentRecord(10, "t10"))


def test_a_live_record_in_the_middle_of_a_download_and_a_kill() -> None:
    ledger = NumberedRecords({"to": 100}, wraps=False)
    ledger.horizon = 150
    ledger.begin(50)
    assert all(ledger.take(SentRecord(number, "")) for number in (101, 102, 155))
    assert not ledger.stores(SentRecord(155, ""))
    again = NumberedRecords(json.loads(json.dumps(ledger.mark())), wraps=False)
    again.horizon = 155
    again.begin(None)
    sent = (*range(101, 151), 155)
    assert [number for number in sent if again.take(SentRecord(number, ""))] == list(range(103, 151))
    again.end(whole=True)
    assert (again.taken.to, again.taken.runs) == (155, [])
