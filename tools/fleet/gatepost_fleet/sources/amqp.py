"""Source `amqp`: a durable quorum queue of RabbitMQ, bound to what its MQTT plugin publishes; acknowledged after the
commit, many with one frame."""

from __future__ import annotations

import asyncio
from typing import Any

import aiormq

from gatepost_fleet.sources.interface import Delivered, SourceError
from gatepost_fleet.sources.waiting import WaitingMessages
from gatepost_fleet.topics import FILTERS, routing_key, topic_of_key

EXCHANGE = "amq.topic"
PREFETCH = 2000
OPEN_TIMEOUT, CLOSE_TIMEOUT = 30.0, 2.0


class AmqpSource:
    """Source over one channel; all workers of a group consume its queue."""

    stream = ""

    def __init__(self, url: str, group: str, worker: str = "") -> None:
        self._urls = url.split(",")
        self._turn = 0
        self._queue = f"gatepost.{group}"
        self._connection: Any = None
        self._channel: Any = None
        self._waiting = WaitingMessages()

    async def open(self, offset: int | None = None) -> None:
        await self.close()
        self._waiting = WaitingMessages()
        url = self._urls[self._turn % len(self._urls)]
        self._turn += 1
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                self._connection = await aiormq.connect(url)
                self._channel = channel = await self._connection.channel(publisher_confirms=False)
                await self._consume(channel)
        except (aiormq.AMQPError, OSError, TimeoutError) as error:
            raise SourceError(f"RabbitMQ: {str(error) or type(error).__name__}") from None

    async def _consume(self, channel: Any) -> None:
        await channel.basic_qos(prefetch_count=PREFETCH)
        await self._declare(channel, {"x-queue-type": "quorum"})
        await channel.basic_consume(self._queue, self._on_message)

    async def _declare(self, channel: Any, arguments: dict[str, Any]) -> None:
        """The durable queue, which is given what the fleet keeps."""
        await channel.queue_declare(self._queue, durable=True, arguments=arguments)
        for each in FILTERS:
            await channel.queue_bind(self._queue, EXCHANGE, routing_key(each))

    async def _on_message(self, message: Any) -> None:
        topic = topic_of_key(message.delivery.routing_key or "")
        self._waiting.put(Delivered(topic, message.body, message.delivery.delivery_tag))

    async def take(self, limit: int, linger: float) -> list[Delivered]:
        batch = await self._waiting.take(limit, linger)
        if not batch and (self._channel.is_closed or self._connection.is_closed):
            raise SourceError("RabbitMQ: the connection is lost")
        return batch

    async def acknowledge(self, batch: list[Delivered]) -> None:
        """One frame acknowledges all up to the last one: a batch is what came first, in order."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await self._channel.basic_ack(batch[-1].ticket, multiple=True)
        except (aiormq.AMQPError, OSError, TimeoutError) as error:
            raise SourceError(f"RabbitMQ: {str(error) or type(error).__name__}") from None

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await connection.close()
            except (aiormq.AMQPError, OSError, TimeoutError):
                pass
