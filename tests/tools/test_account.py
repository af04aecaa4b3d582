"""The judge of the torture: it must find each kind of wrong, and nothing in what is right."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gatepost.agent.uplink.formats.sparkplug_payload import DOUBLE, STRING, SparkplugMetric, encode_payload
from tools.harness import mqtt_writers, sparkplug
from tools.harness.account import Arrivals, Window, holes, key_at, superseded, unexplained
from tools.harness.truth import Row, Stored

SECOND = 1_000_000_000


def arrivals(tmp_path: Path, *lines: str) -> Arrivals:
    journal = tmp_path / "journal"
    journal.write_text("".join(line + "\n" for line in lines), "utf-8")
    seen = Arrivals(journal)
    seen.read()
    return seen


def sent(connection: int, mid: int, seq: int, n: int, lane: str = "l", device: str = "a") -> str:
    return f"P {connection} {mid} g:e:{seq} {device} {n} 0 {lane} 0"


def test_only_what_was_acknowledged_counts_as_delivered(tmp_path):
    seen = arrivals(tmp_path, "C 1 5", sent(1, 1, 1, 1), sent(1, 2, 2, 2), "A 1 1 0")
    assert dict(seen.delivered) == {"g:e:1": 1}
    assert set(seen.sent) == {"g:e:1", "g:e:2"}
    assert seen.connections == 1


def test_a_refusal_is_no_delivery(tmp_path):
    seen = arrivals(tmp_path, sent(1, 1, 1, 1), "A 1 1 151")
    assert not seen.delivered
    assert seen.refused == 1


def test_an_acknowledgement_belongs_to_its_connection(tmp_path):
    seen = arrivals(tmp_path, sent(1, 7, 1, 1), sent(2, 7, 2, 2), "A 2 7 0")
    assert set(seen.delivered) == {"g:e:2"}


def test_a_repeat_on_another_connection_is_counted_and_no_disorder(tmp_path):
    seen = arrivals(tmp_path, sent(1, 1, 1, 1), "A 1 1 0", sent(2, 1, 1, 1, "r"), "A 2 1 0")
    assert seen.delivered["g:e:1"] == 2
    assert seen.disorder == []


@pytest.mark.parametrize(("first", "second"), [((2, 2), (1, 1)), ((1, 1), (1, 1)), ((1, 2), (2, 1))])
def test_a_lane_that_goes_back_is_found(tmp_path, first, second):
    seen = arrivals(tmp_path, sent(1, 1, *first), sent(1, 2, *second))
    assert len(seen.disorder) == 1


def test_lanes_and_devices_have_orders_of_their_own(tmp_path):
    seen = arrivals(
        tmp_path, sent(1, 1, 9, 9), sent(1, 2, 5, 5, "r"), sent(1, 3, 7, 7, "u"), sent(1, 4, 3, 3, device="b")
    )
    assert seen.disorder == []


def test_an_id_with_another_content_is_found(tmp_path):
    seen = arrivals(tmp_path, sent(1, 1, 1, 1), sent(2, 1, 1, 4))
    assert len(seen.changed) == 1


def test_a_journal_is_read_on_from_where_it_was_whole(tmp_path):
    seen = arrivals(tmp_path, sent(1, 1, 1, 1))
    with (tmp_path / "journal").open("a") as file:
        file.write("A 1 ")
    seen.read()
    assert not seen.delivered
    with (tmp_path / "journal").open("a") as file:
        file.write("1 0\n")
    seen.read()
    assert set(seen.delivered) == {"g:e:1"}


def rows(*counted: tuple[int, int]) -> dict[str, Row]:
    """(n, second) of one device, in the order stored."""
    return {f"g:e:{at}": Row("a", n, second * SECOND, event=False) for at, (n, second) in enumerate(counted)}


def test_no_hole_no_repeat_no_disorder():
    assert holes(rows((1, 1), (2, 2), (3, 3)), {"a": 3}) == ([], [], [])


def test_a_hole_within_and_one_at_the_end():
    found, twice, disorder = holes(rows((1, 1), (4, 4)), {"a": 6})
    assert [(hole.after, hole.lines) for hole in found] == [(1, 2), (4, 2)]
    assert (twice, disorder) == ([], [])


def test_a_device_that_stored_nothing_is_a_hole():
    found, _, _ = holes({}, {"a": 2})
    assert [hole.lines for hole in found] == [2]


def test_the_same_reading_under_two_ids_is_found():
    _, twice, _ = holes(rows((1, 1), (2, 2), (1, 1)), {"a": 2})
    assert len(twice) == 1


def test_another_order_than_printed_is_found():
    _, _, disorder = holes(rows((1, 1), (3, 3), (2, 2), (4, 4)), {"a": 4})
    assert len(disorder) == 1


def test_a_hole_needs_an_absence_around_it():
    found, _, _ = holes(rows((1, 10), (3, 12), (4, 50), (9, 60)), {"a": 9})
    away = [Window(10 * SECOND, 12 * SECOND)]
    assert [hole.after for hole in unexplained(found, away, 1.0)] == [4]
    assert unexplained(found, [*away, Window(49 * SECOND, 61 * SECOND)], 1.0) == []


def test_the_last_lines_have_no_excuse_once_the_agent_is_back():
    found, _, _ = holes(rows((1, 10)), {"a": 2})
    assert unexplained(found, [Window(9 * SECOND, 11 * SECOND)], 1.0) == found


def test_a_device_that_may_repeat_itself_is_out_of_no_order(tmp_path):
    journal = tmp_path / "journal"
    journal.write_text(f"{sent(1, 1, 5, 5, device='mq1-0')}\n{sent(1, 2, 6, 4, device='mq1-0')}\n", "utf-8")
    seen = Arrivals(journal, "mq")
    seen.read()
    assert seen.disorder == []


def test_home_assistant_is_owed_the_newest_reading_and_no_older_one():
    stored = rows((1, 1), (2, 2), (3, 3))
    assert superseded(stored, Counter(["g:e:1"])) == {"g:e:0"}
    assert superseded(stored, Counter()) == set()


def test_what_mqtt_devices_had_acknowledged_is_in_the_log_and_qos_2_once():
    stored = {
        f"g:e:{at}": Row(device, n, -1, event=False)
        for at, (device, n) in enumerate([("mq1-0", 1), ("mq1-0", 1), ("mq2-1", 1), ("mq2-1", 1), ("tty-0", 9)])
    }
    missing, twice = mqtt_writers.judge(stored, {}, {"mq1-0": [1, 2], "mq2-1": [1]})
    assert (missing, twice) == (["mq1-0 n=2"], ["mq2-1 n=1"])


def test_a_reading_is_found_in_a_sparkplug_message():
    values = [SparkplugMetric("reading/n", DOUBLE, 7, 5, None, True), SparkplugMetric("reading/t", DOUBLE, 99.5, 5)]
    assert sparkplug.reading(encode_payload(5, values, 3)) == ({"n": 7.0, "t": 99.5}, True, "")
    event = [SparkplugMetric("Gatepost/Event", STRING, '{"id": "g:e:4"}', 5)]
    assert sparkplug.reading(encode_payload(5, event, 4)).event == "g:e:4"
    assert key_at("sparkplug", "g:e:1", Row("a", 7, 0, event=False)) == "a:7"
    assert key_at("sparkplug", "g:e:4", Row("", -1, -1, event=True)) == "g:e:4"


def test_an_older_copy_tells_no_order_by_its_numbers(tmp_path: Path) -> None:
    """Rows 1 to 4 were dropped for room, 5 and 6 lost with an older copy that ended at 2; then 3 and 4 came again."""
    known = {f"g:a:{seq}": Row("d", seq, seq, False) for seq in range(1, 7)}
    newer = Stored(tmp_path)
    newer.rows = {f"g:a:{seq}": Row("d", seq, seq, False) for seq in (1, 2)}
    newer.rows |= {f"g:b:{seq}": Row("d", 6 + seq, 6 + seq, False) for seq in (3, 4)}
    stored = Stored(tmp_path)
    stored.rows = dict(known)
    stored.forget({"g:a:5", "g:a:6"}, newer)
    assert [row.n for row in stored.rows.values()] == [1, 2, 3, 4, 9, 10]
    _, twice, disorder = holes(stored.rows, {"d": 10})
    assert (twice, disorder) == ([], [])


def test_rows_that_an_older_copy_brings_back_stand_where_they_were(tmp_path: Path) -> None:
    """Rows 4 and 5 had gone with an older copy, and came back with the next, behind 1 to 3."""
    stored, newer = Stored(tmp_path), Stored(tmp_path)
    stored.rows = {f"g:a:{seq}": Row("d", seq, seq, False) for seq in (1, 2, 3)}
    newer.rows = {f"g:a:{seq}": Row("d", seq, seq, False) for seq in range(1, 6)}
    newer.rows["g:b:6"] = Row("d", 9, 9, False)
    stored.forget(set(), newer)
    assert [row.n for row in stored.rows.values()] == [1, 2, 3, 4, 5, 9]
    assert holes(stored.rows, {"d": 9})[1:] == ([], [])


def test_what_made_room_stands_between_what_was_left_of_its_start(tmp_path: Path) -> None:
    """After a pause ports are read one after the other: the times of all devices are in no order."""
    stored, newer = Stored(tmp_path), Stored(tmp_path)
    stored.rows = {f"g:a:{seq}": Row("d", seq, seq, False) for seq in range(1, 10)}
    stored.rows |= {f"g:a:{seq}": Row("e", seq, seq - 9, False) for seq in range(10, 19)}
    newer.rows = {key: stored.rows[key] for key in ("g:a:12", "g:a:18")}
    newer.rows["g:b:19"] = Row("e", 19, 30, False)
    stored.forget(set(), newer)
    assert [row.n for row in stored.rows.values()] == list(range(1, 20))
    stored.rows.pop("g:b:19")
    newer.rows = {"g:c:12": Row("e", 20, 40, False)}
    stored.forget({f"g:a:{seq}" for seq in range(12, 19)}, newer)
    newer.rows = {"g:b:19": Row("e", 19, 30, False), "g:d:20": Row("e", 21, 50, False)}
    stored.forget(set(), newer)
    assert [row.n for row in stored.rows.values()] == [*range(1, 12), 19, 20, 21]
