"""Inbox of one connection: messages in order, few at once, acknowledged only after they were handled."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gatepost.agent.uplink.mqtt.reason_codes import IMPLEMENTATION_ERROR, QUOTA_EXCEEDED, REFUSED

log = logging.getLogger(__name__)


class InboundMessage(msgspec.Struct, gc=False):
    """Inbound message. `properties` (MQTT 5) by the names response_topic, correlation_data (octets),
    message_expiry_interval (seconds), content_type, user_property (list of pairs), ...; empty with 3.1.1."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    properties: dict[str, Any]

    @property
    def octets(self) -> int:
        """What it takes of memory while it waits, about."""
        octets = len(self.topic) + len(self.payload)
        for value in self.properties.values():
            if isinstance(value, str | bytes):
                octets += len(value)
            elif isinstance(value, list):
                texts = [text for entry in value if isinstance(entry, tuple) for text in entry]
                octets += ENTRY * len(value) + sum(map(len, texts))
        return octets


ENTRY = 200  # octets of memory for a property that may stand more than once
WARN_EVERY = 60.0  # seconds
LONGEST_SHOWN = 256  # letters of a topic in a log line
PACKET_IDS = 65_535  # that there are: a broker that keeps to MQTT has no more messages unacknowledged

OnMessage = Callable[[InboundMessage], Awaitable[int]]


class _Entry:
    __slots__ = ("code", "mid", "qos")

    def __init__(self, qos: int, mid: int, code: int | None = None) -> None:
        self.qos = qos
        self.mid = mid
        self.code = code  # known when it was handled


class MessageInbox:
    """Inbox: starts `on_message` in order of arrival, `at_once` at a time; sends its code as PUBACK / PUBREC in order.

    What waits is bounded: of what comes beyond `waiting`, QoS 0 is dropped, QoS 1 and 2 are answered "quota exceeded"
    when their turn comes; with `pause` (a connection on which nothing else is read) they pause the reading instead.
    `seen` are packet ids of QoS 2 messages handled and not yet released; it outlives a connection with its session.
    """

    def __init__(
        self,
        on_message: OnMessage,
        answer: Callable[[int, int, int], None],
        seen: set[int],
        *,
        pause: Callable[[bool], None] | None = None,
        at_once: int = 8,
        waiting: int = 1000,
        octets: int = 4_194_304,
        time_limit: float | None = 30.0,
    ) -> None:
        self._on_message = on_message
        self._answer = answer  # (qos, packet id, reason code)
        self._pause = pause
        self._seen = seen
        self._at_once = at_once
        self._most = waiting
        self._most_octets = octets
        self._time_limit = time_limit
        self._unacknowledged: deque[_Entry] = deque()  # not yet acknowledged, in order of arrival
        self._waiting: deque[tuple[_Entry, InboundMessage]] = deque()
        self._octets = 0
        self._open: set[int] = set()  # packet ids of QoS 2 being handled
        self._tasks: set[asyncio.Task[None]] = set()
        self._paused = False
        self._warned_at = float("-inf")
        self.dropped = 0
        self.failed = 0

    def take(self, message: InboundMessage, mid: int) -> None:
        """`mid` is 0 for QoS 0."""
        most = self._most if message.qos else self._most // 2  # the rest is for those that somebody counts on
        full = len(self._waiting) >= most or self._octets >= self._most_octets
        if full and (message.qos == 0 or self._pause is None):
            self._drop(message, mid)
            return
        if message.qos == 2:
            if mid in self._open:
                return
            if mid in self._seen:
                self._answer(2, mid, 0)
                return
            self._open.add(mid)
        entry = _Entry(message.qos, mid)
        self._unacknowledged.append(entry)
        self._waiting.append((entry, message))
        self._octets += message.octets
        if full and self._pause is not None and not self._paused:
            self._paused = True
            self._pause(True)
        self._start()

    def _drop(self, message: InboundMessage, mid: int) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._warned_at >= WARN_EVERY:
            self._warned_at = now
            told = message.topic[:LONGEST_SHOWN]
            log.warning("messages come too fast: one on %s was dropped, others may follow", told)
        self.dropped += 1
        if message.qos and mid not in self._open and len(self._unacknowledged) < PACKET_IDS:
            self._unacknowledged.append(_Entry(message.qos, mid, QUOTA_EXCEEDED))
            self._acknowledge()

    def release(self, mid: int) -> bool:
        """PUBREL: the packet id may come again with a new message. False when it was not known."""
        known = mid in self._seen
        self._seen.discard(mid)
        return known

    @property
    def busy(self) -> int:
        """Messages taken and not yet handled."""
        return len(self._waiting) + len(self._tasks)

    async def drain(self, timeout: float) -> None:
        """Until all is handled, at most `timeout` seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while self._tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    async def stop(self) -> None:
        """Give up what is not finished."""
        self._waiting.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < self._at_once:
            entry, message = self._waiting.popleft()
            self._octets -= message.octets
            task = asyncio.get_running_loop().create_task(self._work(entry, message))
            self._tasks.add(task)
            task.add_done_callback(self._done)
        half = len(self._waiting) <= self._most // 2 and self._octets <= self._most_octets // 2
        if self._pause is not None and self._paused and half:
            self._paused = False
            self._pause(False)

    async def _work(self, entry: _Entry, message: InboundMessage) -> None:
        code = IMPLEMENTATION_ERROR
        try:
            async with asyncio.timeout(self._time_limit):
                code = await self._on_message(message)
        except Exception as problem:
            self.failed += 1
            told = message.topic[:LONGEST_SHOWN]
            log.warning("a message on %s could not be handled: %s", told, type(problem).__name__)
        finally:
            if entry.qos == 2:
                self._open.discard(entry.mid)
        entry.code = code
        if entry.qos == 2 and code < REFUSED:
            self._seen.add(entry.mid)
        self._acknowledge()

    def _acknowledge(self) -> None:
        """Those whose turn has come."""
        while self._unacknowledged and (code := self._unacknowledged[0].code) is not None:
            first = self._unacknowledged.popleft()
            if first.qos:
                self._answer(first.qos, first.mid, code)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start()
