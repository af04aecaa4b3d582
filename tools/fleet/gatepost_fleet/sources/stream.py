"""Source `amqp+stream`: a stream of RabbitMQ, bound to what its MQTT plugin publishes. What was read stays for a while;
the database keeps how far that is. One worker of a group reads at a time, the others wait to take over."""

from __future__ import annotations

from typing import Any

import aiormq

from gatepost_fleet.sources.amqp import PREFETCH, AmqpSource
from gatepost_fleet.sources.interface import Delivered, StreamGone, StreamTaken
from gatepost_fleet.topics import topic_of_key

KEPT = "7D"  # how long messages stay, read or not
OFFSET = "x-stream-offset"


class StreamSource(AmqpSource):
    """Source over one channel."""

    def __init__(self, url: str, group: str, worker: str = "") -> None:
        super().__init__(url.replace("+stream://", "://"), group, worker)
        self._queue = self.stream = f"gatepost.{group}.stream"
        self._begin = 0

    async def open(self, offset: int | None = None) -> None:
        """StreamGone before it is made anew."""
        self._begin = offset or 0
        await super().open()

    async def _consume(self, channel: Any) -> None:
        try:
            await channel.queue_declare(f"{self._queue}.reader", exclusive=True)  # of one connection, until it ends
        except aiormq.ChannelLockedResource:
            raise StreamTaken("another worker reads the stream") from None
        if self._begin:
            looking = await self._connection.channel()  # RabbitMQ closes it when there is none
            try:
                await looking.queue_declare(self._queue, passive=True)
            except aiormq.ChannelNotFoundEntity:
                raise StreamGone(f"RabbitMQ: {self._queue} was removed") from None
            await looking.close()
        await channel.basic_qos(prefetch_count=PREFETCH)
        await self._declare(channel, {"x-queue-type": "stream", "x-max-age": KEPT})
        await channel.basic_consume(self._queue, self._on_message, arguments={OFFSET: self._begin or "first"})

    async def _on_message(self, message: Any) -> None:
        offset = int(message.header.properties.headers[OFFSET])
        topic = topic_of_key(message.delivery.routing_key or "")
        self._waiting.put(Delivered(topic, message.body, message.delivery.delivery_tag, offset + 1))
