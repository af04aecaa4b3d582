"""What a running command may do with its device: send, and wait for what the decoder makes of the answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from agent.devices.ports import Link
from drivers.driver import CommandFailed
from drivers.reading import Reading, Reply

T = TypeVar("T")

MOST_HEARD = 1000  # items kept between two waits; a stream beside the answer pushes the oldest out


class DeviceExchange:
    """An `Exchange` for one command. What is decoded after the last `send` is kept until a `wait` has looked at it, so
    an answer of many parts in one chunk is not lost between two waits. CommandFailed `connection-lost` once aborted.

    `at_once`: readings are reported as they come while the command runs. `answer` is what the last `wait` matched, and
    its sequence number (0 = none yet).
    """

    def __init__(self, link: Link, send_timeout: float, at_once: bool = False) -> None:
        self.at_once = at_once
        self.answer: tuple[Reading | Reply, int] | None = None
        self._link: Link | None = link
        self._send_timeout = send_timeout
        self._heard: deque[tuple[Reading | Reply, int]] = deque(maxlen=MOST_HEARD)
        self._more = asyncio.Event()

    async def send(self, data: bytes) -> None:
        self._heard.clear()
        await self._attached().send(data, self._send_timeout)

    async def wait(self, match: Callable[[Reading | Reply], T | None], timeout: float) -> T:
        """The first non-None result of `match`; TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while True:
                while self._heard:
                    heard = self._heard.popleft()
                    result = match(heard[0])
                    if result is not None:
                        self.answer = heard
                        return result
                self._attached()
                self._more.clear()
                await self._more.wait()

    def heard(self, item: Reading | Reply, seq: int) -> None:
        """Something was decoded, and reported under `seq` (0 = it was not, or not yet)."""
        self._heard.append((item, seq))
        self._more.set()

    def abort(self) -> None:
        """The link is gone; what waits fails at once."""
        self._link = None
        self._more.set()

    def _attached(self) -> Link:
        if self._link is None:
            raise CommandFailed("connection-lost", "the connection to the device was lost before it answered")
        return self._link
