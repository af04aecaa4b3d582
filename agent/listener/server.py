"""The listener: its sockets, its connections, and what they share. Off unless the settings name an address."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gatepost.agent.core.certificates import valid_until
from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import ListenWrong
from gatepost.agent.core.lazy_modules import import_lazily
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.core.tcp_sockets import accept_each, bind, certificate
from gatepost.agent.listener.acknowledgements import StoredAcknowledger
from gatepost.agent.listener.authentication import TOKEN_PREFIX, DeviceAuthenticator, RefusedClient
from gatepost.agent.listener.client_sessions import ClientSession, ClientSessions
from gatepost.agent.listener.connection import DeviceConnection
from gatepost.agent.listener.device_link import MqttLink
from gatepost.agent.listener.held_messages import HeldMessages
from gatepost.agent.listener.intake import HELD, UNTAKEN, MessageIntake, TakenMessage, shown_topic
from gatepost.agent.listener.link_directory import LinkDirectory
from gatepost.agent.listener.outbox import DeviceOutbox
from gatepost.agent.listener.packets import ConnectPacket, PublishPacket, WillMessage
from gatepost.agent.listener.session import SERVER_SHUTTING_DOWN, SESSION_TAKEN_OVER, ProtocolLimits
from gatepost.agent.listener.socket_transport import READ_BUFFER, SocketTransport
from gatepost.agent.listener.socket_watch import SocketWatch
from gatepost.agent.listener.subscriptions import DeviceTopics, granted
from gatepost.agent.settings.model import ListenerSettings, ListenerTls, split_address
from gatepost.drivers.mqtt.options import LISTENER

log = logging.getLogger(__name__)

MOST_HELD = 4_000_000  # octets of all connections that wait to be understood
MUCH = 16 * 1024  # octets of one connection that count as much then
PENDING = 8  # connections without CONNECT, or a quarter of all
MOST_OF_DEVICE = 8  # connections of one device
NOT_AUTHORIZED, QUOTA = 0x87, 0x97


class MqttServer:
    """`apply` settings, `stop` in the end. One for the life of the agent; without an address it costs nothing."""

    def __init__(
        self,
        directory: LinkDirectory,
        intake: MessageIntake,
        acknowledger: StoredAcknowledger,
        sessions: ClientSessions,
        authenticator: DeviceAuthenticator,
        topics: DeviceTopics,
        watch: SocketWatch,
        clock: Clock,
        origins: Callable[[], list[str]],
    ) -> None:
        """`origins`: web origins beside the own one that may connect over WebSocket."""
        self.clock = clock
        self.authenticator = authenticator
        self.sessions = sessions
        self.intake = intake
        self.acknowledger = acknowledger
        self.commits = acknowledger.commits
        self.holding = HeldMessages(directory, self.commits, self.take_message, self._answer)
        self.outbox = DeviceOutbox(sessions, lambda device: bool(self._connected.get(device)))
        self.watch = watch
        self.buffer = bytearray(READ_BUFFER)
        self.held = 0
        self.listening: list[str] = []  # the addresses that are served, for people
        self.trouble = ""
        self.certificate_ends: float | None = None  # of the one in use, in seconds since 1970
        self.settings = ListenerSettings()
        self.limits = ProtocolLimits()
        self._directory = directory
        self._topics = topics
        self._origins = origins
        self._connected: dict[str, list[DeviceConnection]] = {}
        self._pending: dict[DeviceConnection, asyncio.Task[None] | None] = {}  # the handshake of TLS
        self._tls: ssl.SSLContext | None = None
        self._accepting: dict[str, dict[asyncio.Task[None], socket.socket]] = {"listen": {}, "ws": {}}
        self._served: dict[str, str | None] = {"listen": None, "ws": None}
        sessions.on_end = self._send_will
        directory.on_change.append(self._link_changed)
        directory.on_pause = self._link_paused

    # --- settings

    async def apply(self, settings: ListenerSettings) -> None:
        """Serve where they say, with the certificate as its files are now. Raises ListenWrong; what ran stays then."""
        context = ends = None
        if settings.tls is not None:
            context, ends = await self._context(settings.tls)
        otherwise = (context is None) != (self._tls is None)
        for key in ("listen", "ws"):
            if otherwise or getattr(settings, key) != self._served[key]:
                await self._stop_accepting(key)
        self._tls, self.certificate_ends = context, ends  # before the first connection that is to have it
        for key in ("listen", "ws"):
            wanted = getattr(settings, key)
            if wanted != self._served[key]:
                bound = await bind(*split_address(wanted), f"listener.{key}")
                self._accepting[key] = {asyncio.create_task(self._accept(each, key == "ws")): each for each in bound}
                log.info("devices may connect at %s%s", wanted, " with TLS" if context is not None else "")
                self._served[key] = wanted
        self.settings = settings
        self.limits = ProtocolLimits(settings.max_packet, settings.window, math.ceil(settings.keepalive_max))
        self.acknowledger.within = settings.ack_within
        self.trouble = ""
        if not self.serving:
            self._hang_up_all("stopped", "devices may not connect any more")

    @staticmethod
    async def _context(tls: ListenerTls) -> tuple[ssl.SSLContext, float | None]:
        """And when its certificate ends."""
        try:
            work = partial(certificate, tls.cert, tls.key, "listener.tls", client_ca=tls.client_ca)
            context = await off_loop("listener.tls", work)
            return context, await off_loop("listener.tls", partial(valid_until, tls.cert))
        except OSError as error:
            raise ListenWrong(f"listener.tls: {error.strerror}", "files of this machine") from None

    @property
    def serving(self) -> bool:
        return any(self._served.values())

    @property
    def rate(self) -> float:
        return self.settings.rate

    @property
    def connect_timeout(self) -> float:
        return self.settings.connect_timeout

    @property
    def session_expiry(self) -> int:
        return round(self.settings.session_expiry)

    async def _stop_accepting(self, key: str) -> None:
        accepting, self._accepting[key] = self._accepting[key], {}
        for task in accepting:
            task.cancel()
        if accepting:
            await asyncio.wait(accepting)
        for bound in accepting.values():
            bound.close()
        self._served[key] = None

    async def stop(self) -> None:
        """No more connections; what is on its way to the disk is acknowledged first, if that is soon."""
        for key in self._accepting:
            await self._stop_accepting(key)
        everyone = [each for mine in self._connected.values() for each in mine]
        for connection in everyone:
            connection.hold_back()
        await self.acknowledger.catch_up()
        self._hang_up_all("gateway stops", "the gateway stops")

    def _hang_up_all(self, key: str, message: str) -> None:
        for connection in [*self._pending, *(each for mine in list(self._connected.values()) for each in list(mine))]:
            connection.hang_up(SERVER_SHUTTING_DOWN, key, message, will=False)
        for connection in list(self._pending):
            self._forget_pending(connection)

    # --- connections

    async def _accept(self, bound: socket.socket, websocket: bool) -> None:
        def tell(error: OSError) -> None:
            self.intake.tell("", "accept", f"a connection could not be taken: {error.strerror}")

        await accept_each(bound, lambda accepted: self._begin(accepted, websocket), tell)

    def _begin(self, accepted: socket.socket, websocket: bool) -> None:
        """Bounded in all, and in those of whom nothing is known yet: the oldest of these goes first."""
        count = len(self._pending) + sum(map(len, self._connected.values()))
        full = count >= self.settings.max_connections
        if full and not self._pending:
            self.intake.tell("", "full", f"more than {self.settings.max_connections} connections")
            accepted.close()
            return
        if full or len(self._pending) >= max(PENDING, self.settings.max_connections // 4):
            oldest = next(iter(self._pending))
            self._forget_pending(oldest)
            oldest.hang_up(QUOTA, "timeout", "dropped for other connections before it sent CONNECT")
        layer = None
        if websocket:
            import_lazily("importlib.metadata")  # websockets.version imports it and does not use it
            from gatepost.agent.listener.websocket import WebSocketLayer  # 1.4 MiB that only browsers are worth

            layer = WebSocketLayer(self._allows_origin, self.limits.max_packet)
        with suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = DeviceConnection(self, layer)
        if self._tls is not None:
            self._pending[connection] = asyncio.create_task(self._shake_hands(connection, accepted, self._tls))
        else:
            self._pending[connection] = None
            SocketTransport(accepted, connection, self.watch, self.buffer)

    async def _shake_hands(self, connection: DeviceConnection, accepted: socket.socket, tls: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        limit = self.settings.connect_timeout
        try:
            await loop.connect_accepted_socket(lambda: connection, accepted, ssl=tls, ssl_handshake_timeout=limit)
        except (OSError, asyncio.CancelledError) as error:
            accepted.close()
            self._pending.pop(connection, None)
            if isinstance(error, asyncio.CancelledError):
                raise

    def _forget_pending(self, connection: DeviceConnection) -> None:
        task = self._pending.pop(connection, None)
        if task is not None:
            task.cancel()

    def _allows_origin(self, origin: str, host: str) -> bool:
        """The page's own host and port, whatever the scheme, or what api.cors_origins names."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        return origin in self._origins() or (bool(parts.netloc) and parts.netloc.lower() == host.lower())

    def too_much_held(self, by_one: int) -> bool:
        return self.held > MOST_HELD and by_one > MUCH

    def assigned_id(self) -> str:
        return f"gp-{secrets.token_hex(8)}"

    def admit(
        self, connection: DeviceConnection, client_id: str, clean: bool, expiry: int
    ) -> tuple[ClientSession, bool] | None:
        """The session of a connection that may be here, and whether it was there; an older connection of the same
        client id is hung up on [3.1.4-2]. None where the device has too many."""
        mine = self._connected.setdefault(connection.device, [])
        self._pending.pop(connection, None)
        mine.append(connection)
        for each in list(mine):
            if each is not connection and each.client is not None and each.client.client_id == client_id:
                each.hang_up(SESSION_TAKEN_OVER, "taken over", "another connection took its place")
        if len(mine) > MOST_OF_DEVICE:
            mine.remove(connection)
            return None
        session, present = self.sessions.take(connection.device, client_id, clean, expiry)
        session.connection = connection
        session.renew()
        return session, present

    def connected(self, connection: DeviceConnection) -> None:
        client = connection.client
        assert client is not None
        log.info(
            "%s: connected from %s%s", connection.device, connection.address, " with TLS" if connection.tls else ""
        )
        for link in self._directory.carried_by(LISTENER, connection.device):
            link.carried(True)
        if self.holding.holds_back(connection.device):
            connection.hold_back()

    def ended(self, connection: DeviceConnection, will: WillMessage | None, key: str, message: str) -> None:
        """Of every connection, once."""
        self._forget_pending(connection)
        self.acknowledger.leave(connection)
        client, device = connection.client, connection.device
        if client is None:
            return
        log.info("%s: connection ended: %s", device, message)
        mine = self._connected[device]
        mine.remove(connection)
        if not mine:
            del self._connected[device]
        client.connection = None
        gone = self._directory.carried_by(LISTENER, device) if not mine else ()
        reason = f"its connection ended: {message}"
        for link in gone:
            link.leaving(key, reason)
        if will is not None:
            client.will = will
        self.sessions.leave(client)  # an ended session sends its will
        if client.will is not None:
            delay = min(client.will.properties.get("will_delay", 0), client.expiry)
            if delay:
                client.will_timer = asyncio.get_running_loop().call_later(delay, self._send_will, client)
            else:
                self._send_will(client)
        for link in gone:
            link.carried(False, key, reason)

    def _send_will(self, session: ClientSession) -> None:
        """Judged again now: what the device may publish can have changed."""
        will, session.will = session.will, None
        if will is not None:
            taken = self.intake.take(LISTENER, session.device, will.topic, will.payload, will=True)
            if taken.ticket == UNTAKEN:
                assert taken.link is not None
                session.will = will
                self._directory.when_open(taken.link.name, partial(self._send_will, session))
                return
            if will.retain:
                self._retain(taken, will.payload)
            self._count(taken.ticket)

    # --- messages

    def take_message(self, connection: DeviceConnection, packet: PublishPacket) -> None:
        """Routed and handed to the store; acknowledged when it is there."""
        client = connection.client
        assert client is not None
        if packet.qos == 2 and self.commits.full:
            self.holding.until_room(connection, packet)
            return
        try:
            self.commits.together = packet.qos == 2  # and its packet id, or a crash would have them stored twice
            taken = self.intake.take(LISTENER, connection.device, packet.topic, packet.payload)
        finally:
            self.commits.together = False
        if taken.ticket >= HELD:
            self.holding.hold(connection, client, packet, taken)
        else:
            self._answer(connection, client, packet, taken)

    def _answer(
        self, connection: DeviceConnection, client: ClientSession, packet: PublishPacket, taken: TakenMessage
    ) -> None:
        ticket = taken.ticket
        if packet.retain:
            self._retain(taken, packet.payload)
        if packet.qos == 2 and not taken.refusal:
            client.received.add(packet.packet_id)
            ticket = max(ticket, self.sessions.keep(client))  # in the transaction of the reading
        self._count(ticket)
        if packet.qos:
            connection.acknowledge(packet, ticket, taken.code, taken.refusal)

    def _count(self, ticket: int) -> None:
        if 0 < ticket < HELD:
            self.acknowledger.count(ticket)

    def _retain(self, taken: TakenMessage, payload: bytes) -> None:
        if taken.kind == "status" and taken.link is not None:
            self._topics.retain(taken.link.name, payload)

    def _link_paused(self, link: MqttLink) -> None:
        if link.source == LISTENER:
            for connection in list(self._connected.get(link.carrier, ())):
                if link.paused:
                    connection.hold_back()
                else:
                    connection.unpause()

    def judge_filter(self, device: str, topic_filter: str, qos: int) -> int:
        code = self._topics.judge(device, topic_filter, qos)
        if code >= 0x80:
            self.intake.tell(device, "subscribe", f"it may not subscribe to {shown_topic(topic_filter)!r}")
        return code

    def retained_for(self, device: str, topic_filter: str) -> list[tuple[str, bytes]]:
        return self._topics.retained_for(device, topic_filter)

    def granted(self, client: ClientSession, topic: str) -> int:
        return granted(client.subscriptions, topic) or 0

    def broadcast(self, payload: bytes) -> None:
        """What the gateway obeyed itself."""
        clients = [each.client for mine in self._connected.values() for each in mine if each.client is not None]
        self.outbox.broadcast(self._topics.broadcast, payload, clients)

    # --- who is not to be here any more

    def token_revoked(self, ident: str) -> None:
        for connection in self._all():
            if connection.token == ident:
                connection.hang_up(NOT_AUTHORIZED, "token revoked", "its token was revoked")

    def hang_up(self, device: str) -> int:
        """Somebody wants it so; how many connections there were."""
        found = [connection for connection in self._all() if connection.device == device]
        for connection in found:
            connection.hang_up(0x98, "hung up", "an operator ended it")  # administrative action
        return len(found)

    def _link_changed(self, link: MqttLink, there: bool) -> None:
        if link.source != LISTENER:
            return
        mine = self._connected.get(link.carrier, ())
        if there:
            if mine:
                link.carried(True)
        elif link.carrier == link.name:
            self._topics.forget(link.name)
            for connection in list(mine):
                connection.hang_up(NOT_AUTHORIZED, "changed", "the device's settings were changed or removed")

    def _all(self) -> list[DeviceConnection]:
        return [connection for mine in self._connected.values() for connection in mine]

    def count_malformed(self, connection: DeviceConnection, message: str) -> None:
        self.intake.refused["malformed"] += 1
        if connection.device:
            self.intake.tell(connection.device, "malformed", f"hung up on: {message}")
        else:
            self.intake.tell("", "malformed", f"{connection.address}: hung up on: {message}")

    def count_refused_client(self, connection: DeviceConnection, packet: ConnectPacket, why: RefusedClient) -> None:
        self.intake.refused["auth"] += 1
        name = shown_topic((packet.username or "")[:64])
        shown = "a token as user name" if name.startswith(TOKEN_PREFIX) else repr(name)
        self.intake.tell("", f"auth {connection.address}", f"{connection.address}: {shown} refused: {why.why}")

    # --- how it goes

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        connections, address = self._all(), self._served["listen"] or self._served["ws"] or ""
        host, _, port = address.rpartition(":")
        clients = [
            {**each, "since": rfc3339(each["since"]), "last": rfc3339(each["last"])}
            for each in (connection.as_dict() for connection in connections)
        ]
        return {
            "isInitialized": self.serving,
            "connectedClients": len(connections) + len(self._pending),
            "authenticatedClients": len(connections),
            "host": host or None,
            "port": int(port) if port else None,
            "tls": self._tls is not None,
            "ws": self._served["ws"],
            "received": self.intake.received,
            "stored": self.acknowledger.stored,
            "unacknowledged": sum(connection.session.unacknowledged for connection in connections),
            "sessions": len(self.sessions),
            "refused": dict(self.intake.refused),
            "trouble": self.trouble,
            "clients": clients,
        }
