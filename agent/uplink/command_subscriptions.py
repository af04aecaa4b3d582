"""Command topics of one broker: subscribed on each connection, and what arrives there handed to the desk."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.uplink.mqtt.connection import InboundMessage, MqttConnection
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED, explain
from gatepost.agent.uplink.topics import BrokerTopics

if TYPE_CHECKING:
    from gatepost.agent.uplink.broker_link import UplinkContext

log = logging.getLogger(__name__)

SUBSCRIBE_TIMEOUT = 10.0
AT_ONCE = 50  # topics in one SUBSCRIBE
OWNED_WAIT = 1.0  # seconds in which a retained status tells that a device belongs to another gateway
MOST_ASKED = 4  # unknown devices looked up at once


class CommandSubscriptions:
    """Commands for devices come by one wildcard subscription where the broker allows it, else one for each device.

    A command for a device that is not configured here is answered only if no gateway has published a status for it:
    on a broker that several gateways share it is most likely another one's.
    """

    def __init__(self, name: str, topics: BrokerTopics, parts: UplinkContext) -> None:
        self._name = name
        self._topics = topics
        self._parts = parts
        self._connection: MqttConnection | None = None
        self._single: set[str] | None = None  # subscribed topics, where the wildcard is not possible
        self._asking: dict[str, asyncio.Event] = {}
        self.held: set[str] = set()  # filters that the broker granted

    async def subscribe(self, connection: MqttConnection, devices: list[str]) -> None:
        """Raises UplinkError when the broker does not answer; refused filters are logged."""
        self._connection = connection
        self.held.clear()
        filters = [self._topics("gateway_commands")]
        if self._parts.organization:
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
        for start in range(0, len(new), AT_ONCE):
            await self._ask(connection, new[start : start + AT_ONCE])
        for start in range(0, len(old), AT_ONCE):
            await connection.unsubscribe(old[start : start + AT_ONCE], SUBSCRIBE_TIMEOUT)
            self.held.difference_update(old)
        self._single = wanted

    async def _ask(self, connection: MqttConnection, filters: list[str], quiet: bool = False) -> list[str]:
        """Subscribe; the filters that were refused."""
        codes = await connection.subscribe([(topic, 1) for topic in filters], SUBSCRIBE_TIMEOUT)
        refused = [topic for topic, code in zip(filters, codes, strict=True) if code >= REFUSED]
        self.held.update(set(filters).difference(refused, self._asking))
        if refused and not quiet:
            log.warning("%s: subscription refused (%s): %s", self._name, explain(max(codes)).phrase, ", ".join(refused))
        return refused

    async def on_message(self, message: InboundMessage) -> int:
        """Returns the reason code of the acknowledgement; the desk has recorded the command by then."""
        topic = message.topic
        if topic in self._asking:
            self._asking[topic].set()
        elif topic == self._topics("gateway_commands"):
            await self._parts.on_command(self._name, None, message, False)
        elif self._parts.organization and topic == self._topics("broadcast"):
            await self._parts.on_command(self._name, None, message, True)
        else:
            device = self._topics.device_of("commands", topic)
            if device is not None and (device in self._parts.devices() or not await self._owned_elsewhere(device)):
                await self._parts.on_command(self._name, device, message, False)
        return 0

    async def _owned_elsewhere(self, device: str) -> bool:
        """Whether some gateway keeps a retained status for this device."""
        connection, topic = self._connection, self._topics("device_status", device)
        if connection is None or topic in self._asking or len(self._asking) >= MOST_ASKED:
            return True
        seen = self._asking[topic] = asyncio.Event()
        try:
            if await self._ask(connection, [topic], quiet=True):
                return True
            async with asyncio.timeout(OWNED_WAIT):
                await seen.wait()
        except TimeoutError:
            return False
        except (UplinkError, NotConnected):
            return True
        finally:
            del self._asking[topic]
            if connection.is_open:
                try:
                    await connection.unsubscribe([topic], SUBSCRIBE_TIMEOUT)
                except UplinkError as error:
                    log.debug("%s: %s", self._name, error)
        return True
