"""Payload format of one broker: made anew for each connection, with what it keeps from one to the next."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.errors import SettingsWrong, StoreError
from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.settings.topic_templates import own_templates
from gatepost.agent.uplink.batches import BatchEncoder
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.devices_format import DevicesFormat
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import (
    ContractFormat,
    DeviceProfile,
    FormatContext,
    IncomingCommand,
    Outcome,
    OutgoingMessage,
    PayloadFormat,
)
from gatepost.agent.uplink.message_renderer import MessageRenderer
from gatepost.agent.uplink.mqtt.inbox import InboundMessage
from gatepost.agent.uplink.routing import BrokerRoutes, ReadingThinner
from gatepost.agent.uplink.topics import BrokerTopics

log = logging.getLogger(__name__)

MAX_REPLIES = 1000  # commands whose answer is still to come
REPLY = b"\0format:"  # begins the correlation data of commands that came in a dialect's own way
KNOWN_DEVICES = "devices"  # keys of the kept state: those that the broker was told of,
STATUSES = "statuses"  # and topics of the devices whose status there is not `offline`
OFFLINE = "offline"


class KeptState(dict[str, Any]):
    """State of a format. `on_change` is called after each change."""

    def __init__(self, values: Mapping[str, Any], on_change: Callable[[], None]) -> None:
        super().__init__(values)
        self._on_change = on_change

    def __setitem__(self, key: str, value: Any) -> None:
        if self.get(key) != value:
            super().__setitem__(key, value)
            self._on_change()

    def pop(self, key: str, *default: Any) -> Any:
        if key in self:
            self._on_change()
        return super().pop(key, *default)


class BrokerFormat:
    """Format of one broker. `current` serves the connection that there is, or the next one."""

    def __init__(
        self, name: str, settings: BrokerSettings, topics: BrokerTopics, context: UplinkContext, routes: BrokerRoutes
    ) -> None:
        self.kind = ContractFormat if settings.format == catalogue.DEVICES else catalogue.load(settings.format)
        self.contract = self.kind is ContractFormat
        self._name = name
        self._settings = settings
        self._topics = topics
        self._context = context
        self._routes = routes
        self._options = options_of(self.kind, settings.options)
        self._profiles: dict[str, DeviceProfile] = {}
        self._state: KeptState | None = None
        self._key = f"format:{name}:{settings.format}"
        self._replies: OrderedDict[bytes, Any] = OrderedDict()
        self._replies_made = 0
        self.news: dict[str, None] = {}  # devices of which the broker is to be told what changed
        self.thinner = ReadingThinner()
        self.greeted = False  # what is said on connecting was said on this connection
        self.current = self._make({})

    async def begin(self) -> PayloadFormat:
        """The format of a connection that is about to be opened."""
        if self._state is None:
            self._state = KeptState(await self._load(), self._changed)
        self.greeted = self.contract
        await self._context.read_tokens()
        self.update_devices(self._routes)
        self.news.clear()
        self.current = self._make(self._state)
        return self.current

    def take_over(self, before: BrokerFormat) -> None:
        """What the format of the link before this one kept, also what is not written yet."""
        if before._key == self._key:
            self._state = before._state

    async def save(self) -> None:
        """Durable when it returns, unless the log cannot take it: then it is kept in memory."""
        if self._state and not self.contract:
            try:
                await self._context.store.key_value.put(self._key, dict(self._state))
            except StoreError as error:
                log.warning("%s: %s", self._name, error)

    def update_devices(self, routes: BrokerRoutes) -> list[str]:
        """The devices that report here now; those that are gone, as far as the broker was told of them."""
        self._routes = routes
        if self.contract:
            return []
        profiles = {name: each for name, each in self._context.profiles.items() if routes.sends(name)}
        self.news.update((name, None) for name, each in profiles.items() if self._profiles.get(name) != each)
        self._profiles.clear()
        self._profiles.update(profiles)
        if self._state is None:
            return []
        gone = [device for device in self._state.get(KNOWN_DEVICES, ()) if device not in profiles]
        self._state[KNOWN_DEVICES] = [*profiles, *gone]  # until `forget`: the broker may be away
        return gone

    def update_device(self, device: str) -> None:
        """What a device tells of itself may be new."""
        known = self._profiles.get(device)
        if known is not None and (profile := self._context.profiles.get(device)) not in (None, known):
            self._profiles[device] = profile
            self.news[device] = None

    def forget(self, device: str) -> None:
        """The broker was told that this device is gone."""
        if self._state is not None:
            self._state[KNOWN_DEVICES] = [each for each in self._state.get(KNOWN_DEVICES, ()) if each != device]

    # --- statuses of devices that stay at the broker

    def statuses(self) -> dict[str, Mapping[str, Any]]:
        """Those of the devices that report here, as they are now."""
        return {name: each for name, each in self._context.devices().items() if self._routes.reports(name)}

    @property
    def told(self) -> Mapping[str, str]:
        """Devices whose status at the broker is not `offline`, and its topic."""
        return {} if self._state is None else self._state.get(STATUSES, {})

    def status_told(self, device: str, status: Mapping[str, Any]) -> None:
        """The broker acknowledged it."""
        if self._state is not None:
            others = {name: topic for name, topic in self.told.items() if name != device}
            own = {} if status["status"] == OFFLINE else {device: self._topics("device_status", device)}
            self._state[STATUSES] = others | own

    def left(self, statuses: Mapping[str, Any]) -> dict[str, str]:
        """Those of `told` that none of `statuses` will follow: device or topic are others now."""
        topics = {device: self._topics("device_status", device) for device in statuses}
        return {device: topic for device, topic in self.told.items() if topics.get(device) != topic}

    def farewell(self, device: str, now: int) -> list[OutgoingMessage]:
        """Tells `offline` where `told` says that another status stays."""
        reason = "elsewhere" if device in self._context.devices() else "removed"
        status = {"device_id": device, "status": OFFLINE, "timestamp": rfc3339(now), "reason": reason}
        topic = self._topics("device_status", device)
        return [
            msgspec.structs.replace(message, topic=self.told[device])
            for message in self.current.device_status(device, status, now)
            if message.topic == topic
        ]

    def commands(
        self, outcomes: Iterable[Outcome]
    ) -> tuple[list[OutgoingMessage], list[tuple[str | None, InboundMessage]]]:
        """What came of an incoming message: messages to publish, and commands for the dispatcher."""
        messages, commands = [], []
        for outcome in outcomes:
            if isinstance(outcome, OutgoingMessage):
                messages.append(outcome)
                continue
            if not isinstance(outcome, IncomingCommand):
                continue
            self._replies_made += 1
            correlation = REPLY + str(self._replies_made).encode()
            self._replies[correlation] = outcome.reply_to
            while len(self._replies) > MAX_REPLIES:
                self._replies.popitem(last=False)
            properties = {"correlation_data": correlation}
            message = InboundMessage("", outcome.payload, 1, False, False, properties)
            commands.append((outcome.device, message))
        return messages, commands

    def reply_to(self, correlation: bytes | None) -> Any | None:
        """The format's note of the command that is answered; None: it came by the contract's topics."""
        return self._replies.get(correlation) if correlation is not None else None

    def renderer(self, version: int, routes: BrokerRoutes) -> MessageRenderer:
        """What makes the messages of readings on a connection of this MQTT version (4 = 3.1.1, 5)."""
        context, settings = self._context, self._settings
        fast = None
        if self.contract:
            fast = DevicesFormat(context.gateway, context.store.id_prefix, self._topics, version)
        batches = None
        if settings.batch.readings > 1 and self.kind.batches:
            octets, topic = self.kind.batch_octets, self._topics("batch")
            batches = BatchEncoder(settings.batch, octets, context.gateway, topic, version == 5)
        reading_id, clock = context.store.reading_id, context.clock
        return MessageRenderer(self.current, fast, routes, reading_id, clock, settings.qos, batches)

    def _make(self, state: dict[str, Any]) -> PayloadFormat:
        context = self._context
        return self.kind(
            FormatContext(
                gateway=context.gateway,
                version=context.version,
                qos=self._settings.qos,
                options=self._options,
                topics=self._topics,
                devices=self._profiles,
                state=state,
                random=context.rng,
                head=lambda: context.store.head + 1,
            )
        )

    async def _load(self) -> dict[str, Any]:
        try:
            value = await self._context.store.key_value.get(self._key)
        except StoreError as error:
            log.warning("%s: %s", self._name, error)
            return {}
        return value if isinstance(value, dict) else {}

    def _changed(self) -> None:
        if self._state is not None:
            self._context.store.pending.keep(self._key, self._state)


def topics_of(settings: BrokerSettings, routes: BrokerRoutes, context: UplinkContext) -> BrokerTopics:
    """The topics of a broker: the contract's, those of its format over them, and its own over both."""
    defaults = {} if settings.format == catalogue.DEVICES else catalogue.load(settings.format).default_topics
    own = own_templates(settings.layout, defaults, settings.topics)
    return BrokerTopics(own, context.gateway, context.organization, routes.rooms)


def options_of(kind: type[PayloadFormat], options: Mapping[str, Any]) -> msgspec.Struct:
    """Raises SettingsWrong; `gatepost check` has said it before."""
    try:
        return msgspec.convert(options, kind.options_type)
    except msgspec.ValidationError as error:
        raise SettingsWrong(f"the options of format {kind.name}: {error}", "`gatepost check` explains them") from None


def needing_reconnect(settings: BrokerSettings) -> dict[str, Any]:
    """The settings whose change needs a new connection."""
    live = ("routes", "backlog", "active")
    return {name: getattr(settings, name) for name in settings.__struct_fields__ if name not in live}
