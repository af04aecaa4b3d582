"""Interfaces around a connection: the server to each of them, and what lies below MQTT."""

from __future__ import annotations

from typing import Any, Protocol

from gatepost.agent.core.clock import Clock
from gatepost.agent.listener.acknowledgements import CommitLog, StoredAcknowledger
from gatepost.agent.listener.authentication import DeviceAuthenticator, RefusedClient
from gatepost.agent.listener.client_sessions import ClientSession, ClientSessions
from gatepost.agent.listener.intake import MessageIntake
from gatepost.agent.listener.packets import ConnectPacket, PublishPacket, WillMessage
from gatepost.agent.listener.session import ProtocolLimits
from gatepost.agent.listener.socket_watch import SocketWatch

Connection = Any  # gatepost.agent.listener.connection.DeviceConnection


class OctetLayer(Protocol):
    """What lies between the transport and MQTT: a WebSocket."""

    @property
    def held(self) -> int: ...

    @property
    def over(self) -> str:
        """Why nothing comes after what `feed` gave last; "" = more may."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Raises StreamOver."""
        ...

    def wrap(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    def output(self) -> bytes: ...


class HoldsBack(Protocol):
    def holds_back(self, device: str) -> bool:
        """Whether what the device's connections carry cannot be taken now."""
        ...


class ConnectionOwner(Protocol):
    """The server; implemented by gatepost.agent.listener.server.MqttServer."""

    clock: Clock
    authenticator: DeviceAuthenticator
    sessions: ClientSessions
    intake: MessageIntake
    acknowledger: StoredAcknowledger
    commits: CommitLog
    limits: ProtocolLimits
    watch: SocketWatch
    buffer: bytearray  # for reading, shared by all
    held: int  # octets of all connections that wait to be understood

    @property
    def holding(self) -> HoldsBack: ...

    @property
    def rate(self) -> float: ...

    @property
    def connect_timeout(self) -> float: ...

    @property
    def session_expiry(self) -> int: ...

    def too_much_held(self, by_one: int) -> bool: ...

    def assigned_id(self) -> str: ...

    def admit(
        self, connection: Connection, client_id: str, clean: bool, expiry: int
    ) -> tuple[ClientSession, bool] | None: ...

    def connected(self, connection: Connection) -> None: ...

    def ended(self, connection: Connection, will: WillMessage | None, key: str, message: str) -> None: ...

    def take_message(self, connection: Connection, packet: PublishPacket) -> None: ...

    def judge_filter(self, device: str, topic_filter: str, qos: int) -> int: ...

    def retained_for(self, device: str, topic_filter: str) -> list[tuple[str, bytes]]: ...

    def granted(self, client: ClientSession, topic: str) -> int: ...

    def count_malformed(self, connection: Connection, message: str) -> None: ...

    def count_refused_client(self, connection: Connection, packet: ConnectPacket, why: RefusedClient) -> None: ...
