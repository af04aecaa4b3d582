"""The watcher looks when its sleep returns; the tests are that sleep."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing

import pytest

from gatepost.agent.settings import SettingsWatcher, watch
from gatepost.agent.settings.watch import INTERVAL, signature


class Sleeps:
    """Does one step of the test's plan for each sleep; ends the watcher after the last."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        if not self.steps:
            return True
        step = self.steps.pop(0)
        if step is not None:
            step()
        return False


async def count(watcher) -> int:
    turns = 0
    async for _ in watcher:
        turns += 1
    return turns


@pytest.fixture
def place(tmp_path):
    (tmp_path / "main.yaml").write_text("a: 1")
    (tmp_path / "conf.d").mkdir()
    return tmp_path


def paths(place):
    return [place / "main.yaml", place / "conf.d", place / "later"]


async def test_nothing_changes_nothing_told_and_few_looks(place):
    sleeps = Sleeps(None, None, None)
    assert await count(SettingsWatcher(paths(place), sleep=sleeps)) == 0
    assert set(sleeps.seconds) == {INTERVAL}
    assert 1 / INTERVAL <= 0.5


@pytest.mark.parametrize(
    "change",
    [
        lambda p: (p / "main.yaml").write_text("a: 22"),
        lambda p: (p / "main.yaml").unlink(),
        lambda p: (p / "conf.d" / "10.yaml").write_text(""),
        lambda p: (p / "later").mkdir(),
        lambda p: (p / "main.yaml").chmod(0o400),
        lambda p: os.replace(_other(p), p / "main.yaml"),
    ],
)
async def test_each_change_is_told_once(place, change):
    watcher = SettingsWatcher(paths(place), sleep=Sleeps(lambda: change(place), None, None, None))
    assert await count(watcher) == 1


def _other(place):
    (place / "other").write_text("a: 2")
    return place / "other"


async def test_it_waits_until_the_writing_has_ended(place):
    told = []
    write = [lambda n=n: (place / "conf.d" / "10.yaml").write_text("x" * n) for n in (1, 2, 3)]
    sleeps = Sleeps(*write, None)
    watcher = SettingsWatcher(paths(place), sleep=sleeps)
    async with aclosing(aiter(watcher)) as changes:
        async for _ in changes:
            told.append((place / "conf.d" / "10.yaml").read_text())
            break
    assert told == ["xxx"]
    assert sleeps.steps == []


async def test_a_change_that_is_taken_back_is_none(place):
    before = (place / "main.yaml").stat()

    def back():
        (place / "conf.d" / "x.yaml").unlink()

    sleeps = Sleeps(lambda: (place / "conf.d" / "x.yaml").write_text(""), back, None, None)
    assert await count(SettingsWatcher(paths(place), sleep=sleeps)) == 0
    assert (place / "main.yaml").stat().st_mtime_ns == before.st_mtime_ns


async def test_a_change_between_reading_and_watching_is_not_missed(place):
    since = signature(paths(place))
    (place / "main.yaml").write_text("a: 333")
    assert await count(SettingsWatcher(paths(place), since, sleep=Sleeps(None, None, None))) == 1


async def test_hidden_files_of_editors_are_no_change(place):
    change = Sleeps(lambda: (place / "conf.d" / ".10.yaml.swp").write_text("x"), None, None)
    assert await count(SettingsWatcher(paths(place), sleep=change)) == 0


async def test_what_is_watched_may_change(place):
    (place / "more").write_text("x")
    watcher = SettingsWatcher(paths(place), sleep=Sleeps(lambda: (place / "more").write_text("xx"), None, None))
    watcher.watch([place / "more"])
    assert await count(watcher) == 1


async def test_a_share_that_hangs_stops_nothing(place, monkeypatch):
    answers, asked = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(wanted):
        loop.call_soon_threadsafe(asked.set)
        assert answers.wait(20)
        return signature(wanted)

    watcher = SettingsWatcher(paths(place), sleep=Sleeps(None, None))
    monkeypatch.setattr(watch, "signature", hang)
    turns = asyncio.create_task(count(watcher))
    await asyncio.wait_for(asked.wait(), 10)  # the loop turns while the share says nothing
    answers.set()
    assert await turns == 0
