"""TCP to a host with several addresses: the next one is tried before the first has timed out (RFC 8305)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from typing import Any

NEXT_ADDRESS_AFTER = 0.25  # seconds until the next address is tried beside the ones before
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux

Address = tuple[int, int, int, str, Any]  # as getaddrinfo gives it


async def dial(host: str, port: int, dead_after: float) -> socket.socket:
    """A connected socket without Nagle's algorithm; raises OSError (the first one). The caller bounds the time.

    Data that the peer's kernel does not acknowledge for `dead_after` seconds kills it, where the platform can.
    """
    # As octets: for a text the loop would load the codec of international names, which costs 0.4 MiB.
    name: str | bytes = host.encode() if host.isascii() else host
    infos = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = iter(_interleaved(infos))
    running: set[asyncio.Task[socket.socket]] = set()
    problems: list[OSError] = []
    try:
        while True:
            address = next(addresses, None)
            more = address is not None
            if address is not None:
                running.add(asyncio.ensure_future(_connect(address, dead_after)))
            if not running:
                raise problems[0] if problems else OSError(f"{host} has no address")
            done, running = await asyncio.wait(
                running, timeout=NEXT_ADDRESS_AFTER if more else None, return_when=asyncio.FIRST_COMPLETED
            )
            connected = _winner(done, problems)
            if connected is not None:
                return connected
    finally:
        await _abandon(running)


def _winner(done: set[asyncio.Task[socket.socket]], problems: list[OSError]) -> socket.socket | None:
    """One of the connected sockets; the others are closed."""
    winner = None
    for task in done:
        problem = task.exception()
        if isinstance(problem, OSError):
            problems.append(problem)
        elif problem is not None:
            raise problem
        elif winner is None:
            winner = task.result()
        else:
            task.result().close()
    return winner


async def _abandon(running: set[asyncio.Task[socket.socket]]) -> None:
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, socket.socket):
            result.close()


async def _connect(address: Address, dead_after: float) -> socket.socket:
    family, kind, protocol, _, where = address
    link = socket.socket(family, kind, protocol)
    try:
        link.setblocking(False)
        with contextlib.suppress(OSError):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _USER_TIMEOUT is not None:
            with contextlib.suppress(OSError):
                link.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(dead_after * 1000))
        await asyncio.get_running_loop().sock_connect(link, (where[0].encode(), *where[1:]))
    except BaseException:
        link.close()
        raise
    return link


def _interleaved(infos: list[Any]) -> list[Address]:
    """Families in turn, beginning with the one that the system prefers."""
    families: dict[int, list[Address]] = {}
    for address in infos:
        families.setdefault(address[0], []).append(address)
    return [address for row in itertools.zip_longest(*families.values()) for address in row if address is not None]
