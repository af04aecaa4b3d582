"""Link to one broker: keeps a connection to it, and on each one delivers what the broker is owed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

import orjson

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.conditions import broker_condition
from gatepost.agent.core.errors import ConnectFailed, NotConnected, NotTaken, SettingsWrong, UplinkError
from gatepost.agent.core.views import BrokerView
from gatepost.agent.settings.model import BrokerSettings, client_id_of
from gatepost.agent.store.delivery.positions import TRACKS
from gatepost.agent.uplink.acknowledgements import DeliveryCounters
from gatepost.agent.uplink.broker_addresses import STEADY_AFTER, BrokerAddresses
from gatepost.agent.uplink.broker_format import BrokerFormat, needing_reconnect, topics_of
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.delivery import BrokerDelivery
from gatepost.agent.uplink.followed_topics import FollowedTopics
from gatepost.agent.uplink.formats.interface import JSON, OutgoingMessage
from gatepost.agent.uplink.lanes import Lanes
from gatepost.agent.uplink.link_state import LinkState, waiting_state
from gatepost.agent.uplink.link_tasks import LinkTasks
from gatepost.agent.uplink.mqtt.codec import check_topic
from gatepost.agent.uplink.mqtt.connection import ConnectionLost, ConnectOptions, MqttConnection
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED, explain
from gatepost.agent.uplink.mqtt.secret_files import read_file
from gatepost.agent.uplink.mqtt.tls import tls_context
from gatepost.agent.uplink.mqtt.version_fallback import ProtocolChoice
from gatepost.agent.uplink.poison_messages import NOT_THE_MESSAGE, PoisonMessages
from gatepost.agent.uplink.presence import BrokerPresence
from gatepost.agent.uplink.routing import BrokerRoutes
from gatepost.agent.uplink.wire_message import WireMessage

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 15.0
CLOSE_TIMEOUT = 1.5
KEPT_SESSION = 86_400  # seconds for which the broker is asked to keep a session that is to be kept
SEND_TIMEOUT = 10.0
FIRST_RETRY = 0.5
LONGEST_RETRY = 15.0  # a link that is down for a day should not stay down for a minute more
LONGEST_CROWDED = 120.0  # where a broker can be reached and takes no connection: many gateways may be at its door
RETRY_LATER = 30.0  # seconds at least to wait where the configuration has to change first
RETRY_TAKEN_OVER = 30.0  # another client with our id: two that fight would otherwise kick each other without end
QOS2_WINDOW_V311 = 20  # MQTT 3.1.1 knows no receive maximum; brokers hang up on more QoS 2 messages than they allow

ConnectFailure = ConnectFailed | SettingsWrong | UplinkError | ConnectionLost


class BrokerLink:
    """Link to one broker. `run` is its task; the state says in words what goes on."""

    def __init__(self, name: str, settings: BrokerSettings, routes: BrokerRoutes, context: UplinkContext) -> None:
        self.name = name
        self.settings = settings
        self.counters = DeliveryCounters()
        self._state = LinkState(name, context)
        self._context = context
        self.routes = routes
        self._topics = topics_of(settings, routes, context)
        self._format = BrokerFormat(name, settings, self._topics, context, routes)
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._backoff = Backoff(context.rng, FIRST_RETRY, LONGEST_RETRY, STEADY_AFTER)
        self._crowded = Backoff(context.rng, FIRST_RETRY, LONGEST_CROWDED)
        self._addresses = BrokerAddresses(name, context.gateway)
        self._poison = PoisonMessages()
        self._protocol = ProtocolChoice(settings.protocol)
        self._presence = BrokerPresence(name, context, self._format, self._publish)
        self.condition_changed = self._presence.changed.set  # the log stores again, or does not
        self._tasks = LinkTasks(
            name, context, self._topics, self._presence, self._format, settings, self._publish_dialect
        )
        self._delivery: BrokerDelivery | None = None
        self._connection: MqttConnection | None = None
        self._hanging_up = False
        self._last_endpoint: BrokerEndpoint | None = None
        self._seen: set[int] = set()  # QoS 2 packet ids that a kept session has brought
        (self._wanted if settings.active else self._unwanted).set()

    # --- what others may ask

    @property
    def state(self) -> str:
        return self._state.current

    @property
    def reason(self) -> str:
        return self._state.reason

    @property
    def hint(self) -> str:
        return self._state.hint

    @property
    def followed(self) -> FollowedTopics:
        return self._tasks.followed

    async def connect(self) -> None:
        """Connect at run time; an attempt is made at once."""
        self._want(True)

    async def disconnect(self) -> None:
        """End the connection and stay away until `connect`. What is stored stays owed."""
        self._want(False)

    def _want(self, wanted: bool) -> None:
        for event, state in ((self._wanted, wanted), (self._unwanted, not wanted)):
            (event.set if state else event.clear)()
        self._changed.set()

    def update(self, settings: BrokerSettings, routes: BrokerRoutes) -> bool:
        """Take over what needs no new connection; False when it needs one."""
        same = needing_reconnect(settings) == needing_reconnect(self.settings)
        if same:
            if settings.active != self.settings.active:
                self._want(settings.active)
            self.settings, self.routes = settings, routes
            if self._delivery is not None:
                self._delivery.reroute(routes, settings.backlog.share, settings.backlog.rate)
        return same

    def take_over(self, before: BrokerLink) -> None:
        """What the link before this one counted and kept."""
        self.counters = before.counters
        self._format.take_over(before._format)

    def requeue(self) -> None:
        """The broker is owed more than before (a resend)."""
        if self._delivery is not None:
            self._delivery.renew(self._lanes)

    async def send(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        properties: dict[str, Any] | None = None,
        timeout: float = SEND_TIMEOUT,
    ) -> None:
        """Publish something that is no reading; returns when it is acknowledged. NotConnected, UplinkError, of which
        NotTaken and key `broker-topic-wrong` are for good."""
        delivery, connection = self._delivery, self._connection
        if delivery is None or connection is None:
            raise NotConnected(f"{self.name} is not connected: {self.reason or self.state}", self.hint)
        if problem := check_topic(topic):
            raise UplinkError(problem, key="broker-topic-wrong")
        block = connection.properties(**{"content_type": JSON, **(properties or {})})
        message = WireMessage(topic.encode(), payload, qos, retain, block)
        self._check(await delivery.control.send([message], timeout))

    def _check(self, code: int) -> None:
        if code >= REFUSED:
            meaning = explain(code)
            kind = NotTaken if meaning.final else UplinkError
            raise kind(f"{self.name} refused a message: {meaning.phrase}", meaning.hint)

    async def _publish(self, messages: Iterable[OutgoingMessage]) -> None:
        """What the format says, all at once and in order; returns when it is acknowledged. UplinkError."""
        if (delivery := self._delivery) is None:
            raise NotConnected(f"{self.name} is not connected: {self.reason or self.state}", self.hint)
        if wire := [delivery.renderer.wire(message) for message in messages]:
            self._check(await delivery.control.send(wire, SEND_TIMEOUT))

    def _publish_dialect(self, messages: list[OutgoingMessage]) -> None:
        """What the format answers to an incoming message, without waiting; then it may want to hang up."""
        if (delivery := self._delivery) is None:
            return
        with contextlib.suppress(NotConnected):
            delivery.control.put([delivery.renderer.wire(message) for message in messages])
        if self._format.current.hang_up and not self._hanging_up:
            self._hanging_up = True
            self._changed.set()
        delivery.send_pending()

    async def answer(
        self, target: str | None, payload: bytes, topic: str | None = None, correlation: bytes | None = None
    ) -> None:
        """Publish the response to a command, where the command asked for it or on the topic for responses."""
        reply_to = self._format.reply_to(correlation)
        if reply_to is not None:
            now = self._context.clock.now().wall
            await self._publish(self._format.current.response(orjson.loads(payload), reply_to, now))
            return
        response_topic = topic or (self._topics("responses", target) if target else self._topics("gateway_responses"))
        extra: dict[str, Any] = {"correlation_data": correlation} if correlation is not None else {}
        await self.send(response_topic, payload, properties=extra)

    def device_status(self, device: str, status: Mapping[str, Any]) -> None:
        """Publish the retained status of a device soon; the newest one counts. When away: on the next connection."""
        if self._delivery is not None and self.routes.reports(device):
            self._presence.set_device_status(device, status)

    def devices_changed(self) -> None:
        """The set of devices may be another one: subscriptions follow soon."""
        self._presence.devices_changed(self._format.update_devices(self.routes))
        self._tasks.devices_changed()

    def topic(self, key: str) -> str:
        """The topic of this key at this broker."""
        return self._topics(key)

    def may_reply_on(self, topic: str, device: str | None) -> bool:
        """Whether the response to a command for a device (None = the gateway) may go to this topic of one's own."""
        return self._topics.is_own_reply(topic, device)

    async def follow(self, topic: str) -> None:
        """Subscribe now to a filter that `UplinkContext.followed` names, or end it; when away: on the next connection.
        UplinkError."""
        if (connection := self._connection) is not None and connection.is_open:
            await self.followed.again(connection, topic)

    def as_dict(self) -> BrokerView:
        connection, delivery, counters, state = self._connection, self._delivery, self.counters, self._state
        return {
            "name": self.name,
            "label": self.settings.label,
            "format": self.settings.format,
            "url": self.settings.url,
            "state": state.current,
            "condition": broker_condition(state.current, state.attempts, bool(self._tasks.requests.refused)),
            "since": state.since,
            "reason": state.reason or self._tasks.requests.complaint,
            "hint": state.hint,
            "connects": state.connects,
            "losses": state.losses,
            "attempts": state.attempts,
            "next_attempt_in": state.next_attempt_in,
            "offline_since": state.offline_since,
            "active": self._wanted.is_set(),
            "endpoint": str(connection.endpoint) if connection else None,
            "protocol": ("5" if connection.version == 5 else "3.1.1") if connection else None,
            "in_flight": len(delivery.acknowledgements.in_flight) if delivery else 0,
            "sent": counters.sent,
            "delivered": counters.delivered,
            "delivered_by_lane": dict(counters.delivered_by_lane),
            "refused": counters.refused,
            "dead_letters": counters.dead,
            "not_routed": counters.skipped - counters.uncarried,
            "skipped": counters.uncarried,
            "refused_topics": dict(self._tasks.requests.refused),
            "suspect": self._context.store.reading_id(self._poison.suspect) if self._poison.suspect else None,
        }

    # --- the task

    async def run(self) -> None:
        """Keep connected while wanted; every failure is a state with its reason, and a backoff."""
        while True:
            self._changed.clear()
            if not self._wanted.is_set():
                self._state.enter("disconnected", "it is switched off", f"`gatepost brokers connect {self.name}`")
                await self._changed.wait()
                continue
            failure = await self._try_addresses()
            if failure is not None:
                await self._wait(failure)

    @property
    def place(self) -> tuple[str, ...]:
        """Format of the broker, and where at it the format keeps what it keeps there."""
        return self._format.kind.name, *self._format.current.place

    async def stop(self, leaving: bool = False) -> None:
        """Say goodbye and end the connection, bounded. `leaving`: nothing follows that has this place."""
        self._wanted.clear()
        self._unwanted.set()
        if self._connection is not None:
            await self._say_goodbye(self._connection, "stopped", leaving)

    async def _try_addresses(self) -> ConnectFailure | None:
        """Try each address once; serve the first that opens until it ends. What went wrong last."""
        failure: ConnectFailure | None = None
        for url in self._addresses.in_turn(self.settings):
            while True:
                self._state.enter("connecting", f"connecting to {url}")
                self._state.attempts += 1
                try:
                    connection = await self._while_wanted(self._open(url))
                except ConnectFailed as error:
                    failure = error
                    if self._protocol.failed(error, url):
                        continue
                except (SettingsWrong, UplinkError) as error:
                    failure = error
                else:
                    return await self._serve(connection) if connection is not None else None
                break
            log.debug("%s: no connection: %s", self.name, failure)
        return failure

    async def _while_wanted(self, opening: Coroutine[Any, Any, MqttConnection]) -> MqttConnection | None:
        """None when the connection is not wanted any more; then nothing of the attempt is left."""
        attempt = asyncio.ensure_future(opening)
        unwanted = asyncio.ensure_future(self._unwanted.wait())
        both: set[asyncio.Future[Any]] = {attempt, unwanted}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return attempt.result() if attempt.done() else None
        finally:
            unwanted.cancel()
            if not attempt.done():
                attempt.cancel()
                with contextlib.suppress(asyncio.CancelledError, UplinkError, SettingsWrong):
                    await attempt

    async def _open(self, url: str) -> MqttConnection:
        settings, context = self.settings, self._context
        endpoint = BrokerEndpoint.parse(url)
        tls = settings.tls
        secure = None
        if endpoint.secure:
            secure = await read_file(self.name, "tls", lambda: tls_context(tls.ca, tls.cert, tls.key, tls.verify))
        await self._format.begin()
        self._hanging_up = False
        options = ConnectOptions(
            client_id=client_id_of(settings, context.gateway),
            protocol=self._protocol.current,
            username=settings.username,
            password=await read_file(self.name, "password", lambda: context.resolve(settings.password)),
            keepalive=math.ceil(settings.keepalive),
            will=self._presence.last_will(),
            context=secure,
            clean_start=settings.session == "clean",
            session_expiry=KEPT_SESSION if settings.session == "kept" else 0,
            seen=self._seen,
            inbound_size=self._tasks.inbound_size,
        )
        await self._format.save()  # a will must be known before the broker knows it
        connection = MqttConnection(endpoint, options, on_message=self._tasks.on_message, on_lost=self._on_lost)
        self._lost: asyncio.Future[ConnectionLost] = asyncio.get_running_loop().create_future()
        await connection.open(OPEN_TIMEOUT)
        return connection

    async def _serve(self, connection: MqttConnection) -> ConnectionLost | None:
        store, clock = self._context.store, self._context.clock
        self._connection = connection
        began = clock.monotonic()
        self._state.connected()
        self._crowded.reset()
        delivery = self._delivery = self._new_delivery(connection)
        kept = connection.session_present and connection.endpoint == self._last_endpoint
        self._last_endpoint = connection.endpoint
        self._presence.begin(kept, self._format.update_devices(self.routes))
        store.on_stored.append(delivery.send_pending)
        tasks = asyncio.get_running_loop().create_task(self._tasks.run(connection, delivery))
        try:
            delivery.start(connection, held=self._tasks.requests.in_doubt)
            lost = await self._until_over(connection)
        finally:
            store.on_stored.remove(delivery.send_pending)
            tasks.cancel()
            first, alone = delivery.end()
            self._delivery = self._connection = None
            connection.abort()
            self._state.went_offline()
            self._protocol.succeeded()
        held = clock.monotonic() - began
        self._backoff.held(held)
        self._addresses.ended(held, lost is not None)
        await connection.close(CLOSE_TIMEOUT)
        if lost is None or self._tasks.requests.hung_up(lost):
            return lost
        suspicious = not lost.silent and lost.code not in NOT_THE_MESSAGE
        if suspicious and (condemned := self._poison.hung_up(first, alone)) is not None:
            self._give_up(condemned)
        return lost

    def _give_up(self, seq: int) -> None:
        store = self._context.store
        log.warning("%s: reading %s makes the broker hang up", self.name, store.reading_id(seq))
        self.counters.dead += 1
        store.dead_letter(self.name, seq, None, "the broker hung up each time it was sent")
        for track in TRACKS:
            store.backlog.position(self.name).settle(track, seq, seq + 1)

    def _lanes(self) -> Lanes:
        backlog, head = self._context.store.backlog, self._context.store.head
        return Lanes(backlog.position(self.name), head, self.settings.backlog.share)

    def _new_delivery(self, connection: MqttConnection) -> BrokerDelivery:
        context, settings, payload_format = self._context, self.settings, self._format
        old = settings.qos == 2 and connection.version != 5
        connection.publisher.acknowledged_by_ping = payload_format.kind.acknowledged_by_ping
        return BrokerDelivery(
            self.name,
            context.store,
            self._lanes(),
            payload_format.renderer(connection.version, self.routes),
            payload_format.thinner,
            self._poison,
            self.counters,
            ready=lambda: payload_format.greeted and payload_format.current.ready,
            window=min(settings.window, QOS2_WINDOW_V311) if old else settings.window,
            rate=settings.backlog.rate,
            monotonic=context.clock.monotonic,
            rng=context.rng,
            on_broken=self._on_lost,
        )

    async def _until_over(self, connection: MqttConnection) -> ConnectionLost | None:
        """Until the connection is lost (how), or is not wanted any more (None)."""
        while True:
            changed = asyncio.ensure_future(self._changed.wait())
            both: set[asyncio.Future[Any]] = {changed, self._lost}
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                changed.cancel()
            if self._lost.done():
                return self._lost.result()
            self._changed.clear()
            if not self._wanted.is_set():
                await self._say_goodbye(connection, "disconnected on request")
                return None
            if self._hanging_up:
                reason = self._format.current.hang_up
                await connection.close(CLOSE_TIMEOUT)
                return ConnectionLost(None, reason, "readings wait in the log", silent=True)

    async def _say_goodbye(self, connection: MqttConnection, reason: str, leaving: bool = False) -> None:
        if connection.is_open and self._delivery is not None:
            self._delivery.hold()
            await self._presence.say_goodbye(reason, leaving)
        await connection.close(CLOSE_TIMEOUT)

    async def _wait(self, failure: ConnectFailure) -> None:
        state = waiting_state(failure)
        taken_over = getattr(failure, "taken_over", False)
        delay = self._backoff.next(RETRY_TAKEN_OVER if taken_over else 0.0 if state == "waiting" else RETRY_LATER)
        if isinstance(failure, ConnectFailed) and failure.reached:
            delay = max(delay, self._crowded.next())
        self._state.wait(delay, state, failure.message, failure.hint)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._changed.wait()

    def _on_lost(self, lost: ConnectionLost) -> None:
        if not self._lost.done():
            self._lost.set_result(lost)
