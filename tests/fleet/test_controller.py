"""Desired state from the command to the gateways' answers: mosquitto, PostgreSQL, workers, simulated gateways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.waiting import until
from tests.uplink.broker import MOSQUITTO, Mosquitto, running

pytest.importorskip("asyncpg")

from gatepost_fleet import desired_state
from gatepost_fleet.controller import FleetController
from gatepost_fleet.demo.servers import LocalPostgres
from gatepost_fleet.demo.simulated_gateway import SimulatedGateway
from gatepost_fleet.demo.simulated_trial import SimulatedTrial
from gatepost_fleet.desired_state import NothingToDo, StartedRollout
from gatepost_fleet.fleet_publisher import FleetPublisher
from gatepost_fleet.fleet_view import FleetView
from gatepost_fleet.ingestion import Ingestion
from gatepost_fleet.migrations import migrate
from gatepost_fleet.postgres_sink import PostgresSink
from gatepost_fleet.rollout import RolloutPlan
from gatepost_fleet.signing import SigningKey
from gatepost_fleet.sources.catalogue import make_source
from gatepost_fleet.state_file import ConfirmTerms, GatewayGroup, StateFile

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")
PLAN = RolloutPlan([], 0.95, 0.02, timedelta(hours=1), timedelta(0))
HOLD = 40.0  # seconds for what takes a moment


class Fleet:
    """A fleet without readings: simulated gateways, a worker, and what the tests ask of it."""

    def __init__(self, url: str, database: Any, postgres: LocalPostgres, key: SigningKey) -> None:
        self.url, self.database, self.postgres, self.key = url, database, postgres, key
        self.gateways: dict[str, SimulatedGateway] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.view = FleetView()

    def join(self, *names: str, keys: dict[str, str] | None = None) -> None:
        for name in names:
            trial = SimulatedTrial(name, keys or {self.key.name: self.key.public}, Random(name), jitter=0)
            trial = self.gateways[name].trial or trial if name in self.gateways else trial
            gateway = self.gateways[name] = SimulatedGateway(name, [self.url], 0, Random(name), trial)
            self.tasks[name] = asyncio.ensure_future(gateway.run())

    def leave(self, name: str) -> None:
        self.tasks.pop(name).cancel()

    def controller(self) -> asyncio.Task[None]:
        publisher = FleetPublisher(self.url, f"fleet-{len(self.tasks)}")

        controller = FleetController(self.postgres.url, publisher, 1000, Random(1), self.view, tick=0.05)
        name = f"controller-{len(self.tasks)}"
        self.tasks[name] = asyncio.ensure_future(controller.run())
        return self.tasks[name]

    async def start(self, settings: dict[str, Any], *, waves: str = "1,50%,100%", **terms: Any) -> StartedRollout:
        state = StateFile([GatewayGroup(settings)], ConfirmTerms(**terms))
        return await desired_state.start_rollout(self.database, self.key, state, ["*"], waves, PLAN)

    async def rollout(self, id_: str) -> dict[str, Any]:
        (one,) = [line for line in await desired_state.show_rollouts(self.database) if line["id"] == id_]
        return one

    async def until(self, question: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(HOLD):
            while not wanted(value := await question()):
                await asyncio.sleep(0.02)
        return value

    async def until_state(self, id_: str, state: str) -> dict[str, Any]:
        return await self.until(lambda: self.rollout(id_), lambda line: line["state"] == state)

    async def heard(self, count: int) -> None:
        query = "select count(*) from gateway where asked_at is not null"
        await self.until(lambda: self.database.fetchval(query), lambda found: found >= count)


@pytest.fixture
async def fleet(tmp_path: Path, database: Any, postgres: LocalPostgres) -> AsyncIterator[Fleet]:
    await migrate(database)
    async with running(Mosquitto(tmp_path / "broker", host="127.0.0.1")) as broker:
        one = Fleet(broker.url, database, postgres, SigningKey.create("k", tmp_path / "key.pem"))
        worker = Ingestion(make_source(broker.url, "i", "w"), PostgresSink(postgres.url), Random(1), time.monotonic)
        one.tasks["worker"] = asyncio.ensure_future(worker.run())
        try:
            await until(lambda: worker.counters.state == "running", HOLD)
            yield one
        finally:
            for task in one.tasks.values():
                task.cancel()
            await asyncio.gather(*one.tasks.values(), return_exceptions=True)


@asynccontextmanager
async def of_ten(fleet: Fleet) -> AsyncIterator[list[str]]:
    names = [f"ward-{number}" for number in range(10)]
    fleet.join(*names)
    await fleet.heard(10)
    yield names


async def test_a_rollout_in_waves_and_one_that_is_ended_by_its_first_gateway(fleet: Fleet) -> None:
    async with of_ten(fleet) as names:
        fleet.controller()
        good = await fleet.start({"logging": {"level": "info"}})
        assert good.waves == [1, 5, 10]
        line = await fleet.until_state(good.id, "done")
        assert line["reports"] == {"applied": 10}
        assert {fleet.gateways[name].trial.have for name in names} == {good.version}  # type: ignore[union-attr]
        bad = await fleet.start({"devices": {"cuff": {"port": "/dev/not-there"}}}, within="1s")
        line = await fleet.until_state(bad.id, "aborted")
        assert (line["wave"], line["reports"], line["reason"]) == (1, {"reverted": 1}, "of 1 gateways: 1 reverted")
        assert bad.version > good.version
        assert {fleet.gateways[name].trial.have for name in names} == {good.version}  # type: ignore[union-attr]
        again = await fleet.start({"logging": {"level": "debug"}}, waves="100%")
        assert (await fleet.until_state(again.id, "done"))["reports"] == {"applied": 10}


async def test_pause_holds_everything_and_abort_takes_back_what_was_not_sent(fleet: Fleet) -> None:
    async with of_ten(fleet):
        first = await fleet.start({}, waves="1,100%")
        await desired_state.change_rollout(fleet.database, first.id, "pause")
        task = fleet.controller()
        other = await fleet.start({"logging": {}}, waves="100%", manual=True)
        await fleet.until(lambda: fleet.rollout(other.id), lambda line: line["reports"] == {"trying": 10})
        assert (await fleet.rollout(first.id))["wave"] == 0
        # A person confirms each of them.
        for name in fleet.gateways:
            assert await desired_state.confirm(fleet.database, name) == other.version
        await fleet.until_state(other.id, "done")
        with pytest.raises(NothingToDo, match="tries nothing"):
            await desired_state.confirm(fleet.database, "ward-1")
        # What the older rollout would bring is not wanted any more.
        await desired_state.change_rollout(fleet.database, first.id, "resume")
        assert (await fleet.until_state(first.id, "done"))["reports"] == {"superseded": 10}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        third = await fleet.start({}, waves="100%")
        progress = (await desired_state.running_rollouts(fleet.database))[third.id]
        assert progress.wave == 0
        await desired_state.take_step(fleet.database, third.id, desired_state.RolloutStep("next-wave"))
        assert len(await desired_state.due_documents(fleet.database, 100)) == 10
        await desired_state.change_rollout(fleet.database, third.id, "abort")
        assert await desired_state.due_documents(fleet.database, 100) == []
        wanted = {line["desired"] for line in await desired_state.show_desired(fleet.database, None)}
        assert wanted == {other.version}
        for action in ("pause", "resume", "abort"):
            with pytest.raises(NothingToDo, match="aborted"):
                await desired_state.change_rollout(fleet.database, third.id, action)


async def test_a_gateway_that_was_away_asks_and_a_standby_takes_over(fleet: Fleet) -> None:
    async with of_ten(fleet) as names:
        fleet.leave(names[3])
        await fleet.until(
            lambda: fleet.database.fetchval("select count(*) from gateway"), lambda count: count == len(names)
        )
        first = fleet.controller()
        await until(lambda: fleet.view.state == "active", HOLD)
        fleet.view = FleetView()
        fleet.controller()
        await until(lambda: fleet.view.state.startswith("standby"), HOLD)
        one = await fleet.start({}, waves="100%")
        nine = {"applied": 9, "waiting": 1}
        await fleet.until(lambda: fleet.rollout(one.id), lambda line: line["reports"] == nine)
        assert (await fleet.rollout(one.id))["state"] == "running"  # 90 % are not 95 %
        first.cancel()
        fleet.join(names[3])
        await until(lambda: fleet.view.state == "active", HOLD)
        line = await fleet.until_state(one.id, "done")
        assert line["reports"] == {"applied": 10}
        sent = await fleet.database.fetch("select sent from desired where gateway_id <> $1", names[3])
        assert {row["sent"] for row in sent} == {1}
        # It tells when the database goes, and goes on when it is back.
        fleet.postgres.kill()
        await until(lambda: fleet.view.state.startswith("waiting: the database"), HOLD)
        await fleet.postgres.start()
        await until(lambda: fleet.view.state == "active", HOLD)


async def test_a_document_signed_by_another_key_is_told_and_waits(fleet: Fleet, tmp_path: Path) -> None:
    other = SigningKey.create("k", tmp_path / "other.pem")
    fleet.join("ward-1", keys={"k": other.public})
    await fleet.heard(1)
    fleet.controller()
    one = await fleet.start({})
    line = await fleet.until(lambda: fleet.rollout(one.id), lambda line: line["reports"] == {"unsigned": 1})
    assert line["state"] == "running"
    (line,) = await desired_state.show_desired(fleet.database, "ward-1")
    assert (line["reported"]["version"], line["reported"]["status"]) == (None, "unsigned")
