"""Listener: one listening socket, its connections, and the devices among which what they send is divided.

The device whose `port` it is owns it; others share it by `options.via`. A message goes to the device whose
`options.match` fits, the newest first; what fits none goes to the owner, marked as stray once somebody shares.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
from collections.abc import Mapping
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Protocol

from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.network.listen_address import ListenAddress, allows
from gatepost.drivers.network.peer_message import MessageSplitter, PeerBytes, RoutedMessage, fits
from gatepost.drivers.serial.port.blocking_call import bounded, in_thread

MAX_CONNECTIONS = 64
MAX_OF_ONE_ADDRESS = 32
QUIET = 30.0  # seconds of silence after which a connection makes room for a new one when there are too many
IDLE = 3600.0  # seconds of silence after which a connection is closed; who has something to say connects again
MAX_STRANGERS = 16  # different addresses that the log tells of
READ = 65536  # octets at once
HANDSHAKE_TIMEOUT = 10.0  # seconds for TLS
MOST_HELD = 6 << 20  # octets of messages that have not ended, of all connections; nearly all messages are a thousandth
COUNTED = tuple(f"connections-{kind}" for kind in ("refused", "too-many", "broken-off", "idle", "too-large"))
KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class PeerConnection:
    """Connection of one peer; equal only to itself."""

    def __init__(self, number: int, address: str, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.address = address
        self.writer = writer
        self.held = 0  # octets of a message that has not ended
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()

    @property
    def quiet(self) -> float:
        """Seconds since it last said something."""
        return self._loop.time() - self._last

    def heard(self) -> None:
        self._last = self._loop.time()

    async def send(self, data: bytes, timeout: float) -> None:
        """LinkFailed; a peer that takes nothing in time is disconnected."""
        try:
            async with asyncio.timeout(timeout):
                self.writer.write(data)
                await self.writer.drain()
        except TimeoutError:
            self.abort()
            raise LinkFailed(Reason.TIMEOUT, f"{self.address} took nothing for {timeout:g} s") from None
        except OSError as error:
            raise LinkFailed(Reason.IO, f"the connection of {self.address} is gone: {error}") from error

    def abort(self) -> None:
        self.writer.transport.abort()


class ListenerMember(Protocol):
    """Device at a listener: listening_link.py."""

    match: Mapping[str, str]

    @property
    def is_open(self) -> bool: ...

    def new_splitter(self) -> MessageSplitter | None: ...

    def arrived(self, connection: PeerConnection, alone: bool = False) -> None: ...

    async def deliver(self, data: bytes, connection: PeerConnection) -> None: ...

    def departed(self, connection: PeerConnection) -> None: ...


class Listener:
    """Listening socket at one place. `start` again with another address opens it anew; `stop` ends all of it."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self.address: ListenAddress | None = None
        self.owner: ListenerMember | None = None
        self.sharing: list[ListenerMember] = []  # the newest last
        self.counts = dict.fromkeys(COUNTED, 0)
        self._networks: tuple[IPv4Network | IPv6Network, ...] = ()
        self._server: asyncio.Server | None = None
        self._context: Any = None
        self._connections: dict[int, PeerConnection] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._number = 0
        self._strangers: set[str] = set()
        self._starting = asyncio.Lock()

    def own(self, member: ListenerMember) -> None:
        """Its connections are of this device from now on; those of another before it end, and are opened again."""
        if self.owner is not member:
            self.owner = member
            for connection in list(self._connections.values()):
                connection.abort()

    async def start(self, address: ListenAddress, timeout: float) -> None:
        """LinkFailed when the socket or the certificate cannot be had."""
        async with self._starting:
            if self._server is not None and self.address == address:
                return
            await self._close()
            try:
                self._context = None
                if address.cert:
                    work = in_thread(asyncio.get_running_loop(), partial(_tls, address))
                    self._context = await bounded(work, timeout)
                async with asyncio.timeout(timeout):
                    self._server = await asyncio.start_server(
                        self._accepted, address.host, address.port, limit=READ, backlog=MAX_CONNECTIONS
                    )
            except TimeoutError:
                raise LinkFailed(Reason.TIMEOUT, f"{address.place}: listening took longer than {timeout:g} s") from None
            except PermissionError as error:
                raise LinkFailed(Reason.PERMISSION, f"{address.place}: {error}", "take a port above 1023") from error
            except (OSError, ValueError) as error:
                reason = Reason.BUSY if getattr(error, "errno", 0) == 98 else Reason.IO
                raise LinkFailed(reason, f"cannot listen at {address.place}: {error}") from error
            self.address, self._networks = address, address.networks()

    async def stop(self) -> None:
        async with self._starting:
            await self._close()

    async def release(self) -> None:
        """Stop, unless a device has become its owner meanwhile."""
        async with self._starting:
            if self.owner is None:
                await self._close()

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for connection in list(self._connections.values()):
            connection.abort()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def connection(self, number: int) -> PeerConnection | None:
        return self._connections.get(number)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        if not allows(self._networks, peer):
            self._refuse(writer, "connections-refused", "its address is not allowed", peer)
        elif not self._has_room(peer):
            self._refuse(writer, "connections-too-many", "there are too many already", peer)
        else:
            self._number += 1
            connection = PeerConnection(self._number, peer, writer)
            self._connections[connection.number] = connection
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await self._serve(connection, reader)
            except (OSError, TimeoutError):  # TLS that failed, a peer that vanished, a device that took nothing
                self.counts["connections-broken-off"] += 1
            except asyncio.CancelledError:  # `stop`; asyncio would log it
                pass
            finally:
                self._tasks.discard(task)
                self._connections.pop(connection.number, None)
                connection.abort()
                for member in self._members():
                    member.departed(connection)

    def _has_room(self, peer: str) -> bool:
        """Whether one more fits; the one that was quiet for longest goes for it."""
        held = list(self._connections.values())
        same = [connection for connection in held if connection.address == peer]
        for those, most in ((same, MAX_OF_ONE_ADDRESS), (held, MAX_CONNECTIONS)):
            if len(those) < most:
                continue
            quietest = max(those, key=lambda connection: connection.quiet)
            if quietest.quiet < QUIET:
                return False
            self._drop(quietest)
            return True
        return True

    def _drop(self, connection: PeerConnection, why: str = "connections-idle") -> None:
        del self._connections[connection.number]  # its task ends soon, and takes no room meanwhile
        self.counts[why] += 1
        connection.abort()

    def _refuse(self, writer: asyncio.StreamWriter, kind: str, why: str, peer: str) -> None:
        self.counts[kind] += 1
        writer.transport.abort()
        if peer not in self._strangers and len(self._strangers) < MAX_STRANGERS:
            self._strangers.add(peer)
            place = self.address.place if self.address else ""
            self._log.warning("%s: a connection of %s was not accepted (%s)", place, peer, why)

    async def _serve(self, connection: PeerConnection, reader: asyncio.StreamReader) -> None:
        if self._context is not None:
            await connection.writer.start_tls(self._context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT)
        raw = connection.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE:
            raw.setsockopt(socket.IPPROTO_TCP, option, value)
        owner = self.owner
        if owner is None:
            return
        splitter = owner.new_splitter()
        if splitter is None:
            member = self._choose({"address": (connection.address,)}) or owner
            member.arrived(connection, alone=True)
            while data := await self._read(reader, connection):
                await member.deliver(data, connection)
            return
        owner.arrived(connection)
        data = None
        while data != b"":
            data = await self._read(reader, connection, splitter.patience)
            for message in splitter.feed(data or b""):
                await self._route(message, connection, owner)
            connection.held = splitter.held
            self._bound_held()

    def _bound_held(self) -> None:
        """Whoever has the longest message that does not end goes, where all of them are too much; it sends again."""
        if sum(each.held for each in self._connections.values()) > MOST_HELD:
            largest = max(self._connections.values(), key=lambda each: each.held)
            self._drop(largest, "connections-too-large")

    async def _read(
        self, reader: asyncio.StreamReader, connection: PeerConnection, patience: float | None = None
    ) -> bytes | None:
        """Empty at its end, also when it was idle for too long; None when there was nothing for `patience` seconds."""
        try:
            async with asyncio.timeout(patience or IDLE):
                data = await reader.read(READ)
        except TimeoutError:
            if patience is not None:
                return None
            self.counts["connections-idle"] += 1
            return b""
        connection.heard()
        return data

    async def _route(self, message: RoutedMessage, connection: PeerConnection, owner: ListenerMember) -> None:
        keys = {**message.keys, "address": (connection.address,)}
        member = self._choose(keys)
        stray = member is None and (bool(self.sharing) or not fits(owner.match, keys))
        data = PeerBytes.of(message.data, connection.number, stray, message.shared)
        await (member or owner).deliver(data, connection)

    def _choose(self, keys: dict[str, tuple[str, ...]]) -> ListenerMember | None:
        """The device that shares the connection and is meant by these keys; one that runs before one that is new."""
        meant = [member for member in reversed(self.sharing) if member.match and fits(member.match, keys)]
        return next((member for member in meant if member.is_open), meant[0] if meant else None)

    def _members(self) -> list[ListenerMember]:
        return [*self.sharing, *([self.owner] if self.owner else [])]


def _tls(address: ListenAddress) -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in filter(None, (address.cert, address.key, address.ca)):
        if not stat.S_ISREG(os.stat(file).st_mode):  # a FIFO is waited for without end
            raise OSError(errno.EINVAL, "not a regular file", file)
    context.load_cert_chain(address.cert, address.key, password=_no_password)
    if address.ca:
        context.load_verify_locations(address.ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")  # else OpenSSL asks for it on the terminal
