"""A model of what the log promises, against the real store on a real file, with failed commits, restarts and crashes.

A crash is a copy of the files as they are at that moment, opened by another store.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gatepost.agent.core.events import EventBus
from gatepost.agent.settings.model import StoreSettings
from gatepost.agent.store import EVENT, Store, writer
from gatepost.agent.store.ranges import FOREVER
from tests.store.conftest import Running
from tests.store.test_writer import Failing
from tests.support.clock import LoopClock

DAY = 86_400.0
DEVICES = ("d", "e", "f")
RULES = StoreSettings(commit_interval=0.0, keep=DAY, max_size=60_000)


class Log(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.place = Path(tempfile.mkdtemp(prefix="log-"))
        self.retry, writer.FIRST_RETRY = writer.FIRST_RETRY, 0.002
        self.opened = 0
        self.boots = 0
        self.head_at_start = 0
        self.clock = LoopClock("boot-0")
        self.value = 0
        self.waiting: dict[int, tuple[str, int, bool]] = {}  # seq -> device, value, urgent: taken, not stored yet
        self.stored: dict[int, tuple[str, int, bool]] = {}
        self.maybe: dict[int, tuple[str, int, bool]] = {}  # a crash came before it was known
        self.ids: dict[str, tuple[str, int]] = {}  # id -> what it was given to, once stored
        self.settled: tuple[set[int], set[int]] = (set(), set())
        self.lost = 0
        self.lost_since_stored = 0
        self.fails: list[Failing] = []
        self.run_ = self.wait(self.open())

    # --- the store

    def wait(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def within(self, call: Callable[..., Any], *args: Any) -> Any:
        """A plain call, made where the store's timers find their loop."""

        async def made() -> Any:
            return call(*args)

        return self.wait(made())

    @property
    def path(self) -> Path:
        return self.place / f"{self.opened}.db"

    async def open(self) -> Running:
        store = await Store.open(self.path, "gw", RULES, self.clock, EventBus(), Random(1), lambda: 1 << 40)
        store.backlog.set_brokers(("a",))
        self.head_at_start = (await store.database.read("reading_last", {"lo": 0, "hi": FOREVER}))[0][0] or 0
        return Running(store, self.clock, [asyncio.create_task(store.background_tasks()["store.writer"]())])

    def reboot(self) -> None:
        self.boots += 1
        old, self.clock = self.clock, LoopClock(f"boot-{self.boots}")
        self.clock.wall, self.clock.synchronised = old.wall, self.boots % 3 != 1

    async def rest(self) -> None:
        """Until nothing is left to be written."""
        store = self.run_.store
        while store.writer.waiting or store.pending.due():
            store.writer.wake()
            await asyncio.sleep(0.001)

    def learn(self) -> None:
        """What is below the head is stored."""
        head = self.run_.store.head
        for seq in [seq for seq in self.waiting if seq <= head]:
            self.believe(seq, self.waiting.pop(seq))

    def believe(self, seq: int, row: tuple[str, int, bool]) -> None:
        id_ = self.run_.store.reading_id(seq)
        assert self.ids.setdefault(id_, row[:2]) == row[:2], "an id was given twice"
        self.stored[seq] = row

    # --- what is done to it

    @rule(device=st.sampled_from(DEVICES), urgent=st.booleans(), count=st.integers(1, 5))
    def append(self, device: str, urgent: bool, count: int) -> None:
        for _ in range(count):
            self.value += 1
            seq = self.run_.put(self.value, device, urgent)
            assert seq not in self.stored
            assert seq not in self.waiting
            self.waiting[seq] = (device, self.value, urgent)
        self.clock.pass_seconds(1)

    @rule(turns=st.integers(0, 30))
    def let_time_pass(self, turns: int) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0.0002)

        self.wait(turn())
        self.learn()

    @rule()
    def let_everything_be_stored(self) -> None:
        self.wait(self.rest())
        self.learn()
        assert not self.waiting

    @rule(
        statement=st.sampled_from(["BEGIN", "COMMIT", "INSERT INTO reading", "DELETE FROM owed", "INSERT INTO gap"]),
        times=st.integers(1, 2),
        full=st.booleans(),
    )
    def fail_the_next_commits(self, statement: str, times: int, full: bool) -> None:
        fail = Failing(self.run_, statement)
        if not full:
            fail.error = sqlite3.OperationalError("disk I/O error")
        fail.left = times
        self.fails.append(fail)

    @rule(share=st.integers(1, 9), urgent=st.booleans())
    def settle(self, share: int, urgent: bool) -> None:
        store = self.run_.store
        track = int(urgent)
        seqs = sorted(seq for seq, row in self.stored.items() if row[2] == urgent)[:: 10 - share]
        for seq in seqs:
            self.within(store.backlog.position("a").settle, track, seq, seq + 1)
            self.settled[track].add(seq)
        self.within(store.backlog.position("a").count, len(seqs))

    @rule()
    def save_positions(self) -> None:
        self.run_.store.pending.save_now()
        self.run_.store.writer.wake()

    @rule(count=st.integers(1, 5))
    def lose(self, count: int) -> None:
        self.within(self.run_.store.lost, "d", count, "queue-full")
        self.lost += count
        self.lost_since_stored += count

    @rule()
    def event(self) -> None:
        self.run_.store.event("clock-step", {"seconds": 1})

    @rule(which=st.integers(0, 1000))
    def refuse(self, which: int) -> None:
        if not self.stored:
            return
        seq = sorted(self.stored)[which % len(self.stored)]
        track = int(self.stored[seq][2])
        self.within(self.run_.store.backlog.position("a").settle, track, seq, seq + 1)
        self.within(self.run_.store.dead_letter, "a", seq, 0x87, "not authorized")
        self.settled[track].add(seq)

    @rule(days=st.sampled_from([0, 0, 2]))
    def upkeep(self, days: int) -> None:
        self.clock.pass_seconds(days * DAY)
        try:
            self.wait(self.run_.store.retention.once())
        except sqlite3.Error:
            return

    @rule(turns=st.integers(0, 20))
    def mend(self, turns: int) -> None:
        """SQLite says that the file is damaged, while commits go on."""
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

        async def trouble() -> bool:
            task = asyncio.create_task(self.run_.store.mend(error))
            for _ in range(turns):
                await asyncio.sleep(0)
            self.run_.put(self.value, "late")
            self.waiting[self.run_.store.writer.next_seq - 1] = ("late", self.value, False)
            return await task

        if self.wait(trouble()):  # else the connection is the old one, and what was to fail still does
            self.fails = []

    @rule()
    def restart(self) -> None:
        for fail in self.fails[1:]:  # a stop tries three times
            fail.left = 0
        self.wait(self.run_.end())
        self.learn()
        assert not self.waiting, "a clean stop left something out"
        self.fails = []
        self.reboot()
        self.run_ = self.wait(self.open())
        self.lost_since_stored = 0

    @rule(turns=st.integers(0, 40), reboot=st.booleans())
    def crash(self, turns: int, reboot: bool) -> None:
        async def turn() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.wait(turn())
        self.learn()
        old, self.opened = self.path, self.opened + 1
        for suffix in ("", "-wal"):
            source = old.with_name(old.name + suffix)
            if source.exists():
                shutil.copy(source, self.path.with_name(self.path.name + suffix))
        self.maybe, self.waiting = self.waiting, {}
        self.wait(self.run_.end(finish=False))
        if reboot:
            self.reboot()
        self.run_ = self.wait(self.open())
        for seq, row in self.maybe.items():  # some may have been committed in the last moment
            if seq <= self.head_at_start:
                self.believe(seq, row)
        self.maybe, self.fails = {}, []
        self.lost -= self.lost_since_stored  # those may or may not be known
        self.lost_since_stored = 0

    # --- what must hold

    @invariant()
    def nothing_stored_is_missing_or_changed(self) -> None:
        self.wait(self.look())

    async def look(self) -> None:
        store = self.run_.store
        self.learn()
        known = dict(self.stored)  # commits go on meanwhile
        found: dict[int, tuple[str, int, bool]] = {}
        events: list[dict[str, Any]] = []
        for track in (0, 1):
            for record in await store.queries.page(track, 0, FOREVER, 100_000):
                series = store.series_of(record.series)
                body = orjson.loads(record.body)
                if record.bits & EVENT:
                    events.append({"event": orjson.loads(series.common)["event"], **body})
                else:
                    found[record.seq] = (series.device, body["n"], bool(track))
        self.learn()
        for seq, row in found.items():
            assert self.stored[seq] == row
        gaps = await store.gaps(1000)
        told = sum(gap["count"] for gap in gaps if gap["reason"] == "log-full")
        missing = known.keys() - found.keys()
        undelivered = {seq for seq in missing if seq not in self.settled[self.stored[seq][2]]}
        assert len(undelivered) <= told, "owed, gone, and no gap record says so"
        position = store.backlog.position("a")
        for track in (0, 1):
            for seq, row in known.items():
                if row[2] == bool(track) and seq not in position.owed[track]:
                    assert seq in self.settled[track] or seq in missing, "the position went too far"
        names = [event["event"] for event in events]
        assert names.count("gap") <= len(gaps), "a gap was told twice"

    def teardown(self) -> None:
        self.wait(self.finish())
        self.loop.close()
        writer.FIRST_RETRY = self.retry
        shutil.rmtree(self.place)

    async def finish(self) -> None:
        """At last everything is written down: every gap has its event, every loss that was not cut off its gap."""
        store = self.run_.store
        for fail in self.fails:
            fail.left = 0
        await self.rest()
        await self.run_.end()
        db = sqlite3.connect(self.path)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        untold = db.execute("SELECT count(*) FROM gap WHERE event IS NULL").fetchone()[0]
        written = db.execute("SELECT coalesce(sum(count), 0) FROM gap WHERE reason = 'queue-full'").fetchone()[0]
        orphans = db.execute("SELECT count(*) FROM reading WHERE series NOT IN (SELECT id FROM series)").fetchone()
        db.close()
        assert orphans == (0,)
        assert written >= self.lost
        assert untold <= 1, store.path  # the one that was written down by the very last commit


def test_the_log_keeps_its_promises(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Log,
        settings=settings(
            max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
