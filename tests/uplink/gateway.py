"""Uplinks on a real log, with devices and commands that are only written down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import orjson

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.process.supervisor import Supervisor
from gatepost.agent.settings import resolve_secret
from gatepost.agent.settings.model import BrokerSettings, StoreSettings
from gatepost.agent.store import Store
from gatepost.agent.uplink.broker_link import BrokerLink
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.manager import BrokerManager
from gatepost.agent.uplink.mqtt.connection import InboundMessage
from tests.support.waiting import until

from .client import Recorder


class Gateway:
    def __init__(self, store: Store, supervisor: Supervisor) -> None:
        self.store = store
        self.supervisor = supervisor
        self.environ: dict[str, str] = {}
        self.statuses: dict[str, dict[str, Any]] = {}
        self.commands: list[tuple[str, str | None, InboundMessage, bool]] = []
        self.connected: list[str] = []
        self.failing_resumes = 0
        self.context = UplinkContext(
            store=store,
            clock=SystemClock(),
            rng=Random(7),
            events=EventBus(),
            gateway="gw",
            organization="org",
            resolve=lambda secret: resolve_secret(secret, self.environ),
            devices=lambda: self.statuses,
            on_command=self._command,
            on_connected=self._resume,
        )
        self.uplinks = BrokerManager(self.context, supervisor)
        self.brokers: dict[str, BrokerSettings] = {}

    async def _command(self, broker: str, device: str | None, message: InboundMessage, broadcast: bool) -> None:
        self.commands.append((broker, device, message, broadcast))

    async def _resume(self, broker: str) -> None:
        if self.failing_resumes:
            self.failing_resumes -= 1
            raise RuntimeError("the ledger could not be read")
        self.connected.append(broker)

    async def apply(
        self, reports_to: Mapping[str, Sequence[str] | None] | None = None, **brokers: BrokerSettings
    ) -> list[str]:
        self.brokers = brokers
        changed = await self.uplinks.apply(brokers, reports_to or {})
        for uplink in self.uplinks.views():
            uplink._backoff._first, uplink._backoff._longest = 0.02, 0.1
        return changed

    async def connect(self, **brokers: BrokerSettings) -> None:
        """Apply them, until `a` is connected."""
        await self.apply(**brokers)
        await self.state("connected")

    def uplink(self, name: str = "a") -> BrokerLink:
        found = self.uplinks.get(name)
        assert found is not None
        return found

    async def put(
        self,
        *values: Any,
        device: str = "d",
        urgent: bool = False,
        metric: str = "reading",
        flags: tuple[str, ...] = (),
    ) -> list[int]:
        """Stored readings {"n": value}; their sequence numbers."""
        common = {"metric_type": metric, "units": {}, "quality": "good", "flags": list(flags)}
        series = self.store.series(device, None, common)
        seqs = []
        for value in values:
            while not (seq := self.store.append(series, self.context.clock.now(), orjson.dumps({"n": value}), urgent)):
                await self.store.wait_until_writable()
            seqs.append(seq)
        await self.store.stored(seqs[-1])
        return seqs

    async def deliver(self, *values: Any, **given: Any) -> None:
        """As `put`, until `a` has them."""
        await self.put(*values, **given)
        await self.delivered()

    async def state(self, wanted: str, name: str = "a", seconds: float = 10) -> BrokerLink:
        uplink = self.uplink(name)
        try:
            await until(lambda: uplink.state == wanted, seconds)
        except TimeoutError:
            raise AssertionError(f"{name} is {uplink.state} ({uplink.reason}), not {wanted}") from None
        return uplink

    async def owes(self, name: str = "a") -> int:
        return next(entry["readings"] for entry in await self.store.backlog.undelivered() if entry["broker"] == name)

    async def delivered(self, name: str = "a", seconds: float = 20) -> None:
        """Until this broker owes nothing."""
        async with asyncio.timeout(seconds):
            while await self.owes(name):
                await asyncio.sleep(0.02)


@asynccontextmanager
async def gateway(folder: Path, interval: float = 0.0) -> AsyncIterator[Gateway]:
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    clock = SystemClock()
    store = await Store.open(folder / "gatepost.db", "gw", StoreSettings(commit_interval=interval), clock, EventBus())
    supervisor = Supervisor(logging.getLogger("test"), Random(1))
    for name, task in store.background_tasks().items():
        supervisor.start(name, task)
    running = Gateway(store, supervisor)
    try:
        yield running
        broken = [view for view in supervisor.views() if view.failures]
        assert not broken, broken
    finally:
        await running.uplinks.close()
        store.finish()
        await supervisor.wait("store.writer")
        await supervisor.stop(2)
        await store.close()


class Listener:
    """A subscriber that keeps what comes, by topic."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @property
    def messages(self) -> list[InboundMessage]:
        return self._recorder.messages

    def on(self, topic: str) -> list[dict[str, Any]]:
        return [orjson.loads(m.payload) for m in self.messages if m.topic == topic]

    def readings(self, device: str = "d") -> list[dict[str, Any]]:
        return self.on(f"devices/{device}/data")

    def numbers(self, device: str = "d") -> list[Any]:
        return [reading["n"] for reading in self.readings(device)]

    def publish(self, topic: str, payload: bytes, retain: bool = False, **properties: Any) -> None:
        connection = self._recorder.connection
        connection.publisher.publish(topic.encode(), payload, 1, retain, connection.properties(**properties), 1)


@asynccontextmanager
async def listening(url: str, topics: Sequence[str] = ("#",), **options: Any) -> AsyncIterator[Listener]:
    options.setdefault("client_id", "listener")
    options.setdefault("inbound_only", True)  # the broker waits where messages come too fast: none is left out
    recorder = Recorder(url, **options)
    await recorder.connection.open(10)
    codes = await recorder.connection.subscribe([(topic, 1) for topic in topics], 5)
    assert max(codes) < 0x80
    try:
        yield Listener(recorder)
    finally:
        await recorder.connection.close(2)
