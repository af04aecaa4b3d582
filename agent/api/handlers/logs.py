"""Log routes: the newest lines of the agent's own log, and live ones."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import orjson

from gatepost.agent.api.http.responses import StreamingResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.schemas.requests import LogQuery
from gatepost.agent.process.log_ring import LogChoice, LogLine, LogRing

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.service_responses import LogLines, LogLineView

WAITING = 500  # live lines that wait for a slow client
LINE = orjson.OPT_APPEND_NEWLINE


async def logs(request: ApiRequest) -> LogLines | StreamingResponse:
    query: LogQuery = request.query
    if query.follow:
        return StreamingResponse(_live(request), request.closing, still_valid=request.validity)
    lines = request.app.log_ring.newest(query.limit, _choice(query))
    return {"logs": cast("list[LogLineView]", [line.as_dict() for line in lines])}


def _choice(query: LogQuery) -> LogChoice:
    return LogChoice(query.level, query.device, query.grep)


async def _live(request: ApiRequest) -> AsyncGenerator[bytes, None]:
    """The newest lines, then live ones; where the client was too slow, a line `{"lost": count}`."""
    query: LogQuery = request.query
    ring, choice = request.app.log_ring, _choice(query)
    with _following(ring, choice) as follower:
        stored = ring.newest(query.limit, choice)
        told = stored[-1].number if stored else 0
        yield b"".join(orjson.dumps(line.as_dict(), option=LINE) for line in stored)
        while True:
            await follower.more.wait()
            parts = [line.as_dict() for line in follower.take() if line.number > told]
            if follower.lost:
                parts.insert(0, {"lost": follower.lost})
                follower.lost = 0
            if parts:
                yield b"".join(orjson.dumps(part, option=LINE) for part in parts)


class _Follower:
    """Lines that wait for one client; the oldest go when they are too many."""

    def __init__(self, choice: LogChoice) -> None:
        self.more = asyncio.Event()
        self.lost = 0
        self._choice = choice
        self._loop = asyncio.get_running_loop()
        self._lines: deque[LogLine] = deque()

    def hear(self, line: LogLine) -> None:
        """In whatever thread the line was written."""
        if self._choice.has(line):
            self._loop.call_soon_threadsafe(self._keep, line)

    def _keep(self, line: LogLine) -> None:
        if len(self._lines) >= WAITING:
            self._lines.popleft()
            self.lost += 1
        self._lines.append(line)
        self.more.set()

    def take(self) -> list[LogLine]:
        self.more.clear()
        lines = list(self._lines)
        self._lines.clear()
        return lines


@contextmanager
def _following(ring: LogRing, choice: LogChoice) -> Iterator[_Follower]:
    follower = _Follower(choice)
    ring.listeners.append(follower.hear)
    try:
        yield follower
    finally:
        ring.listeners.remove(follower.hear)
