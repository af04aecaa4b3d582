"""Tasks beside the readings on one broker's connections: subscriptions, statuses, responses that wait; and what comes
in from the broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.errors import UplinkError
from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.uplink.broker_format import BrokerFormat
from gatepost.agent.uplink.command_subscriptions import CommandSubscriptions
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.delivery import BrokerDelivery
from gatepost.agent.uplink.followed_topics import FollowedTopics
from gatepost.agent.uplink.formats.interface import LaterMessages, OutgoingMessage, PayloadFormat
from gatepost.agent.uplink.mqtt.connect_options import LARGEST_FURTHER, LARGEST_INBOUND
from gatepost.agent.uplink.mqtt.connection import InboundMessage, MqttConnection
from gatepost.agent.uplink.presence import BrokerPresence
from gatepost.agent.uplink.subscription_requests import SubscriptionRequests
from gatepost.agent.uplink.topics import BrokerTopics

log = logging.getLogger("gatepost.agent.uplink.broker_link")

FIRST_RETRY, LONGEST_RETRY = 5.0, 300.0  # seconds until a subscription that was refused or not answered is asked again

FLOWING_WITHIN = 2.0  # seconds that subscriptions wait for the first readings to be sent before them

LinkStep = Callable[[MqttConnection], Awaitable[bool]]  # false: not all of it is done, try again; UplinkError


class LinkTasks:
    """Tasks of one broker. `run` serves one connection."""

    def __init__(
        self,
        name: str,
        context: UplinkContext,
        topics: BrokerTopics,
        presence: BrokerPresence,
        payload_format: BrokerFormat,
        settings: BrokerSettings,
        publish: Callable[[list[OutgoingMessage]], None],
    ) -> None:
        self._format = payload_format
        self._publish = publish
        self._filters: list[TopicFilter] = []  # of the format's own
        self._name = name
        self._topics = topics
        self._context = context
        self._presence = presence
        self._commands = settings.commands
        self.requests = SubscriptionRequests(name, context.clock.monotonic)
        self._subscriptions = CommandSubscriptions(name, topics, context, self.requests, settings.command_qos)
        self.followed = FollowedTopics(name, context, self._subscriptions.held, self.requests)
        self._granted: set[str] = set()  # of the filters of others
        self._devices_changed = False

    @property
    def inbound_size(self) -> int:
        """Octets of the largest packet that a new connection takes in."""
        return LARGEST_FURTHER if self._context.further(self._name) else LARGEST_INBOUND

    def devices_changed(self) -> None:
        """The set of devices, or of further topics, may be another one: subscriptions follow soon."""
        self._devices_changed = True
        self._presence.changed.set()

    async def run(self, connection: MqttConnection, delivery: BrokerDelivery) -> None:
        """Subscribe once readings flow, publish all statuses, send what waits; then publish what changes. What fails
        is tried again as long as the connection stands."""
        self._devices_changed = False
        self.followed.forget()
        self._subscriptions.begin(connection)
        self._granted.clear()
        try:
            await self._serve(connection, delivery)
        finally:
            self._subscriptions.stop()

    async def _serve(self, connection: MqttConnection, delivery: BrokerDelivery) -> None:
        changed = self._presence.changed
        backoff = Backoff(self._context.rng, FIRST_RETRY, LONGEST_RETRY)
        if not self.requests.in_doubt:
            await delivery.until_flowing(FLOWING_WITHIN)
        due: list[LinkStep] = [self._subscribe, self._online, self._statuses, self._resume, self.followed.follow]
        failed: list[LinkStep] = []
        while connection.is_open:
            changed.clear()
            failed += [step for step in due if not await self._succeeds(step, connection) and step not in failed]
            delivery.resume()
            due = [self._follow_devices, self._statuses]
            if not failed:
                backoff.reset()
                await changed.wait()
                continue
            try:
                async with asyncio.timeout(backoff.next()):
                    await changed.wait()
            except TimeoutError:
                due, failed = [*failed, *due], []

    async def on_message(self, message: InboundMessage) -> int:
        """A message from the broker; the reason code of its acknowledgement."""
        if any(each.matches(message.topic) for each in self._filters):
            await self._dialect(message)
        elif self.followed.forward(message):
            key = self._further().get(message.topic)
            if key is not None:
                self._context.on_further(self._name, key, message)
            elif self._commands:
                return await self._subscriptions.on_message(message)
        return 0

    def _further(self) -> dict[str, str]:
        """Topics of others at this broker, by their name."""
        return {self._topics(key): key for key in self._context.further(self._name)}

    async def _dialect(self, message: InboundMessage) -> None:
        """A message on a topic of the format's own."""
        now, current = self._context.clock.now().wall, self._format.current
        outcomes = [*current.incoming(message.topic, bytes(message.payload), message.retain, now)]
        for outcome in outcomes:
            if isinstance(outcome, LaterMessages):
                asyncio.get_running_loop().call_later(outcome.delay, self._publish_later, current, outcome)
        messages, commands = self._format.commands(outcomes)
        self._publish(messages)
        for device, command in commands if self._commands else ():
            await self._context.on_command(self._name, device, command, False)

    def _publish_later(self, asked: PayloadFormat, later: LaterMessages) -> None:
        if self._format.current is asked:  # a new connection has said all of it
            self._publish([*later.messages()])

    async def _succeeds(self, step: LinkStep, connection: MqttConnection) -> bool:
        try:
            return await step(connection)
        except UplinkError as error:
            log.warning("%s: %s", self._name, error)
        except Exception as error:
            log.error("%s: %s: %s", self._name, type(error).__name__, error)
        return False

    async def _subscribe(self, connection: MqttConnection) -> bool:
        wanted = self._format.current.subscriptions()
        self._filters = [TopicFilter(each) for each in wanted]
        whole = not await self.requests.ask(connection, wanted)
        further = self._further()
        if self._obeys:
            whole &= await self._subscriptions.subscribe(connection, list(self._context.devices()), further)
        else:
            whole &= await self._subscriptions.update_further(connection, further)
        self._tell_granted(further)
        return whole

    @property
    def _obeys(self) -> bool:
        return self._commands and self._format.kind.contract_commands

    async def _follow_devices(self, connection: MqttConnection) -> bool:
        whole = True
        if self._devices_changed:
            further = self._further()
            whole = await self._subscriptions.update_further(connection, further)
            if self._obeys:
                whole &= await self._subscriptions.update(connection, list(self._context.devices()))
            self._tell_granted(further)
        self._devices_changed = not whole
        return whole

    def _tell_granted(self, further: Collection[str]) -> None:
        granted = self._subscriptions.held & set(further)
        if granted - self._granted:
            self._context.on_granted(self._name)
        self._granted = granted

    async def _online(self, _: MqttConnection) -> bool:
        await self._presence.publish_online()
        return True

    async def _statuses(self, _: MqttConnection) -> bool:
        await self._presence.publish_statuses()
        return True

    async def _resume(self, _: MqttConnection) -> bool:
        await self._context.on_connected(self._name)
        return True
