"""Message log: what came in and went out on topics that people follow, and the topics seen; in memory, bounded."""

from __future__ import annotations

import base64
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.events import EventBus

MAX_MESSAGES = 1000
MAX_OCTETS = 1_000_000  # of payloads and topics in all
MAX_AGE = 3600 * 1_000_000  # microseconds
KEPT_OCTETS = 4096  # of one payload
MAX_TOPICS = 1000
MAX_TOPIC_OCTETS = 500_000
MESSAGE = "message"

Direction = Literal["in", "out"]


class LoggedMessage(msgspec.Struct, frozen=True, gc=False):
    """Message received or sent: `at` in microseconds since 1970; `payload` may be cut, `size` is that of the whole."""

    number: int
    at: int
    broker: str
    topic: str
    payload: bytes
    size: int
    qos: int
    retain: bool
    direction: Direction

    def as_dict(self) -> dict[str, Any]:
        payload, encoding = _readable(self.payload, self.size > len(self.payload))
        return {
            "cursor": self.number,
            "at": rfc3339(self.at),
            "broker": self.broker,
            "topic": self.topic,
            "direction": self.direction,
            "qos": self.qos,
            "retain": self.retain,
            "size": self.size,
            "payload": payload,
            "encoding": encoding,
            "truncated": self.size > len(self.payload),
        }


class SeenTopic(msgspec.Struct):
    """Topic of one broker: `received` of its `count` messages came in, the others were published."""

    count: int
    received: int
    last: int
    size: int
    retain: bool


class MessageLog:
    """Log of messages: the oldest goes when they are too many, large or old; of topics the one longest quiet."""

    def __init__(self, clock: Clock, events: EventBus) -> None:
        self._clock = clock
        self._events = events
        self._messages: deque[LoggedMessage] = deque()
        self.received = 0  # messages, in this run
        self._octets = 0
        self._number = 0
        self._topics: OrderedDict[tuple[str, str], SeenTopic] = OrderedDict()
        self._topic_octets = 0

    def take(
        self, broker: str, topic: str, payload: bytes, qos: int, retain: bool, direction: Direction
    ) -> LoggedMessage:
        """Kept, counted, and told to those who watch."""
        self._number += 1
        now = self._clock.now().wall
        kept = bytes(payload[:KEPT_OCTETS])
        message = LoggedMessage(self._number, now, broker, topic, kept, len(payload), qos, retain, direction)
        self._messages.append(message)
        self._octets += len(kept) + len(topic)
        self._trim(now)
        came_in = int(direction == "in")
        self.received += came_in
        seen = self._topics.pop((broker, topic), None)
        if seen is None:
            seen = SeenTopic(0, 0, 0, 0, False)
            self._topic_octets += len(topic)
        self._topics[broker, topic] = SeenTopic(seen.count + 1, seen.received + came_in, now, len(payload), retain)
        while len(self._topics) > MAX_TOPICS or self._topic_octets > MAX_TOPIC_OCTETS:
            (_, forgotten), _ = self._topics.popitem(last=False)
            self._topic_octets -= len(forgotten)
        if self._events.watched:
            self._events.emit(MESSAGE, message.as_dict())
        return message

    def newest(self, wanted: Callable[[LoggedMessage], bool], limit: int, before: int | None) -> list[LoggedMessage]:
        """Those of them, newest first, from before this number on."""
        self._trim(self._clock.now().wall)
        page: list[LoggedMessage] = []
        for message in reversed(self._messages):
            if len(page) == limit:
                break
            if (before is None or message.number < before) and wanted(message):
                page.append(message)
        return page

    def topics(self) -> Iterator[dict[str, Any]]:
        """The last received first."""
        for (broker, topic), seen in reversed(self._topics.items()):
            yield {
                "broker": broker,
                "topic": topic,
                "count": seen.count,
                "received": seen.received,
                "last": rfc3339(seen.last),
                "size": seen.size,
                "retain": seen.retain,
            }

    def _trim(self, now: int) -> None:
        messages = self._messages
        while messages and (
            len(messages) > MAX_MESSAGES or self._octets > MAX_OCTETS or now - messages[0].at > MAX_AGE
        ):
            oldest = messages.popleft()
            self._octets -= len(oldest.payload) + len(oldest.topic)


def _readable(payload: bytes, cut: bool) -> tuple[str, str]:
    """Payload and its encoding, text or base64; a character that was cut in two at the end is left out."""
    try:
        return payload.decode(), "text"
    except UnicodeDecodeError as error:
        if cut and error.end == len(payload) and error.start >= len(payload) - 3:
            return payload[: error.start].decode(), "text"
    return base64.b64encode(payload).decode(), "base64"
