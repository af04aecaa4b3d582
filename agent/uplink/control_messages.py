"""Control messages: responses and statuses, each awaited until the broker has acknowledged it."""

from __future__ import annotations

import asyncio

from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.uplink.mqtt.codec import packet_size
from gatepost.agent.uplink.mqtt.publisher import MqttPublisher
from gatepost.agent.uplink.mqtt.reason_codes import PACKET_TOO_LARGE


class ControlMessages:
    """Control messages of one connection; their tags are negative. `waiting`: how many wait for room in the window."""

    def __init__(self, name: str) -> None:
        self.waiting = 0
        self._name = name
        self._publisher: MqttPublisher | None = None
        self._pending: dict[int, asyncio.Future[int]] = {}  # by tag
        self._next_tag = -1
        self._room = asyncio.Event()

    def start(self, publisher: MqttPublisher) -> None:
        self._publisher = publisher

    async def send(self, topic: str, payload: bytes, qos: int, retain: bool, properties: bytes, timeout: float) -> int:
        """Publish; the reason code of the acknowledgement. NotConnected, UplinkError (no acknowledgement in time).

        What the broker would hang up on for its size is not sent: it counts as refused.
        """
        publisher, octets = self._publisher, topic.encode()
        if publisher is None or not publisher.is_open:
            raise NotConnected(f"{self._name} is not connected")
        limit = publisher.maximum_packet_size
        if limit is not None and packet_size(octets, payload, properties, qos, publisher.version) > limit:
            return PACKET_TOO_LARGE
        tag = self._next_tag
        self._next_tag -= 1
        acknowledged: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending[tag] = acknowledged
        try:
            async with asyncio.timeout(timeout):
                while publisher.is_open and publisher.in_flight >= publisher.receive_maximum:
                    self.waiting += 1
                    try:
                        await self._room.wait()
                    finally:
                        self.waiting -= 1
                publisher.publish(octets, payload, qos, retain, properties, tag)
                return await acknowledged
        except TimeoutError:
            raise UplinkError(f"{self._name} did not acknowledge a message within {timeout:g} s") from None
        finally:
            self._pending.pop(tag, None)

    def acknowledged(self, tag: int, code: int) -> None:
        future = self._pending.pop(tag, None)
        if future is not None and not future.done():
            future.set_result(code)

    def let_through(self) -> None:
        """There may be room in the window."""
        if self.waiting:
            self._room.set()
            self._room.clear()

    def stop(self) -> None:
        """The connection is over: whoever waits gets NotConnected."""
        self._publisher = None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(NotConnected(f"{self._name} is not connected"))
                future.exception()
        self._room.set()
