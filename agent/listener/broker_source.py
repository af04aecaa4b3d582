"""Devices that publish to a broker: a client of their own subscribes to their topics, and acknowledges what is stored.

The broker keeps the session while the gateway is away (clean start 0), so that nothing is missed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.listener.acknowledgements import StoredAcknowledger
from gatepost.agent.listener.intake import HELD, UNTAKEN, MessageIntake, TakenMessage
from gatepost.agent.listener.link_directory import LinkDirectory
from gatepost.agent.settings.model import BrokerSettings, Secret
from gatepost.agent.uplink.mqtt.connection import (
    BrokerEndpoint,
    ConnectFailed,
    ConnectionLost,
    ConnectOptions,
    InboundMessage,
    MqttConnection,
    ProtocolChoice,
)
from gatepost.agent.uplink.mqtt.secret_files import read_file
from gatepost.agent.uplink.mqtt.tls import tls_context

log = logging.getLogger(__name__)

OPEN_TIMEOUT, SUBSCRIBE_TIMEOUT, CLOSE_TIMEOUT = 15.0, 10.0, 1.0
FIRST_PAUSE, LONGEST_PAUSE, STEADY = 1.0, 60.0, 30.0
SESSION = 86_400  # seconds that a broker which speaks 5 keeps the session
AT_ONCE = 100  # messages that wait for the disk together
LONGEST_WAIT = 30.0  # seconds for a device that is being opened anew


class BrokerSource:
    """`run` is the task; `refresh` when devices came or went."""

    def __init__(
        self,
        broker: str,
        settings: BrokerSettings,
        client_id: str,
        directory: LinkDirectory,
        intake: MessageIntake,
        acknowledger: StoredAcknowledger,
        clock: Clock,
        rng: Random,
        resolve: Callable[[Secret | None], str | None],
    ) -> None:
        self.broker = broker
        self.settings = settings
        self._client_id = client_id
        self._directory = directory
        self._intake = intake
        self._acknowledger = acknowledger
        self._clock = clock
        self._resolve = resolve
        self._backoff = Backoff(rng, FIRST_PAUSE, LONGEST_PAUSE, STEADY)
        self._protocol = ProtocolChoice(settings.protocol)
        self._seen: set[int] = set()
        self._changed = asyncio.Event()
        self._subscribed: set[str] = set()
        self._lost: asyncio.Future[ConnectionLost] | None = None  # of the connection there is
        self._up = False
        self._told = ""

    def refresh(self) -> None:
        self._changed.set()
        if self._up:
            self._carry(True)

    async def run(self) -> None:
        urls, turn = (self.settings.url, *self.settings.failover), 0
        while True:
            began = self._clock.monotonic()
            try:
                why = (await self._once(urls[turn % len(urls)])).message
            except ConnectFailed as error:
                why, turn = error.message, turn + 1
                if self._protocol.failed(error):
                    continue
            except GatepostError as error:
                why = error.message
            self._carry(False, why)
            self._backoff.held(self._clock.monotonic() - began)
            await asyncio.sleep(self._backoff.next())

    async def _once(self, url: str) -> ConnectionLost:
        """One connection, until it is lost. Raises ConnectFailed, GatepostError."""
        lost: asyncio.Future[ConnectionLost] = asyncio.get_running_loop().create_future()
        self._lost = lost
        connection = await self._connection(BrokerEndpoint.parse(url), lost)
        try:
            await connection.open(OPEN_TIMEOUT)
            self._subscribed.clear()
            await self._subscribe(connection)
            self._carry(True)
            while not lost.done():
                changed = asyncio.ensure_future(self._changed.wait())
                both: set[asyncio.Future[Any]] = {changed, lost}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if not lost.done():
                    await self._subscribe(connection)
            self._protocol.succeeded()
            return lost.result()
        finally:
            await connection.close(CLOSE_TIMEOUT)

    async def _connection(self, endpoint: BrokerEndpoint, lost: asyncio.Future[ConnectionLost]) -> MqttConnection:
        """Not open yet; its files are read anew."""
        settings, context = self.settings, None
        if endpoint.secure:
            tls = partial(tls_context, settings.tls.ca, settings.tls.cert, settings.tls.key, settings.tls.verify)
            context = await read_file(self.broker, "tls", tls)
        password = await read_file(self.broker, "password", partial(self._resolve, settings.password))
        return MqttConnection(
            endpoint,
            ConnectOptions(
                client_id=self._client_id,
                protocol=self._protocol.current,
                username=settings.username,
                password=password,
                keepalive=math.ceil(settings.keepalive),
                context=context,
                clean_start=False,
                session_expiry=SESSION,
                inbound_maximum=AT_ONCE,
                inbound_at_once=AT_ONCE,
                inbound_only=True,
                inbound_time_limit=None,  # nothing is acknowledged that is not on disk, however long that takes
                seen=self._seen,
            ),
            on_ack=lambda acks: None,
            on_message=self._on_message,
            on_lost=lambda error: None if lost.done() else lost.set_result(error),
        )

    async def _subscribe(self, connection: MqttConnection) -> None:
        """Bring the subscriptions in line with the devices there are. QoS 1: what is refused is told once."""
        self._changed.clear()
        wanted = {pattern.topic_filter for link in self._directory.carried_by(self.broker) for pattern in link.patterns}
        gone, new = sorted(self._subscribed - wanted), sorted(wanted - self._subscribed)
        if gone:
            await connection.unsubscribe(gone, SUBSCRIBE_TIMEOUT)
        if new:
            codes = await connection.subscribe([(topic, 1) for topic in new], SUBSCRIBE_TIMEOUT)
            refused = [topic for topic, code in zip(new, codes, strict=True) if code >= 0x80]
            if refused:
                log.warning("%s: the broker refuses subscriptions to %s", self.broker, ", ".join(refused))
        self._subscribed = wanted

    async def _on_message(self, message: InboundMessage) -> int:
        """The reason code for the broker, once what it brought is on disk. What is refused is done with: it would come
        again and again."""
        taken = await self._taken(message)
        ticket = taken.ticket
        if ticket == HELD and taken.link is not None:
            settled: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            taken.link.on_settled.append(partial(self._settled, settled))
            ticket = await settled
            if not ticket:
                await self._withhold("the store had no room for a message")
        if ticket:
            self._acknowledger.count(ticket)
            await self._acknowledger.durable(ticket)
        return 0

    def _settled(self, settled: asyncio.Future[int], stored: bool) -> None:
        """The ticket is that of now: the commit may have begun before whoever waits goes on."""
        if not settled.done():
            settled.set_result(self._acknowledger.commits.ticket if stored else 0)

    async def _taken(self, message: InboundMessage) -> TakenMessage:
        """While its device is being opened anew, the message waits."""
        while True:
            taken = self._intake.take(self.broker, "", message.topic, bytes(message.payload))
            if taken.ticket != UNTAKEN or taken.link is None:
                return taken
            opened = asyncio.Event()
            cancel = self._directory.when_open(taken.link.name, opened.set)
            try:
                async with asyncio.timeout(LONGEST_WAIT):
                    await opened.wait()
            except TimeoutError:
                await self._withhold(f"{taken.link.name} could not be opened in time for a message")
            finally:
                cancel()

    async def _withhold(self, why: str) -> None:
        """No acknowledgement: the connection is begun anew, and the broker sends the message again."""
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(ConnectionLost(None, why))
        await asyncio.Event().wait()  # until the connection ends what it runs

    def _carry(self, up: bool, why: str = "") -> None:
        if (up, why) != (self._up, self._told):
            log.log(logging.INFO if up else logging.WARNING, "%s: %s", self._client_id, "connected" if up else why)
        for link in self._directory.carried_by(self.broker):
            if up is not link.is_carried or not up:
                link.carried(up, "broker", f"its broker {self.broker} is not connected: {why}")
        self._up, self._told = up, why
