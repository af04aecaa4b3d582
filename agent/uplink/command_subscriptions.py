"""Command topics of one broker: subscribed on each connection, and what arrives there given to the dispatcher."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection

from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.mqtt.connection import InboundMessage, MqttConnection
from gatepost.agent.uplink.subscription_requests import SubscriptionRequests
from gatepost.agent.uplink.topics import BrokerTopics

log = logging.getLogger(__name__)

OWNER_WAIT = 1.0  # seconds in which a retained status tells that a device belongs to another gateway
MAX_LOOKUPS = 4  # unknown devices looked up at once


class CommandSubscriptions:
    """Command subscriptions of one broker: one wildcard where the broker allows it, else one for each device.

    Where the topics do not name the gateway, a command for a device that is not configured here is answered only if
    no gateway has published a status for it: on a broker that several gateways share it is most likely another one's.
    """

    def __init__(
        self, name: str, topics: BrokerTopics, context: UplinkContext, requests: SubscriptionRequests, qos: int
    ) -> None:
        self._name = name
        self._topics = topics
        self._context = context
        self._requests = requests
        self._qos = qos
        self._own_root = topics.names_gateway("commands")
        self._connection: MqttConnection | None = None
        self._single: set[str] | None = None  # wanted topics, where the wildcard is not possible
        self._lookups: dict[str, asyncio.Event] = {}
        self._strangers: set[asyncio.Task[None]] = set()  # commands for unknown devices that are looked up
        self._further: set[str] = set()  # filters of others that were asked for
        self.held: set[str] = set()  # filters that the broker granted

    def begin(self, connection: MqttConnection) -> None:
        """A new connection has no subscriptions."""
        self._connection, self._single = connection, None
        self._further.clear()
        self.held.clear()

    async def subscribe(self, connection: MqttConnection, devices: list[str], further: Collection[str] = ()) -> bool:
        """Ask for what is not granted yet, in one packet; false when the broker refuses some of it. UplinkError.
        `further`: filters of others, which go along."""
        self._further.update(further)
        filters = [self._topics("gateway_commands"), *further]
        if self._context.organization:
            filters.append(self._topics("broadcast"))
        wildcard = self._topics.wildcard("commands")
        if wildcard is None:
            self._single = self._single or set()
        elif self._single is None:
            filters.append(wildcard)
        # Below a root of one's own a refusal is a mistake or a moment's; elsewhere rights may end at single devices.
        optional = () if self._own_root or wildcard is None else (wildcard,)
        refused = await self._ask(connection, filters, optional)
        if wildcard in refused and optional:
            refused.remove(wildcard)
            self._single = set()
        return await self.update(connection, devices) and not refused

    async def update(self, connection: MqttConnection, devices: list[str]) -> bool:
        """Where each device has a subscription of its own: bring them in line with the devices there are."""
        if self._single is None:
            return True
        wanted = {self._topics("commands", device) for device in devices}
        await self._end(connection, self._single - wanted)
        self._single = wanted
        return not await self._ask(connection, sorted(wanted))

    async def update_further(self, connection: MqttConnection, further: Collection[str]) -> bool:
        """Bring the filters of others in line with those that are wanted; false when the broker refuses some."""
        await self._end(connection, self._further - set(further))
        self._further = set(further)
        return not await self._ask(connection, sorted(further))

    async def _end(self, connection: MqttConnection, unwanted: Collection[str]) -> None:
        for topic in unwanted:
            self._requests.forget(topic)
            if topic in self.held:
                await connection.unsubscribe([topic], self._requests.timeout)
                self.held.discard(topic)

    async def _ask(self, connection: MqttConnection, filters: list[str], optional: tuple[str, ...] = ()) -> set[str]:
        """Subscribe to those that are not held; the ones that were refused."""
        wanted = {topic: self._qos for topic in filters if topic not in self.held}
        refused = set(await self._requests.ask(connection, wanted, optional))
        self.held.update(wanted.keys() - refused)
        return refused

    async def on_message(self, message: InboundMessage) -> int:
        """Returns the reason code of the acknowledgement; the dispatcher has recorded the command by then."""
        topic = message.topic
        if topic in self._lookups:
            self._lookups[topic].set()
        elif topic == self._topics("gateway_commands"):
            await self._context.on_command(self._name, None, message, False)
        elif self._context.organization and topic == self._topics("broadcast"):
            await self._context.on_command(self._name, None, message, True)
        else:
            device = self._topics.device_of("commands", topic)
            if device is not None and (device in self._context.devices() or self._own_root):
                await self._context.on_command(self._name, device, message, False)
            elif device is not None and len(self._strangers) < MAX_LOOKUPS:
                task = asyncio.ensure_future(self._answer_for_stranger(device, message))
                self._strangers.add(task)
                task.add_done_callback(self._strangers.discard)
        return 0

    def stop(self) -> None:
        """The connection is over."""
        for task in self._strangers:
            task.cancel()

    async def _answer_for_stranger(self, device: str, message: InboundMessage) -> None:
        """Nothing else waits for it: whom a device belongs to takes a second to see."""
        if not await self._owned_elsewhere(device):
            await self._context.on_command(self._name, device, message, False)

    async def _owned_elsewhere(self, device: str) -> bool:
        """Whether some gateway keeps a retained status for this device."""
        connection, topic = self._connection, self._topics("device_status", device)
        if connection is None or topic in self._lookups:
            return True
        status_seen = self._lookups[topic] = asyncio.Event()
        try:
            if await self._requests.ask(connection, {topic: self._qos}, (topic,)):
                return True
            async with asyncio.timeout(OWNER_WAIT):
                await status_seen.wait()
        except TimeoutError:
            return False
        except (UplinkError, NotConnected):
            return True
        finally:
            del self._lookups[topic]
            if connection.is_open:
                try:
                    await connection.unsubscribe([topic], self._requests.timeout)
                except UplinkError as error:
                    log.debug("%s: %s", self._name, error)
        return True
