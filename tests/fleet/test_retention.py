"""Retention and the size of the view: what is shown and what goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

pytest.importorskip("asyncpg")

from gatepost_fleet.desired_state import change_rollout, running_rollouts, show_rollouts
from gatepost_fleet.fleet_view import FleetView
from gatepost_fleet.migrations import migrate
from gatepost_fleet.retention import BATCH, LOOK_EVERY, Retention, remove_old

KEEP = timedelta(days=90)


class Counting:
    """Connection that counts its questions."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.asked = 0

    async def fetch(self, *words: Any) -> Any:
        self.asked += 1
        return await self._connection.fetch(*words)


async def rollouts(database: Any, *lines: tuple[int, str, int]) -> None:
    """(version, state, days since its last wave), each to the gateways a and b in two waves; the first is released."""
    for version, state, days in lines:
        await database.execute(
            "insert into rollout (id, version, state, waves, wave, success, failures, silence, soak, wave_at)"
            " values ($1, $2, $3, '{1,2}', 1, 0.95, 0.02, '1 h', '0 s', now() - $4::interval)",
            *(f"r-{version}", version, state, timedelta(days=days)),
        )
        await database.execute(
            "insert into desired (gateway_id, version, rollout, wave, envelope, released_at, status)"
            " values ('a', $1, $2, 1, 'x', now(), 'applied'), ('b', $1, $2, 2, 'x', null, null)",
            *(version, f"r-{version}"),
        )


async def kept(database: Any) -> tuple[list[int], list[tuple[str, int]]]:
    """Versions of rollouts, and documents."""
    documents = await database.fetch("select gateway_id, version from desired order by 1, 2")
    versions = await database.fetch("select version from rollout order by 1")
    return [row["version"] for row in versions], [tuple(row) for row in documents]


async def test_the_view_asks_as_often_for_many_rollouts_and_shows_the_newest_that_ended(database: Any) -> None:
    await migrate(database)
    await rollouts(database, (1, "running", 0), (2, "paused", 0))
    few, many = Counting(database), Counting(database)
    await FleetView().refresh(few)
    await rollouts(database, *((version, "done", 0) for version in range(3, 43)))
    view = FleetView()
    await view.refresh(many)
    assert many.asked == few.asked
    assert [each["version"] for each in view.rollouts] == [*range(42, 22, -1), 2, 1]
    assert view.rollouts[-1]["reports"] == {"applied": 1}  # of the wave that is released
    assert view.states == {"running": 1, "paused": 1, "done": 40}
    assert [each["version"] for each in await show_rollouts(database, 1)] == [42, 2, 1]
    assert [each.reports for each in (await running_rollouts(database)).values()] == [{"applied": 1}]


async def test_what_ended_long_ago_goes_and_what_a_gateway_needs_stays(database: Any) -> None:
    await migrate(database)
    await rollouts(database, (1, "done", 300), (2, "paused", 300), (3, "aborted", 200), (4, "done", 100))
    await rollouts(database, (5, "running", 100))
    await database.execute("insert into gateway (id, desired) values ('a', 5), ('b', null)")
    assert not await remove_old(database, KEEP)
    # Version 4 is what `a` has while 5 runs, and 2 may be resumed.
    assert await kept(database) == ([2, 4, 5], [("a", 2), ("a", 4), ("a", 5), ("b", 2), ("b", 5)])
    await change_rollout(database, "r-5", "abort")
    assert await database.fetchval("select desired from gateway where id = 'a'") == 4
    await database.execute("delete from desired")
    assert not await remove_old(database, KEEP)
    assert (await kept(database))[0] == [2, 5]  # versions only grow


async def test_it_goes_a_batch_at_a_time(database: Any) -> None:
    await migrate(database)
    await rollouts(database, *((version, "done", 100) for version in range(1, 6)))
    left = 0
    while await remove_old(database, KEEP, 2):
        left += 1
        assert left < 20
    assert left > 1
    assert await kept(database) == ([5], [("a", 5)])


async def test_accounts_of_earlier_starts_go(database: Any) -> None:
    await migrate(database)
    for gateway, epoch, days in (("a", "old", 100), ("a", "late", 50), ("b", "quiet", 100)):
        await database.execute(
            "insert into account (gateway_id, log_epoch, broker, body, told_at)"
            " values ($1, $2, 'x', '{}', now() - $3::interval)",
            *(gateway, epoch, timedelta(days=days)),
        )
    await remove_old(database, KEEP)
    rows = await database.fetch("select log_epoch from account order by 1")
    assert [row["log_epoch"] for row in rows] == ["late", "quiet"]


async def test_it_looks_once_an_hour_and_at_once_where_more_is_left(database: Any) -> None:
    class Log:
        def __init__(self) -> None:
            self.rows = [BATCH, 0, 0]
            self.done = 0

        async def execute(self, *_: Any) -> str:
            self.done += 1
            return f"DELETE {self.rows.pop(0) if self.rows else 0}"

    now, log = [0.0], Log()
    one = Retention(KEEP, lambda: now[0])
    for _ in range(4):
        await one.look(log)
    assert log.done == 6
    now[0] += LOOK_EVERY
    await one.look(log)
    assert log.done == 9
