"""Controller of the fleet: sends desired state and moves rollouts on. One is active; others wait to take over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from random import Random
from typing import Any, Protocol

import asyncpg

from gatepost.drivers.backoff import Backoff
from gatepost_fleet import desired_state
from gatepost_fleet.desired_state import DueDocument
from gatepost_fleet.fleet_publisher import FleetPublisher, PublishFailed
from gatepost_fleet.migrations import SchemaTooNew, migrate
from gatepost_fleet.retention import Retention
from gatepost_fleet.rollout import next_step

log = logging.getLogger(__name__)

ACTIVE_LOCK = 7_469_003  # of pg_try_advisory_lock: held by the session of the active one, and gone with it
CONNECT_TIMEOUT, COMMAND_TIMEOUT = 15.0, 60.0
TICK = 1.0  # seconds between two looks
FIRST_RETRY, LONGEST_RETRY, STEADY = 0.5, 30.0, 60.0

# A standby learns soon that the host of the active one is gone, for PostgreSQL holds its lock as long as its session.
SESSION = {"tcp_keepalives_idle": "20", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "4"}


class ControllerView(Protocol):
    """View for people: `state` is set when it changes, `refresh` is called once a tick, and may raise."""

    state: str

    async def refresh(self, connection: Any) -> None: ...


class FleetController:
    """Controller of one process. `run` never ends by itself; everything that it knows lies in the database."""

    def __init__(
        self,
        database: str,
        publisher: FleetPublisher,
        rate: float,
        rng: Random,
        view: ControllerView,
        tick: float = TICK,
        retention: Retention | None = None,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._at_once = max(1, round(rate * tick))  # gateways in one tick: the rate of the whole fleet
        self._view = view
        self._tick = tick
        self._retention = retention
        self._backoff = Backoff(rng, FIRST_RETRY, LONGEST_RETRY, STEADY)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                try:
                    await self._session()
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, SchemaTooNew) as error:
                    self._tell(f"waiting: the database: {type(error).__name__}: {error}", logging.WARNING)
                self._backoff.held(loop.time() - began)
                await asyncio.sleep(self._backoff.next())
        finally:
            await self._publisher.close()

    async def _session(self) -> None:
        connection = await asyncpg.connect(
            self._database, timeout=CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT, server_settings=SESSION
        )
        try:
            await migrate(connection)
            while not await connection.fetchval("select pg_try_advisory_lock($1)", ACTIVE_LOCK):
                self._tell("standby: another one is active")
                await self._beside(self._view.refresh(connection), "the view of the fleet cannot be made")
                await asyncio.sleep(self._tick)
            self._tell("active")
            while True:
                await self._look(connection)
                await self._beside(self._view.refresh(connection), "the view of the fleet cannot be made")
                if self._retention is not None:
                    await self._beside(self._retention.look(connection), "what is old cannot be removed")
                await asyncio.sleep(self._tick)
        finally:
            connection.terminate()

    async def _beside(self, work: Awaitable[None], failed: str) -> None:
        """It may fail, and rollouts go on. A connection that is gone ends the session at its next statement."""
        try:
            await work
        except Exception as error:
            log.warning("%s: %s: %s", failed, type(error).__name__, error)

    async def _look(self, connection: Any) -> None:
        now = await connection.fetchval("select now()")
        for rollout, progress in (await desired_state.running_rollouts(connection)).items():
            step = next_step(progress, now)
            if step.action:
                log.info("rollout %s, wave %d: %s %s", rollout, progress.wave, step.action, step.reason)
                await desired_state.take_step(connection, rollout, step)
        due = await desired_state.due_documents(connection, self._at_once)
        await desired_state.mark_sent(connection, await self._sent("desired", due))
        untold = await desired_state.untold_confirmations(connection, self._at_once)
        await desired_state.mark_told(connection, await self._sent("desired/confirm", untold))

    async def _sent(self, topic: str, documents: Sequence[DueDocument]) -> list[DueDocument]:
        if not documents:
            return []
        messages = [(f"gateways/{each.gateway}/{topic}", each.envelope.encode()) for each in documents]
        try:
            taken = await self._publisher.publish(messages)
        except PublishFailed as error:
            self._tell(f"waiting: the broker: {error}", logging.WARNING)
            return []
        self._tell("active")
        return [each for each, yes in zip(documents, taken, strict=True) if yes]

    def _tell(self, state: str, level: int = logging.INFO) -> None:
        if state != self._view.state:
            self._view.state = state
            log.log(level, "%s", state)
