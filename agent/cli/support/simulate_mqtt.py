"""A simulated device that speaks MQTT to a gateway or a broker, until Ctrl-C."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import NamedTuple

from gatepost.agent.cli.support.output import say, say_line
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.uplink.mqtt.connection import (
    BrokerEndpoint,
    ConnectionLost,
    ConnectOptions,
    InboundMessage,
    LastWill,
    MqttConnection,
)
from gatepost.agent.uplink.mqtt.tls import tls_context
from gatepost.drivers.driver import Twin

TIMEOUT = 10.0


class SimulatedClient(NamedTuple):
    """Where it connects, and as who."""

    url: str
    device: str
    password: str | None
    ca: str | None
    protocol: str = "5"


async def run(
    twin: Twin, client: SimulatedClient, speed: float, json: bool, ending: Callable[[], asyncio.Event]
) -> None:
    """Publish a reading a tick with QoS 1, answer commands; raises GatepostError."""
    end, device = ending(), client.device
    lost: asyncio.Future[ConnectionLost] = asyncio.get_running_loop().create_future()
    acknowledged = 0

    def on_ack(acks: list[tuple[int, int]]) -> None:
        nonlocal acknowledged
        acknowledged += sum(code < 0x80 for _, code in acks)

    async def on_message(message: InboundMessage) -> int:
        answer = twin.hear(bytes(message.payload))
        if answer:
            connection.publisher.publish(f"devices/{device}/responses".encode(), answer, 1, False, b"", 0)
        return 0

    endpoint = BrokerEndpoint.parse(client.url)
    context: ssl.SSLContext | None = tls_context(client.ca) if endpoint.secure else None
    connection = MqttConnection(
        endpoint,
        ConnectOptions(
            client_id=f"gatepost-simulated-{device}",
            protocol="3.1.1" if client.protocol == "3.1.1" else "5",
            username=device,
            password=client.password,
            will=LastWill(f"devices/{device}/status", b'{"status": "offline", "reason": "lost"}'),
            context=context,
        ),
        on_ack=on_ack,
        on_message=on_message,
        on_lost=lambda error: None if lost.done() else lost.set_result(error),
    )
    await connection.open(TIMEOUT)
    try:
        await connection.subscribe([(f"devices/{device}/commands", 1)], TIMEOUT)
        connection.publisher.publish(f"devices/{device}/status".encode(), b'{"status": "online"}', 1, True, b"", 0)
        if json:
            say_line({"driver": "mqtt", "device": device, "url": client.url})
        else:
            say(f"{device} speaks MQTT to {client.url}; Ctrl-C ends it")
        ended = asyncio.ensure_future(end.wait())
        while not (end.is_set() or lost.done()):
            connection.publisher.publish(f"devices/{device}/data".encode(), twin.tick(), 1, False, b"", 0)
            both: set[asyncio.Future[object]] = {ended, lost}  # type: ignore[arg-type]
            await asyncio.wait(both, timeout=twin.interval / speed, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if lost.done():
            raise GatepostError(f"the connection ended: {lost.result().message}", lost.result().hint)
    finally:
        await connection.close(1.0)
        if not json:
            say(f"{acknowledged} messages were acknowledged")
