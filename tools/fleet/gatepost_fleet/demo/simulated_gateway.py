"""Simulated gateway: numbers its readings, sends them at QoS 1, and keeps each until a broker has acknowledged it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import orjson

from gatepost.agent.core.errors import GatepostError
from gatepost.agent.uplink.mqtt.connection import BrokerEndpoint, ConnectionLost, ConnectOptions, MqttConnection
from gatepost.drivers.backoff import Backoff

OPEN_TIMEOUT, CLOSE_TIMEOUT = 10.0, 0.5
WINDOW = 100  # readings in flight
FIRST_RETRY, LONGEST_RETRY, STEADY = 0.2, 5.0, 10.0


class SimulatedGateway:
    """Simulated gateway with one device. `acknowledged` are the numbers that a broker has taken over."""

    def __init__(self, name: str, urls: Sequence[str], interval: float, rng: Random) -> None:
        self.name = name
        self.epoch = secrets.token_hex(4)
        self.acknowledged: set[int] = set()
        self.taken = 0
        self._urls = list(urls)
        self._interval = interval
        self._rng = rng
        self._owed: dict[int, bytes] = {}  # number -> payload, in order
        self._sent: set[int] = set()  # on the connection that there is
        self._connection: MqttConnection | None = None
        self._lost = asyncio.Event()
        rng.shuffle(self._urls)

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.is_open

    @property
    def owed(self) -> int:
        return len(self._owed)

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.gather(self._read(), self._keep_connected())

    async def settle(self) -> None:
        """Read no more, and return once everything is acknowledged."""
        self._interval = 0.0
        while self._owed:  # noqa: ASYNC110 - twenty looks a second, in a demo
            await asyncio.sleep(0.05)

    async def _read(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, self._interval))
        while self._interval:
            self.taken += 1
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            self._owed[self.taken] = orjson.dumps(
                {
                    "id": f"{self.name}:{self.epoch}:{self.taken}",
                    "schema": 1,
                    "gateway_id": self.name,
                    "device_id": "oximeter-1",
                    "metric_type": "spo2",
                    "spo2": self._rng.randint(94, 99),
                    "units": {"spo2": "%"},
                    "timestamp": now,
                    "clock": "synchronised",
                    "replayed": False,
                    "quality": "good",
                    "flags": [],
                }
            )
            self._send()
            await asyncio.sleep(self._interval)

    async def _keep_connected(self) -> None:
        backoff, turn = Backoff(self._rng, FIRST_RETRY, LONGEST_RETRY, STEADY), 0
        while True:
            began = asyncio.get_running_loop().time()
            self._lost.clear()
            connection = MqttConnection(
                BrokerEndpoint.parse(self._urls[turn % len(self._urls)]),
                ConnectOptions(client_id=self.name, protocol="3.1.1", keepalive=10),
                on_message=_ignore,
                on_lost=self._on_lost,
                on_ack=self._on_ack,
            )
            try:
                await connection.open(OPEN_TIMEOUT)
            except GatepostError:
                turn += 1
            else:
                self._connection = connection
                self._sent.clear()
                self._send()
                await self._lost.wait()
                backoff.held(asyncio.get_running_loop().time() - began)
                turn += 1
            finally:
                self._connection = None
                await connection.close(CLOSE_TIMEOUT)
            await asyncio.sleep(backoff.next())

    def _on_lost(self, _: ConnectionLost) -> None:
        self._lost.set()

    def _send(self) -> None:
        connection = self._connection
        if connection is None or not connection.is_open:
            return
        topic = f"gateways/{self.name}/devices/oximeter-1/data".encode()
        for number, payload in self._owed.items():
            if len(self._sent) >= WINDOW:
                break
            if number not in self._sent:
                self._sent.add(number)
                connection.publisher.publish(topic, payload, 1, False, b"", number)

    def _on_ack(self, acks: list[tuple[int, int]]) -> None:
        for number, code in acks:
            self._sent.discard(number)
            if code < 0x80 and self._owed.pop(number, None) is not None:
                self.acknowledged.add(number)
        self._send()


async def _ignore(_: object) -> int:
    return 0
