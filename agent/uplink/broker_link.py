"""One broker: keep a connection to it, and on each one a session that sends what is owed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from gatepost.agent.core.backoff import Backoff
from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import ConnectFailed, NotConnected, NotTaken, SettingsWrong, UplinkError
from gatepost.agent.core.events import EventBus
from gatepost.agent.core.views import BrokerView
from gatepost.agent.settings.model import BrokerSettings, Secret
from gatepost.agent.store import Store
from gatepost.agent.uplink.command_subscriptions import CommandSubscriptions
from gatepost.agent.uplink.delivery import BrokerDelivery, DeliveryCounters
from gatepost.agent.uplink.followed_topics import FollowedTopics
from gatepost.agent.uplink.formats import FORMATS
from gatepost.agent.uplink.formats.devices import CONTENT_TYPE, DevicesFormat
from gatepost.agent.uplink.lanes import Lanes
from gatepost.agent.uplink.mqtt.connection import (
    ConnectionLost,
    ConnectOptions,
    InboundMessage,
    LastWill,
    MqttConnection,
)
from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint
from gatepost.agent.uplink.mqtt.reason_codes import REFUSED, explain
from gatepost.agent.uplink.mqtt.tls import tls_context
from gatepost.agent.uplink.mqtt.version_fallback import ProtocolChoice
from gatepost.agent.uplink.poison_messages import NOT_THE_MESSAGE, PoisonMessages
from gatepost.agent.uplink.routing import BrokerRoutes
from gatepost.agent.uplink.topics import BrokerTopics

log = logging.getLogger(__name__)

OPEN_TIMEOUT = 15.0
FIRST_RETRY = 0.5
LONGEST_RETRY = 15.0  # a link that is down for a day should not stay down for a minute more
STEADY_AFTER = 30.0  # seconds that a connection must hold before earlier failures are forgotten
UNTOLD = 20  # MQTT 3.1.1 knows no receive maximum, and brokers hang up on more QoS 2 messages at once than they allow
CLOSE_TIMEOUT = 1.5
GOODBYE = 1.0  # seconds for the last statuses of devices and gateway
ANSWER_TIMEOUT = 10.0
LATER = 30.0  # seconds at least to wait where a person must change something first
AGAIN_FIRST, AGAIN_MOST = 5.0, 60.0  # seconds until what a broker left unanswered (a subscription) is asked again
KICKS = 2  # connections in a row that did not hold, until another address of the broker has its turn
TAKEN_OVER = 30.0  # another client with our id: two that fight would otherwise kick each other without end


Failure = ConnectFailed | SettingsWrong | UplinkError | ConnectionLost
Step = Callable[[MqttConnection], Awaitable[None]]


@dataclass(frozen=True)
class UplinkContext:
    """What every uplink works with."""

    store: Store
    clock: Clock
    rng: Random
    events: EventBus
    gateway: str
    organization: str | None
    resolve: Callable[[Secret | None], str | None]
    devices: Callable[[], Mapping[str, dict[str, Any]]]  # device id -> status payload to publish on connecting
    on_command: Callable[[str, str | None, InboundMessage, bool], Awaitable[None]]  # broker, device, message, broadcast
    on_connected: Callable[[str], Awaitable[None]]
    followed: Callable[[str], Mapping[str, int]] = lambda _: {}  # broker -> topic filters that people follow, QoS
    on_message: Callable[[str, InboundMessage], None] = lambda *_: None  # broker, a message on one of those


class BrokerLink:
    """`run` is the task; the state says in words what goes on."""

    def __init__(self, name: str, settings: BrokerSettings, routes: BrokerRoutes, parts: UplinkContext) -> None:
        self.name = name
        self.settings = settings
        self.state = "disconnected"
        self.reason = ""
        self.hint = ""
        self._told = ("", "")
        self.tally = DeliveryCounters()
        self._parts = parts
        self._routes = routes
        self._topics = BrokerTopics(settings.topics, parts.gateway, parts.organization)
        self._wanted = asyncio.Event()
        self._unwanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._backoff = Backoff(parts.rng, FIRST_RETRY, LONGEST_RETRY, STEADY_AFTER)
        self._poison = PoisonMessages()
        self._protocol = ProtocolChoice(settings.protocol)
        self._subscriptions = CommandSubscriptions(name, self._topics, parts)
        self.followed = FollowedTopics(name, parts, self._subscriptions.held)
        self._statuses: dict[str, Mapping[str, Any]] = {}
        self._to_tell = asyncio.Event()  # statuses, or another set of devices
        self._other_devices = False
        self._session: BrokerDelivery | None = None
        self._connection: MqttConnection | None = None
        self._since = parts.clock.now().wall
        self._attempts = 0
        self._connects = 0
        self._kicks = 0
        self._due = 0.0
        self._offline_since: int | None = self._since
        (self._wanted if settings.active else self._unwanted).set()

    # --- what others may ask

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
        same = _without_soft(settings) == _without_soft(self.settings)
        if same:
            if settings.active != self.settings.active:
                self._want(settings.active)
            self.settings, self._routes = settings, routes
            if self._session is not None:
                self._session.reroute(routes, settings.backlog.share, settings.backlog.rate)
        return same

    def requeue(self) -> None:
        """What the broker is owed was extended (a resend)."""
        if self._session is not None:
            self._session.renew(self._lanes)

    async def send(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        properties: dict[str, Any] | None = None,
        timeout: float = ANSWER_TIMEOUT,
    ) -> None:
        """Publish something that is no reading; returns when it is acknowledged. NotConnected, UplinkError, of which
        NotTaken and key `broker-topic-wrong` are for good."""
        session, connection = self._session, self._connection
        if session is None or connection is None:
            raise NotConnected(f"{self.name} is not connected: {self.reason or self.state}", self.hint)
        problem = self._topics.problem(topic)
        if problem:
            raise UplinkError(problem, key="broker-topic-wrong")
        block = connection.properties(**{"content_type": CONTENT_TYPE, **(properties or {})})
        code = await session.send(topic, payload, qos, retain, block, timeout)
        if code >= REFUSED:
            meaning = explain(code)
            kind = NotTaken if meaning.final else UplinkError
            raise kind(f"{self.name} refused a message: {meaning.phrase}", meaning.hint)

    async def answer(
        self, target: str | None, payload: bytes, topic: str | None = None, correlation: bytes | None = None
    ) -> None:
        """Publish the response to a command, where the command asked for it or on the topic for responses."""
        place = topic or (self._topics("responses", target) if target else self._topics("gateway_responses"))
        extra: dict[str, Any] = {"correlation_data": correlation} if correlation is not None else {}
        await self.send(place, payload, properties=extra)

    def device_status(self, device: str, status: Mapping[str, Any]) -> None:
        """Publish the retained status of a device soon; the newest one counts. When away: on the next connection."""
        if self._session is not None and self._routes.reports(device):
            self._statuses[device] = status
            self._to_tell.set()

    def devices_changed(self) -> None:
        """The set of devices may be another one: subscriptions follow soon."""
        self._other_devices = True
        self._to_tell.set()

    def topic(self, key: str) -> str:
        """The topic that goes by this key at this broker."""
        return self._topics(key)

    async def follow(self, topic: str) -> None:
        """Subscribe now to a filter that `UplinkContext.followed` names, or end it; when away: on the next connection.
        UplinkError."""
        if self._connection is not None and self._connection.is_open:
            await self.followed.again(self._connection, topic)

    def as_dict(self) -> BrokerView:
        connection, session = self._connection, self._session
        now = self._parts.clock.monotonic()
        waiting = self.state in ("waiting", "refused")
        return {
            "name": self.name,
            "url": self.settings.url,
            "state": self.state,
            "since": rfc3339(self._since),
            "reason": self.reason,
            "hint": self.hint,
            "active": self._wanted.is_set(),
            "endpoint": str(connection.endpoint) if connection else None,
            "protocol": ("5" if connection.version == 5 else "3.1.1") if connection else None,
            "connects": self._connects,
            "attempts": self._attempts,
            "next_attempt_in": max(0.0, round(self._due - now, 1)) if waiting else None,
            "offline_since": rfc3339(self._offline_since) if self._offline_since is not None else None,
            "in_flight": session.flying if session else 0,
            "sent": self.tally.sent,
            "delivered": self.tally.delivered,
            "delivered_by_lane": dict(self.tally.delivered_by_lane),
            "refused": self.tally.refused,
            "dead_letters": self.tally.dead,
            "not_routed": self.tally.skipped,
            "suspect": self._parts.store.reading_id(self._poison.suspect) if self._poison.suspect else None,
        }

    # --- the task

    async def run(self) -> None:
        """Keep connected while wanted; every failure is a state with its reason, and a backoff."""
        while True:
            self._changed.clear()
            if not self._wanted.is_set():
                self._enter("disconnected", "not active: connect it with `gatepost brokers connect`")
                await self._changed.wait()
                continue
            lost = await self._one_round()
            if lost is not None:
                await self._wait(lost)

    async def stop(self) -> None:
        """Say goodbye and end the connection, bounded."""
        self._wanted.clear()
        self._unwanted.set()
        if self._connection is not None:
            await self._part(self._connection, "stopped")

    async def _one_round(self) -> Failure | None:
        """Try each address once; serve the first that opens until it ends. What went wrong last."""
        failure: Failure | None = None
        urls = (self.settings.url, *self.settings.failover)
        # An address that accepts and then hangs up is no better than a dead one.
        first = self._kicks // KICKS % len(urls)
        for url in urls[first:] + urls[:first]:
            while True:
                self._enter("connecting", f"connecting to {url}")
                self._attempts += 1
                try:
                    connection = await self._while_wanted(self._open(url))
                except ConnectFailed as error:
                    failure = error
                    if self._protocol.failed(error):
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
        settings, parts = self.settings, self._parts
        endpoint = BrokerEndpoint.parse(url)
        tls = settings.tls
        context = None
        if endpoint.secure:
            context = await asyncio.to_thread(tls_context, tls.ca, tls.cert, tls.key, tls.verify)
        will = LastWill(self._topics("gateway_status"), self._status("offline", "the connection was lost"))
        options = ConnectOptions(
            client_id=settings.client_id or f"gatepost-{parts.gateway}",
            protocol=self._protocol.current,
            username=settings.username,
            password=parts.resolve(settings.password),
            keepalive=math.ceil(settings.keepalive),
            will=will._replace(content_type=CONTENT_TYPE),
            context=context,
        )
        connection = MqttConnection(
            endpoint, options, on_ack=self._on_ack, on_message=self._on_message, on_lost=self._on_lost
        )
        self._lost: asyncio.Future[ConnectionLost] = asyncio.get_running_loop().create_future()
        await connection.open(OPEN_TIMEOUT)
        return connection

    async def _serve(self, connection: MqttConnection) -> ConnectionLost | None:
        parts, settings = self._parts, self.settings
        self._connection = connection
        began = parts.clock.monotonic()
        position = parts.store.backlog.position(self.name)
        forget = parts.store.backlog.before_save(self._note)
        self._connects += 1
        self._offline_since = None
        self._enter("connected", "")
        session = self._session = self._new_session(connection)
        listener = session.pump
        parts.store.on_stored.append(listener)
        side = asyncio.get_running_loop().create_task(self._greet(connection))
        try:
            session.start(connection)
            lost = await self._until_over(connection, settings)
        finally:
            parts.store.on_stored.remove(listener)
            side.cancel()
            first, alone = session.end()
            self._session = self._connection = None
            forget()
            connection.abort()
            self._offline_since = parts.clock.now().wall
            self._protocol.succeeded()
        held = parts.clock.monotonic() - began
        self._backoff.held(held)
        self._kicks = self._kicks + 1 if lost is not None and held < STEADY_AFTER else 0
        await connection.close(CLOSE_TIMEOUT)
        if lost is not None and not lost.silent and lost.code not in NOT_THE_MESSAGE:
            condemned = self._poison.hung_up(first, alone)
            if condemned is not None:
                for track in (0, 1):
                    position.settle(track, condemned, condemned + 1)
                self.tally.dead += 1
                log.warning("%s: reading %s makes the broker hang up", self.name, parts.store.reading_id(condemned))
                parts.store.dead_letter(self.name, condemned, None, "the broker hung up each time it was sent")
        return lost

    def _lanes(self) -> Lanes:
        store = self._parts.store
        return Lanes(store.backlog.position(self.name), store.head, self.settings.backlog.share)

    def _new_session(self, connection: MqttConnection) -> BrokerDelivery:
        parts, settings = self._parts, self.settings
        assert settings.format in FORMATS
        render = DevicesFormat(parts.gateway, parts.store.epoch, self._topics, connection.version)
        return BrokerDelivery(
            self.name,
            parts.store,
            self._lanes(),
            render,
            self._routes,
            self._poison,
            self.tally,
            qos=settings.qos,
            window=min(settings.window, UNTOLD) if settings.qos == 2 and connection.version != 5 else settings.window,
            rate=settings.backlog.rate,
            monotonic=parts.clock.monotonic,
            on_broken=self._on_lost,
        )

    async def _until_over(self, connection: MqttConnection, settings: BrokerSettings) -> ConnectionLost | None:
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
                await self._part(connection, "disconnected on request")
                return None

    async def _greet(self, connection: MqttConnection) -> None:
        """Subscribe, say that we are here, tell the statuses, answer what could not be answered before; then tell what
        changes. What fails is tried again as long as the connection stands."""
        self._other_devices = False
        self._statuses.clear()
        self.followed.forget()
        for device, status in self._parts.devices().items():
            self.device_status(device, status)
        due: list[Step] = [self._subscribe, self._hello, self._tell, self._resume, self.followed.follow]
        pause = AGAIN_FIRST
        while connection.is_open:
            self._to_tell.clear()
            failed = [step for step in due if not await self._done(step, connection)]
            if not failed:
                await self._to_tell.wait()
                due, pause = [self._follow_devices, self._tell], AGAIN_FIRST
                continue
            await asyncio.sleep(pause)
            due, pause = [*(step for step in failed if step != self._tell), self._tell], min(AGAIN_MOST, 2 * pause)

    async def _done(self, step: Step, connection: MqttConnection) -> bool:
        try:
            await step(connection)
        except UplinkError as error:
            log.warning("%s: %s", self.name, error)
            return False
        except Exception as error:
            log.error("%s: %s: %s", self.name, type(error).__name__, error)
            return False
        return True

    async def _subscribe(self, connection: MqttConnection) -> None:
        if self.settings.commands:
            await self._subscriptions.subscribe(connection, list(self._parts.devices()))

    async def _on_message(self, message: InboundMessage) -> int:
        if self.followed.take(message) and self.settings.commands:
            return await self._subscriptions.on_message(message)
        return 0

    async def _follow_devices(self, connection: MqttConnection) -> None:
        if self._other_devices and self.settings.commands:
            await self._subscriptions.update(connection, list(self._parts.devices()))
        self._other_devices = False

    async def _hello(self, _: MqttConnection) -> None:
        await self.send(self._topics("gateway_status"), self._status("online"), retain=True)

    async def _resume(self, _: MqttConnection) -> None:
        await self._parts.on_connected(self.name)

    async def _tell(self, _: MqttConnection) -> None:
        """The newest status of each device that has a new one."""
        while self._statuses:
            device, status = next(iter(self._statuses.items()))
            try:
                await self.send(self._topics("device_status", device), orjson.dumps(status), retain=True)
            except NotTaken as error:
                log.warning("%s: the status of %s: %s", self.name, device, error)
            if self._statuses.get(device) is status:
                del self._statuses[device]

    async def _part(self, connection: MqttConnection, why: str) -> None:
        if connection.is_open and self._session is not None:
            self._session.hold()
            try:
                async with asyncio.timeout(GOODBYE):
                    await self._tell(connection)
                    await self.send(self._topics("gateway_status"), self._status("offline", why), retain=True)
            except (UplinkError, TimeoutError) as error:
                log.debug("%s: no goodbye: %s", self.name, error)
        await connection.close(CLOSE_TIMEOUT)

    async def _wait(self, failure: Failure) -> None:
        later = getattr(failure, "retry", "later") == "later"
        at_least = TAKEN_OVER if getattr(failure, "taken_over", False) else LATER if later else 0.0
        delay = self._backoff.next(at_least)
        self._due = self._parts.clock.monotonic() + delay
        self._enter("refused" if later else "waiting", failure.message, failure.hint)
        try:
            async with asyncio.timeout(delay):
                await self._changed.wait()
        except TimeoutError:
            return

    def _enter(self, state: str, reason: str, hint: str = "") -> None:
        self.reason, self.hint = reason, hint
        if state == self.state:
            return
        if state == "connecting" or (state, reason) == self._told:
            level = logging.DEBUG
        else:
            level = logging.INFO if state in ("connected", "disconnected") else logging.WARNING
            self._told = (state, reason)
        log.log(level, "%s: %s%s", self.name, state, f": {reason}" if reason else "")
        self.state = state
        self._since = self._parts.clock.now().wall
        self._parts.events.emit(
            "broker.status", {"broker": self.name, "name": self.name, "state": state, "reason": reason}
        )

    def _status(self, status: str, reason: str = "") -> bytes:
        body: dict[str, Any] = {
            "gateway_id": self._parts.gateway,
            "status": status,
            "timestamp": rfc3339(self._parts.clock.now().wall),
        }
        return orjson.dumps({**body, "reason": reason} if reason else body)

    def _note(self) -> None:
        if self._session is not None:
            self._session.settle()

    def _on_ack(self, acks: list[tuple[int, int]]) -> None:
        if self._session is not None:
            self._session.on_ack(acks)

    def _on_lost(self, lost: ConnectionLost) -> None:
        if not self._lost.done():
            self._lost.set_result(lost)


def _without_soft(settings: BrokerSettings) -> dict[str, Any]:
    """The settings whose change needs a new connection."""
    soft = ("routes", "backlog", "active")
    return {name: getattr(settings, name) for name in settings.__struct_fields__ if name not in soft}
