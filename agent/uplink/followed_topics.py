"""Followed topics of one broker: subscribed on each connection, and their messages forwarded to the API."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Set

from gatepost.agent.core.topic_filter import TopicFilter
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.mqtt.connection import InboundMessage, MqttConnection
from gatepost.agent.uplink.subscription_requests import SubscriptionRequests

log = logging.getLogger(__name__)

DUPLICATE_WITHIN = 5.0  # seconds in which a second copy comes where two of our subscriptions match one message
REMEMBERED = 64


class FollowedTopics:
    """Topics that people follow at one broker. `outcomes`: each filter that was subscribed to on this connection, and
    "" or why the broker refused it. `held` are the filters of commands: those are neither asked for
    again nor ended."""

    def __init__(self, name: str, context: UplinkContext, held: Set[str], requests: SubscriptionRequests) -> None:
        self._held = held
        self._requests = requests
        self.outcomes: dict[str, str] = {}
        self._name = name
        self._context = context
        self._turn = asyncio.Lock()
        self._recent: deque[tuple[str, int, float]] = deque(maxlen=REMEMBERED)

    def forget(self) -> None:
        """A new connection knows of none."""
        self.outcomes = {}

    async def follow(self, connection: MqttConnection) -> bool:
        """Bring the connection in line with what is wanted, and ask again for what was refused: false when the broker
        refuses some of it. UplinkError when it does not answer."""
        async with self._turn:
            wanted = self._context.followed(self._name)
            for topic in [topic for topic in self.outcomes if topic not in wanted]:
                if topic not in self._held:
                    await connection.unsubscribe([topic], self._requests.timeout)
                self.outcomes.pop(topic, None)
            for topic, qos in wanted.items():
                if self.outcomes.get(topic) == "":
                    continue
                if topic in self._held:  # with a QoS of its own, which must stay
                    self.outcomes[topic] = ""
                    continue
                refused = await self._requests.ask(connection, {topic: qos}, (topic,))
                if refused and not self.outcomes.get(topic):
                    log.warning("%s: subscription refused (%s): %s", self._name, refused[topic], topic)
                self.outcomes[topic] = refused.get(topic, "")
            return not any(self.outcomes.values())

    async def again(self, connection: MqttConnection, topic: str) -> None:
        """As above, and this one anew: its QoS may be another."""
        if topic in self._context.followed(self._name):
            self.outcomes.pop(topic, None)
        await self.follow(connection)

    def forward(self, message: InboundMessage) -> bool:
        """Forward a followed message; False if it duplicates the previous one."""
        if not any(TopicFilter(topic).matches(message.topic) for topic in self._context.followed(self._name)):
            return True
        self._context.on_message(self._name, message)
        now = self._context.clock.monotonic()
        received = (message.topic, hash(message.payload))
        duplicate = any(
            (topic, digest) == received and now - at < DUPLICATE_WITHIN for topic, digest, at in self._recent
        )
        self._recent.append((*received, now))
        return not duplicate
