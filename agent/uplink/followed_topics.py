"""Topics that people follow through the API, beside those of commands: subscribed on each connection, handed on."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Set
from typing import TYPE_CHECKING

from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.uplink.mqtt.connection import InboundMessage, MqttConnection
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED, explain

if TYPE_CHECKING:
    from gatepost.agent.uplink.broker_link import UplinkContext

log = logging.getLogger(__name__)

SUBSCRIBE_TIMEOUT = 10.0
COPIES = 5.0  # seconds in which a second copy comes where two of our subscriptions match one message
RECENT = 64


class FollowedTopics:
    """`outcomes`: each filter that the broker was asked for on this connection, "" = subscribed, else why not.
    `held` are the filters that commands come by: those are neither asked for again nor ended."""

    def __init__(self, name: str, parts: UplinkContext, held: Set[str]) -> None:
        self._held = held
        self.outcomes: dict[str, str] = {}
        self._name = name
        self._parts = parts
        self._turn = asyncio.Lock()
        self._recent: deque[tuple[str, int, float]] = deque(maxlen=RECENT)

    def forget(self) -> None:
        """A new connection knows of none."""
        self.outcomes = {}

    async def follow(self, connection: MqttConnection) -> None:
        """Bring the connection in line with what is wanted; UplinkError when the broker does not answer."""
        async with self._turn:
            wanted = self._parts.followed(self._name)
            for topic in [topic for topic in self.outcomes if topic not in wanted]:
                if topic not in self._held:
                    await connection.unsubscribe([topic], SUBSCRIBE_TIMEOUT)
                self.outcomes.pop(topic, None)
            for topic, qos in wanted.items():
                if topic in self.outcomes:
                    continue
                if topic in self._held:  # with a QoS of its own, which must stay
                    self.outcomes[topic] = ""
                    continue
                code = (await connection.subscribe([(topic, qos)], SUBSCRIBE_TIMEOUT))[0]
                self.outcomes[topic] = explain(code).phrase if code >= REFUSED else ""
                if code >= REFUSED:
                    log.warning("%s: subscription refused (%s): %s", self._name, explain(code).phrase, topic)

    async def again(self, connection: MqttConnection, topic: str) -> None:
        """As above, and this one anew: its QoS may be another."""
        if topic in self._parts.followed(self._name):
            self.outcomes.pop(topic, None)
        await self.follow(connection)

    def take(self, message: InboundMessage) -> bool:
        """Hands on what is followed; False for a copy of a message that was heard just before."""
        if not any(TopicFilter(topic).matches(message.topic) for topic in self._parts.followed(self._name)):
            return True
        self._parts.on_message(self._name, message)
        now = self._parts.clock.monotonic()
        seen = (message.topic, hash(message.payload))
        copy = any((topic, digest) == seen and now - at < COPIES for topic, digest, at in self._recent)
        self._recent.append((*seen, now))
        return not copy
