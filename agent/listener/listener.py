"""Everything that devices which speak MQTT need, put together: loaded with the first of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import orjson

from gatepost.agent.core.clock import Clock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.interfaces import Connect
from gatepost.agent.listener.acknowledgements import StoredAcknowledger
from gatepost.agent.listener.authentication import DeviceAuthenticator, DeviceTokens, SlowedPairs
from gatepost.agent.listener.broker_source import BrokerSource
from gatepost.agent.listener.client_sessions import ClientSessions
from gatepost.agent.listener.device_link import MqttLink
from gatepost.agent.listener.intake import MessageIntake
from gatepost.agent.listener.link_directory import LinkDirectory
from gatepost.agent.listener.server import MqttServer
from gatepost.agent.listener.socket_watch import SocketWatch
from gatepost.agent.listener.subscriptions import DeviceTopics
from gatepost.agent.settings.model import BrokerSettings, DeviceSettings, ListenerSettings, Secret
from gatepost.agent.store import Store
from gatepost.drivers.driver import Driver
from gatepost.drivers.link import Link, LinkEvents
from gatepost.drivers.mqtt.options import LISTENER

log = logging.getLogger(__name__)


class DeviceListener:
    """`link` for each device that speaks MQTT, `apply` settings, `stop`. `server` is what devices connect to."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        events: EventBus,
        rng: Random,
        gateway: str,
        organization: str | None,
        tokens: DeviceTokens,
        slowed: SlowedPairs,
        resolve: Callable[[Secret | None], str | None],
        origins: Callable[[], list[str]],
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._client_id = f"gatepost-{gateway}-in"
        self._resolve = resolve
        self._sources: dict[str, tuple[BrokerSource, asyncio.Task[None]]] = {}
        self._brokers: Mapping[str, BrokerSettings] = {}
        watch = SocketWatch()
        self._acknowledger = StoredAcknowledger(store.writer, store.on_stored, watch)
        self._sessions = ClientSessions(store, clock)
        self.directory = LinkDirectory()
        self.intake = MessageIntake(self.directory, store.writer, events, tokens.holds, clock.monotonic)
        self.server = MqttServer(
            self.directory,
            self.intake,
            self._acknowledger,
            self._sessions,
            DeviceAuthenticator(tokens, self._password_of, slowed),
            DeviceTopics(self.directory, organization),
            watch,
            clock,
            origins,
        )
        self.directory.commands = self.server.outbox
        self.directory.on_change.append(self._link_changed)

    async def start(self) -> None:
        """Raises StoreError."""
        self._acknowledger.start()
        await self._sessions.load()

    def link(self, name: str) -> Connect:
        def connect(device: DeviceSettings, driver: Driver, events: LinkEvents) -> Link:
            return MqttLink(name, driver.options, events, self.directory)

        return connect

    async def apply(self, settings: ListenerSettings, brokers: Mapping[str, BrokerSettings]) -> None:
        """Raises ListenWrong."""
        changed = {name for name in self._sources if brokers.get(name) != self._brokers.get(name)}
        self._brokers = dict(brokers)
        for name in changed:
            await self._end_source(name)
        self._reconcile()
        await self.server.apply(settings)

    async def stop(self) -> None:
        await self.server.stop()
        for name in list(self._sources):
            await self._end_source(name)
        self._acknowledger.stop()

    def _password_of(self, device: str) -> str | None:
        """Default deny: only a device of the settings whose own connection it is."""
        link = self.directory.links.get(device)
        if link is None or link.source != LISTENER or link.carrier != link.name:
            return None
        return link.options.password or ""

    # --- brokers that carry devices

    def _link_changed(self, link: MqttLink, there: bool) -> None:
        if link.source != LISTENER:
            self._reconcile()
            if link.source in self._sources:
                self._sources[link.source][0].refresh()

    def _reconcile(self) -> None:
        """A source for each broker that carries a device."""
        for name in {link.source for link in self.directory.links.values()} - {LISTENER} - self._sources.keys():
            settings = self._brokers.get(name)
            if settings is not None and settings.active:
                source = BrokerSource(
                    name,
                    settings,
                    self._client_id,
                    self.directory,
                    self.intake,
                    self._acknowledger,
                    self._clock,
                    self._rng,
                    self._resolve,
                )
                self._sources[name] = (source, asyncio.create_task(source.run(), name=f"source {name}"))

    async def _end_source(self, name: str) -> None:
        _, task = self._sources.pop(name)
        await self._acknowledger.catch_up()
        task.cancel()
        await asyncio.wait({task}, timeout=2.0)

    # --- how it goes

    def broadcast(self, payload: bytes) -> None:
        """Hand on what came for the whole organization, without what authenticated it."""
        try:
            told = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return
        if isinstance(told, dict):
            kept = {name: value for name, value in told.items() if name not in ("token", "signature")}
            self.server.broadcast(orjson.dumps(kept))

    def as_dict(self) -> dict[str, Any]:
        return self.server.as_dict()
