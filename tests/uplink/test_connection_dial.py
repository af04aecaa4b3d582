"""Reaching a host, and what the socket is told."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gatepost.agent.uplink.mqtt import dial as dialling
from gatepost.agent.uplink.mqtt.dial import dial


@pytest.fixture
async def port() -> Any:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_the_socket_is_tuned(port: int) -> None:
    link = await dial("127.0.0.1", port, 7.5)
    with link:
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7500
        assert link.getblocking() is False


async def test_an_address_that_refuses_is_passed_over(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    (await dial("h", port, 5)).close()


async def test_an_address_that_never_answers_does_not_hold_up_the_next(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "127.0.0.3", "127.0.0.1")
    monkeypatch.setattr(dialling, "NEXT_ADDRESS_AFTER", 0.01)
    ended: list[str] = []
    connect = dialling._connect

    async def slow(address: Any, dead_after: float) -> socket.socket:
        if address[4][0] == "127.0.0.3":
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("given up")
        return await connect(address, dead_after)

    monkeypatch.setattr(dialling, "_connect", slow)
    async with asyncio.timeout(10):
        (await dial("h", port, 5)).close()
    assert ended == ["given up"]


async def test_the_first_problem_is_told_when_none_answers(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.2", "127.0.0.3")
    with pytest.raises(ConnectionRefusedError):
        await dial("h", port, 5)


async def test_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch)
    with pytest.raises(OSError, match="no address"):
        await dial("h", 1, 5)


def test_families_take_turns() -> None:
    def address(family: int, host: str) -> Any:
        return (family, socket.SOCK_STREAM, 6, "", (host, 1))

    six, four = socket.AF_INET6, socket.AF_INET
    found = [address(six, "a"), address(six, "b"), address(six, "c"), address(four, "d")]
    assert [entry[4][0] for entry in dialling._interleaved(found)] == ["a", "d", "b", "c"]
