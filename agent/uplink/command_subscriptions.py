"""Command topics of one broker: subscribed on each connection, and what arrives there given to the dispatcher."""

from __future__ import annotations

import asyncio
import logging

from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.mqtt.connection import InboundMessage, MqttConnection
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED, explain
from gatepost.agent.uplink.topics import BrokerTopics

log = logging.getLogger(__name__)

SUBSCRIBE_TIMEOUT = 10.0
TOPICS_PER_SUBSCRIBE = 50  # topics in one SUBSCRIBE
OWNER_WAIT = 1.0  # seconds in which a retained status tells that a device belongs to another gateway
MAX_LOOKUPS = 4  # unknown devices looked up at once


class CommandSubscriptions:
    """Command subscriptions of one broker: one wildcard where the broker allows it, else one for each device.

    A command for a device that is not configured here is answered only if no gateway has published a status for it:
    on a broker that several gateways share it is most likely another one's.
    """

    def __init__(self, name: str, topics: BrokerTopics, context: UplinkContext) -> None:
        self._name = name
        self._topics = topics
        self._context = context
        self._connection: MqttConnection | None = None
        self._single: set[str] | None = None  # subscribed topics, where the wildcard is not possible
        self._lookups: dict[str, asyncio.Event] = {}
        self.held: set[str] = set()  # filters that the broker granted

    async def subscribe(self, connection: MqttConnection, devices: list[str]) -> None:
        """Raises UplinkError when the broker does not answer; refused filters are logged."""
        self._connection = connection
        self.held.clear()
        filters = [self._topics("gateway_commands")]
        if self._context.organization:
            filters.append(self._topics("broadcast"))
        await self._ask(connection, filters)
        wildcard = self._topics.wildcard("commands")
        self._single = None
        if wildcard is None or await self._ask(connection, [wildcard], quiet=True):
            self._single = set()
            await self.update(connection, devices)

    async def update(self, connection: MqttConnection, devices: list[str]) -> None:
        """Where each device has a subscription of its own: bring them in line with the devices there are."""
        if self._single is None:
            return
        wanted = {self._topics("commands", device) for device in devices}
        new, old = sorted(wanted - self._single), sorted(self._single - wanted)
        for start in range(0, len(new), TOPICS_PER_SUBSCRIBE):
            await self._ask(connection, new[start : start + TOPICS_PER_SUBSCRIBE])
        for start in range(0, len(old), TOPICS_PER_SUBSCRIBE):
            await connection.unsubscribe(old[start : start + TOPICS_PER_SUBSCRIBE], SUBSCRIBE_TIMEOUT)
            self.held.difference_update(old)
        self._single = wanted

    async def _ask(self, connection: MqttConnection, filters: list[str], quiet: bool = False) -> list[str]:
        """Subscribe; the filters that were refused."""
        codes = await connection.subscribe([(topic, 1) for topic in filters], SUBSCRIBE_TIMEOUT)
        refused = [topic for topic, code in zip(filters, codes, strict=True) if code >= REFUSED]
        self.held.update(set(filters).difference(refused, self._lookups))
        if refused and not quiet:
            log.warning("%s: subscription refused (%s): %s", self._name, explain(max(codes)).phrase, ", ".join(refused))
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
            if device is not None and (device in self._context.devices() or not await self._owned_elsewhere(device)):
                await self._context.on_command(self._name, device, message, False)
        return 0

    async def _owned_elsewhere(self, device: str) -> bool:
        """Whether some gateway keeps a retained status for this device."""
        connection, topic = self._connection, self._topics("device_status", device)
        if connection is None or topic in self._lookups or len(self._lookups) >= MAX_LOOKUPS:
            return True
        status_seen = self._lookups[topic] = asyncio.Event()
        try:
            if await self._ask(connection, [topic], quiet=True):
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
                    await connection.unsubscribe([topic], SUBSCRIBE_TIMEOUT)
                except UplinkError as error:
                    log.debug("%s: %s", self._name, error)
        return True
