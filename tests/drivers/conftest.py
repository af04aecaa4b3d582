"""Helpers of the driver tests: waiting for conditions, feeding in pieces, commands against a twin."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest


@pytest.fixture
def eventually():
    """`await eventually(condition)`: until it holds; fails after ten seconds."""

    async def wait(condition: Callable[[], object], what: str = "the condition") -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.005)
        pytest.fail(f"{what} did not come true")

    return wait


@pytest.fixture
def pieces():
    """`pieces(data, sizes)`: the data cut into pieces of these sizes, in turn."""

    def cut(data: bytes, sizes: list[int]) -> list[bytes]:
        parts, at, turn = [], 0, 0
        while at < len(data):
            size = max(1, sizes[turn % len(sizes)]) if sizes else len(data)
            parts.append(data[at : at + size])
            at, turn = at + size, turn + 1
        return parts

    return cut


class Killed(Exception):
    """The agent is gone."""


class TwinExchange:
    """An Exchange whose far end is a twin: its answers, and what it says meanwhile, go through the decoder.

    What the decoder gave is in `given`; `marks` are those of the readings, as the store would keep them: `stored` makes
    them last. After `dies_after` marked readings everything
    ends with Killed.
    """

    def __init__(self, twin, decoder) -> None:
        self.twin = twin
        self.sent: list[bytes] = []
        self.given: list = []
        self.marks: dict = {}
        self.known: dict = {}
        self.progressed: list[tuple] = []
        self.dies_after: int | None = None  # readings with a mark
        self._decoder = decoder
        self._heard: list = []

    def _take(self, data: bytes) -> list:
        items = self._decoder.feed(data)
        for item in items:
            mark = getattr(item, "bookmark", None)
            if mark is not None and self.dies_after is not None:
                if not self.dies_after:
                    raise Killed
                self.dies_after -= 1
            self.given.append(item)
            if mark is not None:
                self.marks[mark[0]] = mark[1]
        return items

    async def send(self, data: bytes) -> None:
        self.sent.append(data)
        answer = self.twin.hear(data)
        self._heard = self._take(answer) if answer else []

    def feed(self, data) -> None:
        self._heard += self._take(data)

    async def stored(self, timeout: float = 30.0) -> None:
        return

    def update_status(self, **known) -> None:
        self.known |= known

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        self.progressed.append((what, done, total))

    async def wait(self, match, timeout: float):
        for _ in range(int(timeout / self.twin.interval) + 1):
            while self._heard:
                found = match(self._heard.pop(0))
                if found is not None:
                    return found
            said = self.twin.tick()
            self._heard = self._take(said) if said else []
        raise TimeoutError


@pytest.fixture
def twin_exchange():
    return TwinExchange


@pytest.fixture
def killed():
    """What `twin_exchange` raises when the agent is killed."""
    return Killed
