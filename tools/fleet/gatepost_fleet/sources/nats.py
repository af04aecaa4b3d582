"""Source `nats`: a durable pull consumer on JetStream's stream of MQTT messages, acknowledged after the commit."""

from __future__ import annotations

import asyncio
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from gatepost_fleet.sources.interface import Delivered, SourceError
from gatepost_fleet.topics import FILTERS, NATS_PREFIX, nats_subject, topic_of_subject

STREAM = "$MQTT_msgs"
ACK_WAIT = 15.0  # seconds until a message that no worker acknowledged is given to another; a repeat costs little
MAX_PENDING = 20_000  # of all workers together
OPEN_TIMEOUT, CLOSE_TIMEOUT = 10.0, 2.0


class NatsSource:
    """Source over one connection; all workers of a group share its consumer. Three addresses: three replicas."""

    stream = ""

    def __init__(self, url: str, group: str, worker: str = "") -> None:
        self._urls = url.split(",")
        self._group = group
        self._name = worker
        self._client: Any = None
        self._consumer: Any = None
        self._taken: dict[int, Any] = {}  # and not acknowledged, by their identity

    async def open(self, offset: int | None = None) -> None:
        await self.close()
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                self._client = await nats.connect(
                    self._urls,
                    name=f"gatepost-fleet {self._name}".strip(),
                    allow_reconnect=False,  # the worker begins anew, with what is not acknowledged
                    connect_timeout=5,
                    error_cb=_ignore,
                )
                stream = self._client.jetstream()
                wanted = ConsumerConfig(
                    durable_name=self._group,
                    filter_subjects=[nats_subject(each) for each in FILTERS],
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=ACK_WAIT,
                    max_ack_pending=MAX_PENDING,
                    deliver_policy=DeliverPolicy.ALL,
                )
                try:
                    await stream.add_consumer(STREAM, wanted)
                except NotFoundError:
                    # The server makes it with its first MQTT client, and keeps nothing that no consumer wants: before
                    # the first gateway, the stream is made here as the server makes it.
                    replicas = 3 if len(self._urls) >= 3 else 1
                    await stream.add_stream(
                        StreamConfig(
                            name=STREAM,
                            subjects=[f"{NATS_PREFIX}>"],
                            retention=RetentionPolicy.INTEREST,
                            storage=StorageType.FILE,
                            num_replicas=replicas,
                        )
                    )
                    await stream.add_consumer(STREAM, wanted)
                self._consumer = await stream.pull_subscribe_bind(self._group, STREAM)
        except (NatsError, OSError, TimeoutError) as error:
            raise SourceError(f"NATS: {str(error) or type(error).__name__}") from None

    async def take(self, limit: int, linger: float) -> list[Delivered]:
        try:
            messages = await self._consumer.fetch(limit, timeout=linger)
        except TimeoutError:
            if self._client.is_closed or not self._client.is_connected:
                raise SourceError("NATS: the connection is lost") from None
            return []
        except (NatsError, OSError) as error:
            raise SourceError(f"NATS: {str(error) or type(error).__name__}") from None
        self._taken |= {id(each): each for each in messages}
        return [Delivered(topic_of_subject(each.subject), each.data, each) for each in messages]

    async def acknowledge(self, batch: list[Delivered]) -> None:
        try:
            for delivered in batch:
                await delivered.ticket.ack()  # type: ignore[attr-defined]  # a nats.aio.msg.Msg
                self._taken.pop(id(delivered.ticket), None)
            await self._client.flush(timeout=OPEN_TIMEOUT)
        except (NatsError, OSError, TimeoutError) as error:
            raise SourceError(f"NATS: {str(error) or type(error).__name__}") from None

    async def close(self) -> None:
        client, self._client = self._client, None
        taken, self._taken = list(self._taken.values()), {}
        if client is not None:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    for message in taken:  # at once to whoever asks next, and not only after ACK_WAIT
                        await message.nak()
                    await client.flush()
                    await client.close()
            except (NatsError, OSError, TimeoutError):
                pass


async def _ignore(_: Exception) -> None:
    """What goes wrong is told by the call that meets it."""
