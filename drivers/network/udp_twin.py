"""Twin that answers over UDP, as a monitor on a LAN does: for `gatepost simulate` and tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from gatepost.drivers.driver import DatagramTwin

Sleep = Callable[[float], Awaitable[None]]


class UdpTwin(asyncio.DatagramProtocol):
    """Runs `twin` at host and port until the context ends; it speaks to who spoke last. `lose` says of each datagram in
    either direction whether the network loses it."""

    def __init__(
        self,
        twin: DatagramTwin,
        host: str,
        port: int,
        *,
        speed: float = 1.0,
        lose: Callable[[], bool] = lambda: False,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.sent = self.octets = self.dropped = 0
        self._twin = twin
        self._place = host, port
        self._speed = speed
        self._lose = lose
        self._sleep = sleep
        self._peer: Any = None
        self._transport: asyncio.DatagramTransport | None = None
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> UdpTwin:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, self._place)
        self._running = loop.create_task(self._tick(), name="twin")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        if self._transport is not None:
            self._transport.abort()

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._lose():
            self.dropped += 1
            return
        self._peer = addr
        self._say(self._twin.hear(data))

    def _say(self, datagrams: list[bytes]) -> None:
        for datagram in datagrams:
            if self._lose():
                self.dropped += 1
            elif self._transport is not None and self._peer is not None:
                self._transport.sendto(datagram, self._peer)
                self.sent += 1
                self.octets += len(datagram)

    async def _tick(self) -> None:
        while True:
            self._say(self._twin.tick())
            await self._sleep(self._twin.interval / self._speed)
