"""From bytes to the store: stamps, bad readings, pace by timer, back-pressure."""

from __future__ import annotations

import asyncio

from gatepost.agent.devices import series_cache, store_queue
from gatepost.agent.settings.model import ThresholdSettings
from gatepost.drivers.reading import Reading
from tests.devices.fakes import Bench, line
from tests.support.waiting import until


async def test_a_chunk_has_one_time_and_a_reading_its_contract(bench: Bench):
    link = await bench.online(patient="P-001")
    link.say(line(v=1) + line(v=2, flags=["x"]))
    first, second = bench.store.readings()
    assert first == {
        "device": "d",
        "patient": "P-001",
        "metric_type": "reading",
        "v": 1,
        "units": {"v": "1"},
        "quality": "good",
        "flags": [],
        "urgent": False,
    }
    assert second["flags"] == ["x"]
    stamps = [stamp for _series, stamp, _body, _urgent in bench.store.rows]
    assert stamps[0] == stamps[1]
    view = bench.view()
    assert (view["readings"], view["decoded"]) == (2, 2)
    assert view["last_reading"].endswith("Z")
    assert view["bytes"] == len(line(v=1) + line(v=2, flags=["x"]))


async def test_what_cannot_be_written_or_is_no_reading_is_counted_and_the_rest_goes_on(bench: Bench):
    for settings in ({}, {"thresholds": {"v": ThresholdSettings(max=100)}}):
        link = await bench.online(**settings)
        bench.store.rows.clear()
        link.say(line(v=1) + line(set=1) + line(strange=1) + line(v=2))
        assert bench.store.values("v") == [1, 2]
    assert bench.view()["faults"]["not-serialisable"] == 2
    assert bench.view()["faults"]["not-a-reading"] == 2
    assert link.opened == 1


async def test_a_chunk_goes_to_the_store_in_order_each_reading_under_its_own_series(bench: Bench):
    link = await bench.online()
    shared, percent = {"v": "1"}, {"v": "%"}
    said = [
        Reading("a", {"v": 1}, shared),
        Reading("a", {"v": 2}, shared),
        Reading("a", {"v": 3}, percent),
        Reading("b", {"v": 4}, percent),
        Reading("b", {"v": 5}, percent, urgent=True),
        Reading("b", {"v": 6, "id": 7}, percent, ("id:odd",)),  # renamed, so its units and flags are others
        Reading("b", {"v": 8, "w": None}, percent),
        Reading("b", {"v": 9}, percent, quality="uncertain"),
        Reading("b", {"v": 10}, percent, bookmark=("m", 1)),
        Reading("b", {"v": 11}, percent),
    ]
    bench.devices._sessions["d"].pipeline._feed = lambda _: said
    link.say(b"x")
    kept = bench.store.readings()
    assert [one["v"] for one in kept] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert [one["metric_type"] for one in kept] == [*"aaa", *"bbbbbbb"]
    assert [one["units"]["v"] for one in kept] == ["1", "1", *["%"] * 8]
    assert [one["flags"] for one in kept] == [*[[]] * 5, ["id_:odd"], ["w:no-value"], [], [], []]
    assert [one["quality"] for one in kept] == [*["good"] * 7, "uncertain", "good", "good"]
    assert bench.store.values("urgent") == [False] * 4 + [True] + [False] * 5
    assert (bench.view()["readings"], bench.view()["decoded"]) == (10, 10)


async def test_what_makes_up_flags_without_end_keeps_them_in_a_chunk_too(bench: Bench, monkeypatch):
    monkeypatch.setattr(series_cache, "MAX_SERIES", 1)
    link = await bench.online()
    units: dict[str, str] = {}
    said = [Reading("a", {"v": at}, units, flags) for at, flags in enumerate([(), ("x",), ("x",), ()])]
    said[2].flags = said[1].flags
    bench.devices._sessions["d"].pipeline._feed = lambda _: said
    link.say(b"x")
    assert [one["flags"] for one in bench.store.readings()] == [[], ["x"], ["x"], []]


async def test_a_store_that_fails_is_counted_and_never_raises_into_the_link(bench: Bench, monkeypatch):
    link = await bench.online()
    monkeypatch.setattr(bench.devices._sessions["d"].queue, "_append_all", lambda *row: 1 / 0)
    link.say(line(v=1))
    assert bench.view()["faults"]["not-stored"] == 1


async def test_outside_of_thresholds_is_urgent(bench: Bench):
    link = await bench.online(thresholds={"v": ThresholdSettings(min=90)})
    link.say(line(v=95), line(v=89), line(w=1), line(v=90))
    assert bench.store.values("urgent") == [False, True, False, False]


