"""Control messages: responses, statuses and what a format says, each acknowledged by the broker.

They leave in the order in which they were made, also among the readings: all go through one outbox.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence

from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.uplink.mqtt.codec import packet_size
from gatepost.agent.uplink.mqtt.publisher import MqttPublisher
from gatepost.agent.uplink.mqtt.reason_codes import PACKET_TOO_LARGE
from gatepost.agent.uplink.wire_message import WireMessage

SMALL_WINDOW = 50  # messages: a narrow one is filled with each answer; a broker behind a proxy would hold others back
MAX_WAITING = 5000  # messages in the outbox; what comes beyond it is not taken


class Outbox:
    """Messages in order, until the broker's receive maximum lets them go. Tags: sequence numbers of readings, or
    negative ones of control messages."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[WireMessage, int]] = deque()
        self._publisher: MqttPublisher | None = None

    def start(self, publisher: MqttPublisher) -> None:
        self._publisher = publisher

    def put(self, messages: Sequence[WireMessage], tag: int) -> None:
        """Publish them now where nothing waits before them and the broker takes them, else later."""
        publisher, waiting = self._publisher, self.waiting
        if (
            not waiting
            and publisher is not None
            and publisher.is_open
            and len(publisher.flight) + len(messages) <= publisher.receive_maximum
        ):
            publish = publisher.publish
            for each in messages:
                publish(each.topic, each.payload, each.qos, each.retain, each.properties, tag)
            return
        for each in messages:
            if (
                waiting
                or publisher is None
                or not publisher.is_open
                or (each.qos and len(publisher.flight) >= publisher.receive_maximum)
            ):
                waiting.append((each, tag))
            else:
                publisher.publish(each.topic, each.payload, each.qos, each.retain, each.properties, tag)

    @property
    def has_room(self) -> bool:
        """Whether messages wait and many of them can go at once; where the broker takes few, any."""
        publisher = self._publisher
        if publisher is None or not self.waiting:
            return False
        return publisher.receive_maximum <= SMALL_WINDOW or len(publisher.flight) * 2 <= publisher.receive_maximum

    def drain(self) -> bool:
        """Publish what the broker takes now; whether the outbox is empty."""
        publisher, waiting = self._publisher, self.waiting
        if publisher is None or not publisher.is_open:
            return False
        while waiting:
            if waiting[0][0].qos and len(publisher.flight) >= publisher.receive_maximum:
                return False
            message, tag = waiting.popleft()
            publisher.publish(message.topic, message.payload, message.qos, message.retain, message.properties, tag)
        return True

    def withdraw(self, tags: Collection[int]) -> None:
        """Nobody waits for these any more: what of them is not sent yet makes way for others."""
        self.waiting = deque(each for each in self.waiting if each[1] not in tags)

    def stop(self) -> None:
        self._publisher = None
        self.waiting.clear()


class ControlMessages:
    """Control messages of one connection; their tags are negative. `on_put` is called when the outbox has new ones."""

    def __init__(self, name: str, outbox: Outbox, on_put: Callable[[], None]) -> None:
        self._name = name
        self._outbox = outbox
        self._on_put = on_put
        self._publisher: MqttPublisher | None = None
        self._pending: dict[int, asyncio.Future[int]] = {}  # by tag
        self._next_tag = -1

    def start(self, publisher: MqttPublisher) -> None:
        self._publisher = publisher

    async def send(self, messages: Sequence[WireMessage], timeout: float) -> int:
        """Publish in this order; the first reason code that is a refusal, else 0. NotConnected, UplinkError (no
        acknowledgement in time). What the broker would hang up on for its size is not sent: it counts as refused."""
        tags = self.put(messages)
        futures = [self._pending[tag] for tag in tags if tag in self._pending]
        code = PACKET_TOO_LARGE if len(tags) < len(messages) else 0
        try:
            async with asyncio.timeout(timeout):
                for future in futures:
                    code = max(code, await future)
        except TimeoutError:
            self._outbox.withdraw(tags)
            self._on_put()
            raise UplinkError(f"{self._name} did not acknowledge a message within {timeout:g} s") from None
        finally:
            for tag in tags:
                self._pending.pop(tag, None)
        return code

    def put(self, messages: Sequence[WireMessage]) -> list[int]:
        """Into the outbox at once, without waiting: the tags of those that the broker can take. NotConnected."""
        publisher = self._publisher
        if publisher is None or not publisher.is_open or len(self._outbox.waiting) > MAX_WAITING:
            raise NotConnected(f"{self._name} is not connected")
        limit = publisher.maximum_packet_size
        tags = []
        for message in messages:
            if limit is not None and (
                packet_size(message.topic, message.payload, message.properties, message.qos, publisher.version) > limit
            ):
                continue
            tag = self._next_tag
            self._next_tag -= 1
            self._pending[tag] = asyncio.get_running_loop().create_future()
            self._outbox.put((message,), tag)
            tags.append(tag)
        self._on_put()
        return tags

    def acknowledged(self, tag: int, code: int) -> None:
        future = self._pending.pop(tag, None)
        if future is not None and not future.done():
            future.set_result(code)

    def stop(self) -> None:
        """The connection is over: whoever waits gets NotConnected."""
        self._publisher = None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(NotConnected(f"{self._name} is not connected"))
                future.exception()
