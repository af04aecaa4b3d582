"""Outcomes of desired state in the database: which report counts, and what is sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.support.waiting import until

pytest.importorskip("asyncpg")

from gatepost_fleet import desired_state
from gatepost_fleet.controller import FleetController
from gatepost_fleet.demo.servers import LocalPostgres
from gatepost_fleet.desired_state import (
    due_documents,
    mark_sent,
    show_desired,
    show_rollouts,
    start_rollout,
    take_step,
)
from gatepost_fleet.fleet_status import gateways
from gatepost_fleet.message import parse
from gatepost_fleet.postgres_sink import PostgresSink
from gatepost_fleet.rollout import RolloutPlan, RolloutStep
from gatepost_fleet.signing import SigningKey
from gatepost_fleet.state_file import ConfirmTerms, GatewayGroup, StateFile

PLAN = RolloutPlan([], 0.95, 0.02, timedelta(hours=1), timedelta(0))


@pytest.fixture
async def sink(database: Any, postgres: LocalPostgres) -> AsyncIterator[PostgresSink]:
    one = PostgresSink(postgres.url)
    await one.open()
    yield one
    await one.close()


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.create("k", tmp_path / "key.pem")


async def released(database: Any, key: SigningKey, *names: str) -> str:
    """A rollout whose one wave is on its way to these gateways."""
    state = StateFile([GatewayGroup({})], ConfirmTerms())
    one = await start_rollout(database, key, state, names, "100%", PLAN, force=True)  # nobody has said anything
    await take_step(database, one.id, RolloutStep("next-wave"))
    await mark_sent(database, await due_documents(database, 100))
    return one.id


async def report(sink: PostgresSink, status: str, version: int | None = 1) -> None:
    body = {"version": version, "status": status}
    await sink.write(parse("gateways/ward-1/reported", orjson.dumps(body)))


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (["unsigned", "applied", "stale", "unsigned"], "applied"),
        (["stale", "reverted", "applied"], "reverted"),
        (["unsigned", "stale", "refused", "trying"], "refused"),
        (["unsigned", "trying"], "trying"),
        (["trying", "unsigned", "stale"], "trying"),
        (["stale", "unsigned"], "stale"),
    ],
)
async def test_the_report_that_says_most_counts(
    sink: PostgresSink, database: Any, key: SigningKey, said: list[str], counts: str
) -> None:
    await released(database, key, "ward-1")
    for status in said:
        await report(sink, status, None if status == "unsigned" else 1)
    assert await database.fetchval("select status from desired") == counts


async def test_what_was_called_unsigned_is_sent_again_and_not_at_once(
    sink: PostgresSink, database: Any, key: SigningKey
) -> None:
    await released(database, key, "ward-1")
    await report(sink, "unsigned", None)
    for _ in range(3):
        await sink.write(parse("gateways/ward-1/desired/get", b'{"have": 0}'))
    assert await due_documents(database, 10) == []
    await database.execute("update desired set sent_at = now() - interval '6 min', sent = 9")
    assert [each.gateway for each in await due_documents(database, 10)] == ["ward-1"]  # it asked
    await database.execute("update gateway set asked_at = null")
    assert await due_documents(database, 10) == []
    await database.execute("update desired set sent = 0")
    assert [each.gateway for each in await due_documents(database, 10)] == ["ward-1"]
    await report(sink, "unsigned", None)
    await sink.write(parse("gateways/ward-1/desired/get", b'{"have": 0}'))  # of a later connection
    (line,), (shown,) = await gateways(database), await show_desired(database, None)
    assert (line.state, line.outcome, line.lag is None) == ("behind", "unsigned", False)
    assert shown["status"] == "unsigned"
    later = await released(database, key, "ward-1")
    assert {each["id"]: each["reports"] for each in await show_rollouts(database)} == {
        "r-1": {"superseded": 1},
        later: {"waiting": 1},
    }


async def test_a_box_that_forgot_what_it_applied_is_sent_it_again_and_decides_anew(
    sink: PostgresSink, database: Any, key: SigningKey
) -> None:
    await released(database, key, "ward-1")
    await report(sink, "applied")
    await database.execute("update desired set sent_at = now() - interval '6 min'")
    assert await due_documents(database, 10) == []
    await sink.write(parse("gateways/ward-1/desired/get", b'{"have": 1}'))  # a connection of the same card
    assert await due_documents(database, 10) == []
    await sink.write(parse("gateways/ward-1/desired/get", b'{"have": 0}'))  # a new one
    (line,), (shown,) = await gateways(database), await show_desired(database, None)
    assert (line.state, line.outcome, shown["status"]) == ("behind", None, None)
    (again,) = await due_documents(database, 10)
    await mark_sent(database, [again])
    assert await due_documents(database, 10) == []
    await report(sink, "stale")
    await report(sink, "reverted")
    await report(sink, "applied")
    (line,), (shown,) = await gateways(database), await show_desired(database, None)
    assert (line.state, line.outcome, shown["status"]) == ("failed", "reverted", "reverted")
    await database.execute("update desired set sent_at = now() - interval '6 min'")
    assert await due_documents(database, 10) == []


async def test_a_version_that_a_restored_database_does_not_know_is_told(
    sink: PostgresSink, database: Any, key: SigningKey
) -> None:
    await released(database, key, "ward-1")
    await report(sink, "applied")
    (line,) = await gateways(database)
    assert (line.state, line.notes()) == ("well", [])
    await report(sink, "applied", 7)
    (line,) = await gateways(database)
    assert (line.state, line.unknown) == ("behind", 7)
    assert line.notes() == ["runs version 7, which is not known here: roll out again"]


class TakenOver:
    """Publisher whose broker takes everything."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> list[bool]:
        self.topics += [topic for topic, _ in messages]
        return [True] * len(messages)

    async def close(self) -> None:
        """Nothing is open."""


class BrokenView:
    """View that fails each time, in the database and by itself; it counts the sessions that ask for it."""

    def __init__(self) -> None:
        self.state = "starting"
        self.sessions: set[int] = set()
        self.asked = 0

    async def refresh(self, connection: Any) -> None:
        self.asked += 1
        self.sessions.add(await connection.fetchval("select pg_backend_pid()"))
        if self.asked % 2:
            await connection.fetchval("select int8range(10, 1)")
        raise KeyError(self.asked)


async def test_rollouts_go_on_where_the_view_fails(
    sink: PostgresSink, database: Any, postgres: LocalPostgres, key: SigningKey
) -> None:
    publisher, view = TakenOver(), BrokenView()
    controller = FleetController(postgres.url, publisher, 1000, Random(1), view, tick=0.01)  # type: ignore[arg-type]
    state = StateFile([GatewayGroup({})], ConfirmTerms())
    await desired_state.start_rollout(database, key, state, ["ward-1", "ward-2"], "1,100%", PLAN, force=True)
    task = asyncio.ensure_future(controller.run())
    try:
        await until(lambda: len(publisher.topics) == 1, 40.0)
        name = publisher.topics[0].split("/")[1]
        await sink.write(parse(f"gateways/{name}/reported", b'{"version": 1, "status": "applied"}'))
        await until(lambda: len(publisher.topics) == 2 and view.asked >= 4, 40.0)
        assert (view.state, len(view.sessions)) == ("active", 1)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
