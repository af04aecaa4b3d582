"""Chunks that wait for the commit before they are decoded: with their own times, in order, and for nobody's harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatepost.agent.devices import deferred_chunks
from gatepost.agent.devices.deferred_chunks import ROOM
from gatepost.agent.settings.model import DeviceSettings, ThresholdSettings
from tests.devices.fakes import Bench, Commits, HandClock, MemoryLink, line
from tests.support.store import serving_store
from tests.support.waiting import until


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench(clock=HandClock(), commits=Commits(1.0))
    yield made
    await made.devices.close()


def commits(bench: Bench) -> Commits:
    kept = bench.devices._deferred
    assert kept is not None
    assert isinstance(kept.commits, Commits)
    return kept.commits


async def proven(bench: Bench, **settings: Any) -> MemoryLink:
    """A device that has delivered its first reading, which never waits: it shows that the device is there."""
    link = await bench.online(**settings)
    link.say(line(v=0))
    assert bench.store.values("v") == [0]
    return link


async def test_what_waits_is_decoded_at_the_turn_of_the_commit_each_with_the_time_at_which_it_came(bench: Bench):
    link = await proven(bench)
    before = bench.clock.now()
    for number in (1, 2, 3):
        bench.clock.pass_seconds(0.04)
        link.say(line(v=number))
    assert bench.store.values("v") == [0]
    assert bench.view()["bytes"] == 4 * len(line(v=0))
    commits(bench).turn()
    assert bench.store.values("v") == [0, 1, 2, 3]
    stamps = [stamp.mono - before.mono for _series, stamp, _body, _urgent in bench.store.rows[1:]]
    assert stamps == [40_000, 80_000, 120_000]


async def test_chunks_of_several_devices_keep_the_order_in_which_they_came(bench: Bench):
    await bench.devices.apply({name: DeviceSettings(driver="test", port=f"/dev/{name}") for name in "ab"})
    await until(lambda: all(bench.view(name)["status"] == "online" for name in "ab"))
    a, b = bench.links
    a.say(line(v=0))
    b.say(line(v=0))
    for number in (1, 3, 5):
        a.say(line(v=number))
        b.say(line(v=number + 1))
    commits(bench).turn()
    assert bench.store.values("v") == [0, 0, 1, 2, 3, 4, 5, 6]


async def test_without_a_turn_of_a_commit_it_is_decoded_when_one_could_begin(bench: Bench):
    link = await proven(bench)
    commits(bench).left = deferred_chunks.LEAST + 0.01
    link.say(line(v=1))
    assert bench.store.values("v") == [0]
    await until(lambda: bench.store.values("v") == [0, 1])


async def test_with_commits_every_100_ms_ports_are_read_with_them_and_nothing_waits(bench: Bench):
    link = await proven(bench)
    link.say(line(v=1))
    commits(bench).interval = deferred_chunks.SHORT  # the settings change while it runs
    link.say(line(v=2))
    assert bench.store.values("v") == [0, 1, 2]


@pytest.mark.parametrize("left", [0.0, deferred_chunks.LEAST, deferred_chunks.LONGEST + 0.1])
async def test_what_would_be_stored_at_once_or_would_wait_long_does_not_wait(bench: Bench, left: float):
    link = await proven(bench)
    commits(bench).left = left
    link.say(line(v=1))
    assert bench.store.values("v") == [0, 1]


async def test_much_does_not_wait_and_comes_after_what_does(bench: Bench):
    link = await proven(bench)
    link.say(line(v=1))
    link.say(b"".join(line(v=number) for number in range(2, 102)))
    assert bench.store.values("v") == list(range(102))
    size, number = 0, 102
    while size <= ROOM:
        assert len(bench.store.values("v")) == 102
        link.say(line(v=number))
        size, number = size + len(line(v=number)), number + 1
    assert bench.store.values("v") == list(range(number))


@pytest.mark.parametrize(
    "settings", [{"thresholds": {"v": ThresholdSettings(max=100)}}, {"every": 3600.0}, {"driver": "median"}]
)
async def test_where_a_reading_may_be_urgent_or_is_held_for_a_pace_nothing_waits(bench: Bench, settings: Any):
    link = await bench.online(**settings)
    link.say(line(v=0))
    decoded = bench.view()["decoded"]
    link.say(line(v=1))
    assert bench.view()["decoded"] == decoded + 1


async def test_nothing_waits_where_devices_connect_by_themselves(bench: Bench):
    link = await proven(bench, port="listen://127.0.0.1:1")
    link.say(line(v=1))
    assert bench.store.values("v") == [0, 1]


async def test_what_waits_is_decoded_before_the_session_ends(bench: Bench):
    link = await proven(bench)
    link.say(line(v=1))
    link.lose()
    await until(lambda: bench.store.values("v") == [0, 1])
    await until(lambda: bench.link.opened == 2 and bench.view()["status"] == "online")
    bench.link.say(line(v=2))
    bench.link.say(line(v=3))
    await bench.devices.close()
    assert bench.store.values("v") == [0, 1, 2, 3]


@pytest.mark.parametrize("changed", [{"patient": "P-002"}, {"thresholds": {"v": ThresholdSettings(max=1)}}])
async def test_what_waits_belongs_to_the_settings_before(bench: Bench, changed: Any):
    link = await proven(bench, patient="P-001")
    link.say(line(v=9))
    settings = {"driver": "test", "port": "/dev/x", "patient": "P-001"} | changed
    await bench.devices.apply({"d": DeviceSettings(**settings)})
    assert bench.store.values("v") == [0, 9]
    assert bench.store.readings()[1]["patient"] == "P-001"
    assert not bench.store.readings()[1]["urgent"]


async def test_a_command_hears_nothing_that_came_before_it(bench: Bench):
    link = await proven(bench)
    link.say(line(reply={"who": "before"}))
    bench.answers[b"who"] = line(reply={"who": "after"})
    assert await bench.execute("d", "who", {}) == {"who": "after"}


async def test_a_chunk_that_a_driver_cannot_take_costs_others_nothing(bench: Bench):
    await bench.devices.apply({name: DeviceSettings(driver="test", port=f"/dev/{name}") for name in "ab"})
    await until(lambda: all(bench.view(name)["status"] == "online" for name in "ab"))
    a, b = bench.links
    a.say(line(v=0))
    b.say(line(v=0))
    a.say(line(**{"raise": 1}))
    b.say(line(v=1))
    commits(bench).turn()
    assert bench.store.values("v", "b") == [0, 1]


async def test_whoever_asks_for_the_next_reading_gets_none_that_came_before(bench: Bench):
    link = await proven(bench)
    link.say(line(v=1))
    asking = asyncio.create_task(bench.execute("d", "read_now", {}))
    await until(lambda: bench.store.values("v") == [0, 1])
    link.say(line(v=2))
    assert (await asking)["values"] == {"v": 2}


async def test_what_several_devices_say_at_once_after_a_pause_goes_with_one_commit(tmp_path: Path):
    async with serving_store(tmp_path, commit_interval=0.3) as store:
        bench = Bench(store=store, commits=store.writer)
        await bench.devices.apply({name: DeviceSettings(driver="test", port=f"/dev/{name}") for name in "abc"})
        await until(lambda: all(bench.view(name)["status"] == "online" for name in "abc"))
        for link in bench.links:
            link.say(line(v=0))
        await store.stored(3)
        await until(lambda: store.writer.until_commit() == 0)
        for link in bench.links:
            link.say(line(v=1))
        assert [bench.view(name)["decoded"] for name in "abc"] == [2, 2, 2]
        await until(lambda: store.writer.head > 3)
        assert store.writer.head == 6
        for link in bench.links:
            link.say(line(v=2))
        await until(lambda: store.writer.head == 9)
        await bench.devices.close()


async def test_no_commit_that_somebody_hurries_leaves_out_what_came_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deferred_chunks, "LONGEST", 7200.0)
    async with serving_store(tmp_path, commit_interval=3600.0) as store:
        bench = Bench(store=store, commits=store.writer)
        link = await bench.online()
        link.say(line(v=0))
        await store.stored(1)
        link.say(line(v=1))
        assert bench.view()["decoded"] == 1  # it waits for the commit
        urgent = store.append(store.series("other", None, {}), bench.clock.now(), b"{}", urgent=True)
        await store.stored(urgent)
        assert bench.view()["decoded"] == 2
        assert store.writer.head == 3
        await bench.devices.close()
