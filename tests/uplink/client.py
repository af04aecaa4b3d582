"""A connection that writes down what happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gatepost.agent.uplink.mqtt.connection import (
    BrokerEndpoint,
    ConnectionLost,
    ConnectOptions,
    InboundMessage,
    MqttConnection,
)


class Recorder:
    """Acks as (tag, code), in order; messages; losses. `answer` is what on_message returns, after `gate` opens."""

    def __init__(self, url: str, **options: Any) -> None:
        self.acks: list[tuple[int, int]] = []
        self.chunks: list[int] = []
        self.messages: list[InboundMessage] = []
        self.losses: list[ConnectionLost] = []
        self.answer = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.dealt = 0
        self.acked_while_open: list[bool] = []
        options.setdefault("client_id", "gatepost-test")
        self.connection = MqttConnection(
            BrokerEndpoint.parse(url),
            ConnectOptions(**options),
            on_ack=self._acked,
            on_message=self._message,
            on_lost=self.losses.append,
        )

    def _acked(self, acks: list[tuple[int, int]]) -> None:
        self.acks += acks
        self.acked_while_open.append(self.connection.is_open)
        self.chunks.append(len(acks))

    async def _message(self, message: InboundMessage) -> int:
        self.messages.append(message)
        await self.gate.wait()
        self.dealt += 1
        return self.answer

    def publish(self, tag: int, qos: int = 1, topic: bytes = b"t", payload: bytes = b"x", retain: bool = False) -> None:
        self.connection.publisher.publish(topic, payload, qos, retain, b"", tag)


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Recorder]:
    recorder = Recorder(url, **options)
    await recorder.connection.open(10)
    try:
        yield recorder
    finally:
        await recorder.connection.close(1)
