"""Publisher of the fleet: messages to gateways over MQTT, which every engine speaks, each awaited until its PUBACK."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from gatepost.agent.core.errors import GatepostError
from gatepost.agent.uplink.mqtt.connection import BrokerEndpoint, ConnectionLost, ConnectOptions, MqttConnection
from gatepost.agent.uplink.mqtt.tls import tls_context

OPEN_TIMEOUT, ACK_TIMEOUT, CLOSE_TIMEOUT = 10.0, 10.0, 1.0


class PublishFailed(Exception):
    """The broker cannot be reached, or takes a message over too late; it may have it nevertheless."""


class FleetPublisher:
    """Publisher over one connection; several addresses are tried in turn."""

    def __init__(self, urls: str, client_id: str) -> None:
        self._urls = urls.split(",")
        self._client_id = client_id
        self._turn = 0
        self._connection: MqttConnection | None = None
        self._waiting: dict[int, asyncio.Future[int]] = {}

    async def publish(self, messages: Sequence[tuple[str, bytes]]) -> list[bool]:
        """(topic, payload) at QoS 1, not retained: a gateway asks for what it has not. Whether each was taken over, or
        was refused. PublishFailed."""
        connection = await self._opened()
        loop = asyncio.get_running_loop()
        waiting = self._waiting = {tag: loop.create_future() for tag in range(len(messages))}
        try:
            async with asyncio.timeout(ACK_TIMEOUT):
                for tag, (topic, payload) in enumerate(messages):
                    connection.publisher.publish(topic.encode(), payload, 1, False, b"", tag)
                codes = [await each for each in waiting.values()]
        except (TimeoutError, GatepostError, PublishFailed) as error:
            await self.close()
            raise PublishFailed(str(error) or "it did not acknowledge in time") from None
        return [code < 0x80 for code in codes]

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(CLOSE_TIMEOUT)

    async def _opened(self) -> MqttConnection:
        if self._connection is not None and self._connection.is_open:
            return self._connection
        await self.close()
        parts = urlsplit(self._urls[self._turn % len(self._urls)])
        self._turn += 1
        try:
            endpoint = BrokerEndpoint.parse(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
            options = ConnectOptions(
                client_id=self._client_id,
                protocol="3.1.1",  # every engine has it, and nothing more is needed
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                context=await asyncio.to_thread(tls_context, None, None, None, True) if endpoint.secure else None,
            )
            connection = MqttConnection(
                endpoint, options, on_message=_ignore, on_lost=self._on_lost, on_ack=self._on_ack
            )
            await connection.open(OPEN_TIMEOUT)
        except GatepostError as error:
            raise PublishFailed(error.message) from None
        self._connection = connection
        return connection

    def _on_ack(self, acks: list[tuple[int, int]]) -> None:
        for tag, code in acks:
            if tag in self._waiting and not self._waiting[tag].done():
                self._waiting[tag].set_result(code)

    def _on_lost(self, lost: ConnectionLost) -> None:
        for each in self._waiting.values():
            if not each.done():
                each.set_exception(PublishFailed(lost.message))
                each.exception()  # the first one that is awaited tells it


async def _ignore(_: object) -> int:
    return 0
