"""Tasks beside the readings on one broker's connections: subscriptions, statuses, responses that wait; and what comes
in from the broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.errors import UplinkError
from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.uplink.broker_format import BrokerFormat
from gatepost.agent.uplink.command_subscriptions import SUBSCRIBE_TIMEOUT, CommandSubscriptions
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.followed_topics import FollowedTopics
from gatepost.agent.uplink.formats.interface import OutgoingMessage
from gatepost.agent.uplink.mqtt.connection import InboundMessage, MqttConnection
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED
from gatepost.agent.uplink.presence import BrokerPresence
from gatepost.agent.uplink.topics import BrokerTopics

log = logging.getLogger("gatepost.agent.uplink.broker_link")

FIRST_RETRY, LONGEST_RETRY = 5.0, 60.0  # seconds until what a broker left unanswered (a subscription) is asked again

LinkStep = Callable[[MqttConnection], Awaitable[None]]


class LinkTasks:
    """Tasks of one broker. `run` serves one connection; `commands`: whether this broker may send any."""

    def __init__(
        self,
        name: str,
        context: UplinkContext,
        topics: BrokerTopics,
        presence: BrokerPresence,
        payload_format: BrokerFormat,
        commands: bool,
        publish: Callable[[list[OutgoingMessage]], None],
    ) -> None:
        self._format = payload_format
        self._publish = publish
        self._filters: list[TopicFilter] = []  # of the format's own
        self._name = name
        self._context = context
        self._presence = presence
        self._commands = commands
        self._subscriptions = CommandSubscriptions(name, topics, context)
        self.followed = FollowedTopics(name, context, self._subscriptions.held)
        self._devices_changed = False

    def devices_changed(self) -> None:
        """The set of devices may be another one: subscriptions follow soon."""
        self._devices_changed = True
        self._presence.changed.set()

    async def run(self, connection: MqttConnection) -> None:
        """Subscribe, publish all statuses, send what waits; then publish what changes. What fails is tried again as
        long as the connection stands."""
        presence = self._presence
        self._devices_changed = False
        self.followed.forget()
        due: list[LinkStep] = [self._subscribe, self._online, self._statuses, self._resume, self.followed.follow]
        backoff = Backoff(self._context.rng, FIRST_RETRY, LONGEST_RETRY)
        while connection.is_open:
            presence.changed.clear()
            failed = [step for step in due if not await self._succeeds(step, connection)]
            if not failed:
                await presence.changed.wait()
                backoff.reset()
                due = [self._follow_devices, self._statuses]
                continue
            await asyncio.sleep(backoff.next())
            due = [*(step for step in failed if step != self._statuses), self._statuses]

    async def on_message(self, message: InboundMessage) -> int:
        """A message from the broker; the reason code of its acknowledgement."""
        if any(each.matches(message.topic) for each in self._filters):
            await self._dialect(message)
        elif self.followed.forward(message) and self._commands:
            return await self._subscriptions.on_message(message)
        return 0

    async def _dialect(self, message: InboundMessage) -> None:
        """A message on a topic of the format's own."""
        now = self._context.clock.now().wall
        outcomes = self._format.current.incoming(message.topic, bytes(message.payload), message.retain, now)
        messages, commands = self._format.commands(outcomes)
        self._publish(messages)
        for device, command in commands if self._commands else ():
            await self._context.on_command(self._name, device, command, False)

    async def _succeeds(self, step: LinkStep, connection: MqttConnection) -> bool:
        try:
            await step(connection)
        except UplinkError as error:
            log.warning("%s: %s", self._name, error)
            return False
        except Exception as error:
            log.error("%s: %s: %s", self._name, type(error).__name__, error)
            return False
        return True

    async def _subscribe(self, connection: MqttConnection) -> None:
        wanted = self._format.current.subscriptions()
        self._filters = [TopicFilter(each) for each in wanted]
        if wanted:
            codes = await connection.subscribe(list(wanted.items()), SUBSCRIBE_TIMEOUT)
            refused = [topic for topic, code in zip(wanted, codes, strict=True) if code >= REFUSED]
            if refused:
                log.warning("%s: subscription refused: %s", self._name, ", ".join(refused))
        if self._commands and self._format.kind.contract_commands:
            await self._subscriptions.subscribe(connection, list(self._context.devices()))

    async def _follow_devices(self, connection: MqttConnection) -> None:
        if self._devices_changed and self._commands and self._format.kind.contract_commands:
            await self._subscriptions.update(connection, list(self._context.devices()))
        self._devices_changed = False

    async def _online(self, _: MqttConnection) -> None:
        await self._presence.publish_online()

    async def _statuses(self, _: MqttConnection) -> None:
        await self._presence.publish_statuses()

    async def _resume(self, _: MqttConnection) -> None:
        await self._context.on_connected(self._name)