async def test_data_of_no_patient_is_never_urgent(bench: Bench):
    link = await bench.online(thresholds={"v": ThresholdSettings(min=90)})
    for flag in ("demo", "test-data", "quality-control", "other"):
        link.say(line(v=50, flags=[flag]))
    assert bench.store.values("urgent") == [False, False, False, True]


async def test_held_readings_are_reported_when_the_device_falls_silent(bench: Bench):
    link = await bench.online(driver="median", every=0.05)
    link.say(line(v=1), line(v=5), line(v=7), line(v=6))
    assert bench.store.values("v") == [1]
    await until(lambda: bench.store.values("v") == [1, 6])
    loop = asyncio.get_running_loop()
    assert [handle for handle in loop._scheduled if not handle.cancelled() and "_on_timer" in repr(handle)] == []


async def test_a_full_store_pauses_the_device_and_nothing_is_lost(bench: Bench):
    link = await bench.online()
    bench.store.limit = 3
    link.say(b"".join(line(v=number) for number in range(10)))
    assert link.paused
    assert bench.store.values("v") == [0, 1, 2]
    link.say(line(v=10))  # was on its way already
    while len(bench.store.rows) < 11:
        assert link.paused
        bench.store.make_room()
        before = len(bench.store.rows)
        await until(lambda before=before: len(bench.store.rows) > before)
    await until(lambda: not link.paused)
    assert bench.store.values("v") == list(range(11))
    assert bench.store.losses == []
    assert bench.view()["readings"] == 11


async def test_a_device_that_is_kept_waiting_is_not_silent(bench: Bench):
    link = await bench.online(driver="silent")
    bench.store.limit = 1
    link.say(line(v=1) + line(v=2))
    await asyncio.sleep(0.2)
    assert link.opened == 1
    assert link.paused


async def test_a_device_that_cannot_wait_has_its_loss_counted(bench: Bench):
    bench.can_pause = False
    link = await bench.online()
    bench.store.limit = 3
    link.say(b"".join(line(v=number) for number in range(10)))
    assert bench.store.values("v") == [0, 1, 2]
    assert sum(count for device, count, reason in bench.store.losses if (device, reason) == ("d", "queue-full")) == 7
    assert bench.view()["dropped"] == 7
    bench.store.make_room()
    link.say(line(v=10))
    assert bench.store.values("v") == [0, 1, 2, 10]


async def test_what_waits_is_bounded(bench: Bench, monkeypatch):
    monkeypatch.setattr(store_queue, "MAX_WAITING", 5)
    link = await bench.online()
    bench.store.limit = 0
    link.say(b"".join(line(v=number) for number in range(8)))
    assert bench.view()["dropped"] == 3
    bench.store.limit = 100
    bench.store.make_room()
    await until(lambda: bench.store.values("v") == [0, 1, 2, 3, 4])


async def test_a_link_lost_while_it_was_paused_loses_nothing(bench: Bench):
    link = await bench.online()
    bench.store.limit = 1
    link.say(line(v=0) + line(v=1) + line(v=2))
    link.lose()
    await until(lambda: link.opened == 2 and bench.view()["status"] == "online")
    assert link.paused
    bench.store.limit = 100
    bench.store.make_room()
    await until(lambda: not link.paused)
    link.say(line(v=3))
    assert bench.store.values("v") == [0, 1, 2, 3]


async def test_what_the_store_never_took_is_counted_at_the_end(bench: Bench):
    link = await bench.online(driver="median", every=60)
    bench.store.limit = 1
    link.say(line(v=0), line(metric="other", v=1), line(v=2), line(v=3))
    await bench.devices.close()
    assert bench.store.values("v") == [0]
    assert sum(count for _device, count, _reason in bench.store.losses) == 2


async def test_a_store_whose_room_fails_leaves_a_gap_and_the_device_goes_on(bench: Bench, monkeypatch, caplog):
    async def broken() -> None:
        raise OSError("disk")

    link = await bench.online()
    bench.store.limit = 1
    monkeypatch.setattr(bench.store, "wait_until_writable", broken)
    link.say(line(v=0) + line(v=1) + line(v=2))
    await until(lambda: bench.store.losses)
    assert bench.store.losses == [("d", 2, "queue-full")]
    await until(lambda: not link.paused)
    bench.store.limit = 100
    link.say(line(v=3))
    assert bench.store.values("v") == [0, 3]
    assert "could not be handed" in caplog.text
