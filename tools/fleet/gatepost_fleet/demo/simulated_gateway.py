"""Simulated gateway: numbers its readings, sends them at QoS 1, and keeps each until a broker has acknowledged it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

import orjson

from gatepost.agent.core.errors import ConnectFailed, GatepostError
from gatepost.agent.uplink.mqtt.connection import (
    BrokerEndpoint,
    ConnectionLost,
    ConnectOptions,
    InboundMessage,
    MqttConnection,
)
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED
from gatepost.drivers.backoff import Backoff
from gatepost_fleet.demo.simulated_trial import SimulatedTrial, timestamp

OPEN_TIMEOUT, SUBSCRIBE_TIMEOUT, CLOSE_TIMEOUT = 10.0, 20.0, 0.5
WINDOW = 100  # readings in flight
FIRST_RETRY, LONGEST_RETRY, STEADY = 0.2, 5.0, 10.0


class SimulatedGateway:
    """Simulated gateway with one device. `acknowledged` are the numbers that a broker has taken over; with `trial`, it
    obeys its desired state."""

    def __init__(
        self, name: str, urls: Sequence[str], interval: float, rng: Random, trial: SimulatedTrial | None = None
    ) -> None:
        self.name = name
        self.epoch = secrets.token_hex(4)
        self.acknowledged: set[int] = set()
        self.taken = 0
        self.longest_retry, self.longest_crowded = LONGEST_RETRY, LONGEST_RETRY
        self.attempts: list[float] = []  # times of the loop at which it tried to connect
        self.trial = trial
        self._said: dict[int, tuple[bytes, bytes]] = {}  # tag below zero -> topic, payload of a report
        self._reports = 0
        self._tasks: set[asyncio.Task[None]] = set()
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
    def reads(self) -> bool:
        return self._interval > 0

    @property
    def owed(self) -> int:
        return len(self._owed)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await asyncio.gather(self._read(), self._keep_connected())
        finally:
            for task in self._tasks:
                task.cancel()

    async def settle(self) -> None:
        """Read no more, and return once everything is acknowledged."""
        self._interval = 0.0
        while self._owed:  # noqa: ASYNC110 - twenty looks a second, in a demo
            await asyncio.sleep(0.05)

    async def _read(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, self._interval))
        while self._interval:
            self.taken += 1
            self._owed[self.taken] = orjson.dumps(
                {
                    "id": f"{self.name}:{self.epoch}:{self.taken}",
                    "schema": 1,
                    "gateway_id": self.name,
                    "device_id": "oximeter-1",
                    "metric_type": "spo2",
                    "spo2": self._rng.randint(94, 99),
                    "units": {"spo2": "%"},
                    "timestamp": timestamp(),
                    "clock": "synchronised",
                    "replayed": False,
                    "quality": "good",
                    "flags": [],
                }
            )
            self._send()
            await asyncio.sleep(self._interval)

    async def _keep_connected(self) -> None:
        backoff, turn = Backoff(self._rng, FIRST_RETRY, self.longest_retry, STEADY), 0
        crowded = Backoff(self._rng, FIRST_RETRY, self.longest_crowded)
        while True:
            began = asyncio.get_running_loop().time()
            self.attempts.append(began)
            self._lost.clear()
            connection = MqttConnection(
                BrokerEndpoint.parse(self._urls[turn % len(self._urls)]),
                ConnectOptions(client_id=self.name, protocol="3.1.1", keepalive=10),
                on_message=self._on_message,
                on_lost=self._on_lost,
                on_ack=self._on_ack,
            )
            pause = 0.0
            try:
                await connection.open(OPEN_TIMEOUT)
            except ConnectFailed as failure:
                turn += 1
                pause = crowded.next() if failure.reached else 0.0
            else:
                crowded.reset()
                self._connection = connection
                self._sent.clear()
                self._say("status", {"gateway_id": self.name, "status": "online", "timestamp": timestamp()})
                for tag, said in list(self._said.items())[:-1]:
                    connection.publisher.publish(*said, 1, False, b"", tag)
                self._send()
                self._start(self._ask(connection))
                await self._lost.wait()
                backoff.held(asyncio.get_running_loop().time() - began)
                turn += 1
            finally:
                self._connection = None
                await connection.close(CLOSE_TIMEOUT)
            await asyncio.sleep(max(pause, backoff.next()))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, connection: MqttConnection) -> None:
        """Subscribe, until it is granted, and ask for what is newer. At QoS 0, which costs a cluster no consumer: what
        is missed is asked for."""
        if self.trial is None:
            return
        filters = [(f"gateways/{self.name}/desired", 0), (f"gateways/{self.name}/desired/confirm", 0)]
        backoff = Backoff(self._rng, FIRST_RETRY, LONGEST_RETRY)
        granted = False
        while not granted and connection.is_open:
            try:
                granted = max(await connection.subscribe(filters, SUBSCRIBE_TIMEOUT)) < REFUSED
            except GatepostError:
                granted = False
            if not granted:
                await asyncio.sleep(backoff.next())
        await asyncio.sleep(self._rng.uniform(0, self.trial.jitter))
        if connection.is_open:
            self._say("desired/get", self.trial.question())

    async def _on_message(self, message: InboundMessage) -> int:
        if self.trial is not None:
            if message.topic.endswith("/confirm"):
                self.trial.confirm(bytes(message.payload))
            else:
                self._start(self.trial.take(bytes(message.payload), lambda body: self._say("reported", body)))
        return 0

    def _say(self, topic: str, body: dict[str, Any]) -> None:
        """At QoS 1, again on each connection until it is acknowledged."""
        self._reports -= 1
        said = self._said[self._reports] = f"gateways/{self.name}/{topic}".encode(), orjson.dumps(body)
        if self._connection is not None and self._connection.is_open:
            self._connection.publisher.publish(*said, 1, False, b"", self._reports)

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
            if number < 0:
                self._said.pop(number, None)
                continue
            self._sent.discard(number)
            if code < 0x80 and self._owed.pop(number, None) is not None:
                self.acknowledged.add(number)
        self._send()
