"""Source `mqtt`: a shared subscription of MQTT 5 (section 4.8.2), PUBACK after the commit. mosquitto, EMQX, HiveMQ."""

from __future__ import annotations

import asyncio
import uuid
from urllib.parse import unquote, urlsplit

from gatepost.agent.core.errors import GatepostError
from gatepost.agent.uplink.mqtt.connection import (
    BrokerEndpoint,
    ConnectionLost,
    ConnectOptions,
    InboundMessage,
    MqttConnection,
)
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED
from gatepost.agent.uplink.mqtt.tls import tls_context
from gatepost_fleet.sources.interface import Delivered, SourceError
from gatepost_fleet.sources.waiting import WaitingMessages
from gatepost_fleet.topics import FILTERS

OPEN_TIMEOUT, SUBSCRIBE_TIMEOUT, CLOSE_TIMEOUT = 15.0, 30.0, 2.0
KEPT = 7 * 86_400  # seconds that the broker keeps the group's messages for this worker
AT_ONCE = 2000  # messages that are not acknowledged yet
LARGEST = 16 * 1024 * 1024  # octets of a packet


class MqttSource:
    """Source over one connection of a worker; the broker shares the messages out among the workers of the group."""

    stream = ""

    def __init__(self, url: str, group: str, worker: str = "") -> None:
        parts = urlsplit(url)
        self._endpoint = BrokerEndpoint.parse(parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._group = group
        self._client = f"gatepost-fleet-{worker or uuid.uuid4().hex[:12]}"
        self._kept = bool(worker)  # a worker without a name of its own has no session to come back to
        self._waiting = WaitingMessages()
        self._lost: asyncio.Future[ConnectionLost] | None = None
        self._connection: MqttConnection | None = None

    async def open(self, offset: int | None = None) -> None:
        await self.close()
        self._waiting = WaitingMessages()
        lost: asyncio.Future[ConnectionLost] = asyncio.get_running_loop().create_future()
        options = ConnectOptions(
            client_id=self._client,
            protocol="5",
            username=self._username,
            password=self._password,
            context=await asyncio.to_thread(tls_context, None, None, None, True) if self._endpoint.secure else None,
            clean_start=not self._kept,
            session_expiry=KEPT if self._kept else 0,
            inbound_maximum=AT_ONCE,
            inbound_size=LARGEST,
            inbound_at_once=AT_ONCE,
            inbound_only=True,
            inbound_time_limit=None,  # nothing is acknowledged that is not stored, however long that takes
        )
        connection = MqttConnection(
            self._endpoint,
            options,
            on_message=self._on_message,
            on_lost=lambda error: None if lost.done() else lost.set_result(error),
        )
        self._lost, self._connection = lost, connection
        try:
            await connection.open(OPEN_TIMEOUT)
            filters = [(f"$share/{self._group}/{each}", 1) for each in FILTERS]
            codes = await connection.subscribe(filters, SUBSCRIBE_TIMEOUT)
        except GatepostError as error:
            raise SourceError(error.message) from None
        if max(codes) >= REFUSED:
            raise SourceError(f"{self._endpoint} refuses the shared subscription {filters[codes.index(max(codes))][0]}")

    async def take(self, limit: int, linger: float) -> list[Delivered]:
        batch = await self._waiting.take(limit, linger)
        if not batch and self._lost is not None and self._lost.done():
            raise SourceError(self._lost.result().message)
        return batch

    async def acknowledge(self, batch: list[Delivered]) -> None:
        for delivered in batch:
            if isinstance(delivered.ticket, asyncio.Future) and not delivered.ticket.done():
                delivered.ticket.set_result(0)
        await asyncio.sleep(0)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close(CLOSE_TIMEOUT)
            self._connection = None

    async def _on_message(self, message: InboundMessage) -> int:
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.put(Delivered(message.topic, bytes(message.payload), stored))
        return await stored
