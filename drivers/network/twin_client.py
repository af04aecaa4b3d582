"""Twin that connects to a listener over TCP, as a monitor or analyser does: for `gatepost simulate` and tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.driver import Twin

Sleep = Callable[[float], Awaitable[None]]
CONNECT_TIMEOUT = 5.0
READ = 65536


class TcpTwin:
    """Runs `twin` on a connection to host and port until `close`; connects again when it is lost, later and later."""

    def __init__(
        self, twin: Twin, host: str, port: int, backoff: Backoff, *, speed: float = 1.0, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.connections = 0  # so far
        self._twin = twin
        self._place = host, port
        self._backoff = backoff
        self._speed = speed
        self._sleep = sleep
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> TcpTwin:
        self._running = asyncio.get_running_loop().create_task(self._run(), name="twin")
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        task, self._running = self._running, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    reader, writer = await asyncio.open_connection(*self._place)
                self.connections += 1
                self._backoff.reset()
                try:
                    await self._talk(reader, writer)
                finally:
                    writer.transport.abort()
            await self._sleep(self._backoff.next())

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ticking = asyncio.get_running_loop().create_task(self._tick(writer), name="twin speaks")
        try:
            while data := await reader.read(READ):
                answer = self._twin.hear(data)
                if answer:
                    writer.write(answer)
                    await writer.drain()
        finally:
            ticking.cancel()
            await asyncio.wait([ticking])

    async def _tick(self, writer: asyncio.StreamWriter) -> None:
        while True:
            said = self._twin.tick()
            if said:
                writer.write(said)
                await writer.drain()
            await self._sleep(self._twin.interval / self._speed)
