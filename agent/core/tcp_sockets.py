"""TCP sockets that the agent listens on, the certificate that it shows there, and who counts as one client."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from gatepost.agent.core.certificates import load_chain
from gatepost.agent.core.errors import CertificateUnusable, ListenWrong
from gatepost.agent.core.named_files import check_regular, read_regular

BACKLOG = 64
LOOKUP = 5.0  # seconds to find the addresses of a name
QUIET = 60  # seconds of silence after which a peer is asked whether it is still there
ASK_EVERY = 15
LOST_AFTER = 60_000  # milliseconds in which what was sent must be acknowledged
ACCEPT_AGAIN = 0.1  # seconds after the system had no room for a connection
FREEBIND: int | None = getattr(
    socket, "IP_FREEBIND", 15 if os.name == "posix" and os.uname().sysname == "Linux" else None
)


async def bind(host: str, port: int, key: str) -> list[socket.socket]:
    """A listening socket for each address of the host; an address that comes later is waited for by the system.

    Raises ListenWrong, in which `key` is what the settings call it.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, TimeoutError):
        raise ListenWrong(f"{key}: {host} is no address of this machine", f"write 127.0.0.1:{port}") from None
    bound: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((info[0], info[4]) for info in found):
            bound.append(_one(family, address))
    except OSError as error:
        for each in bound:
            each.close()
        why = error.strerror or "failed"
        raise ListenWrong(f"{key}: {host}:{port} cannot be listened at: {why}", f"choose another {key}") from None
    return bound


def client_group(address: str) -> str:
    """Who counts as one client: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(IPv6Address(int(found) >> 64 << 64))
    return str(found)


def _one(family: int, address: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _option(listener, socket.IPPROTO_IP, FREEBIND, 1)
        # Accepted connections inherit these: a peer that is gone without a word is noticed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", QUIET), ("TCP_KEEPINTVL", ASK_EVERY), ("TCP_USER_TIMEOUT", LOST_AFTER)):
            _option(listener, socket.IPPROTO_TCP, getattr(socket, name, None), value)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


async def accept_each(
    bound: socket.socket, begin: Callable[[socket.socket], None], tell: Callable[[OSError], None]
) -> None:
    """For ever: `begin` is given each connection, `tell` why one could not be taken."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            accepted, _ = await loop.sock_accept(bound)
        except OSError as error:
            tell(error)
            await asyncio.sleep(ACCEPT_AGAIN)
        else:
            begin(accepted)
            await asyncio.sleep(0)  # others have their turn, however many wait to be taken


def _option(listener: socket.socket, level: int, option: int | None, value: int) -> None:
    if option is not None:
        with suppress(OSError):  # a comfort, not a need
            listener.setsockopt(level, option, value)


def certificate(
    cert: str, private_key: str, key: str, into: ssl.SSLContext | None = None, client_ca: str | None = None
) -> ssl.SSLContext:
    """TLS 1.2 and later with these files; `into` is given them for connections to come. With `client_ca` clients may
    show a certificate. Raises ListenWrong, in which `key` is what the settings call it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, file in (("cert", cert), ("key", private_key)):
        try:
            read_regular(file, 1)
        except OSError as error:
            message = f"{key}.{name}: {file} cannot be used: {error.strerror or 'failed'}"
            raise ListenWrong(message, "check the path and that the gateway's user may read it") from None
    for each in (context, into):
        if each is not None:
            try:
                load_chain(each, cert, private_key)
            except CertificateUnusable as error:
                raise ListenWrong(f"{key}.{error.part}: {error.message}", error.hint) from None
    if client_ca is not None:
        try:
            check_regular(client_ca)
            context.load_verify_locations(client_ca)
        except OSError as error:  # ssl.SSLError is one
            why = getattr(error, "reason", None) or error.strerror or "failed"
            message = f"{key}: client_ca {client_ca} cannot be used: {why}"
            raise ListenWrong(message, "a PEM file with the authority's certificate") from None
        context.verify_mode = ssl.CERT_OPTIONAL
    return into or context
