"""Subscriber of one connection: SUBSCRIBE and UNSUBSCRIBE with their acknowledgements."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gmqtt.subscription import Subscription

from gatepost.agent.core.errors import NotConnected, UplinkError
from gatepost.agent.uplink.mqtt.codec import check_filter


class MqttSubscriber:
    """Subscriber, one request at a time; `where` names the broker in errors. `mqtt`: gmqtt's connection while open."""

    def __init__(self, where: str) -> None:
        self.mqtt: Any = None
        self._where = where
        self._turn = asyncio.Lock()
        self._waiters: dict[int, asyncio.Future[list[int]]] = {}

    async def subscribe(self, topics: list[tuple[str, int]], timeout: float) -> list[int]:
        """(filter, QoS) pairs -> reason code of each (>= 0x80: refused). Raises NotConnected, UplinkError."""
        for topic, _ in topics:
            _must(check_filter(topic))
        subscriptions = [Subscription(topic, qos=qos) for topic, qos in topics]
        codes = await self._ask(lambda mqtt: mqtt.subscribe(subscriptions), timeout)
        if len(codes) != len(topics):
            raise UplinkError(f"{self._where} answered a subscription to {len(topics)} topics with {len(codes)} codes")
        return codes

    async def unsubscribe(self, topics: list[str], timeout: float) -> list[int]:
        """Reason code of each; 0 for every one with 3.1.1, which knows none. Raises NotConnected, UplinkError."""
        for topic in topics:
            _must(check_filter(topic))
        codes = await self._ask(lambda mqtt: mqtt.unsubscribe([topic.encode() for topic in topics]), timeout)
        return codes or [0] * len(topics)

    async def _ask(self, send: Callable[[Any], int], timeout: float) -> list[int]:
        try:
            async with asyncio.timeout(timeout), self._turn:
                if self.mqtt is None:
                    raise NotConnected(f"not connected to {self._where}")
                mid = send(self.mqtt)
                answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
                self._waiters[mid] = answer
                try:
                    return await answer
                finally:
                    self._waiters.pop(mid, None)
        except TimeoutError:
            raise UplinkError(f"{self._where} did not answer a subscription within {timeout:g} s") from None
        except OverflowError:
            raise UplinkError(f"{self._where} has not answered too many subscriptions") from None

    def answered(self, mid: int, codes: tuple[int, ...], properties: Any = None) -> None:
        """gmqtt's on_subscribe and on_unsubscribe."""
        waiter = self._waiters.get(mid)
        if waiter is not None and not waiter.done():
            waiter.set_result(list(codes))

    def stop(self, error: NotConnected) -> None:
        """The connection has ended: whoever waits for an answer gets `error`."""
        self.mqtt = None
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(error)


def _must(problem: str | None) -> None:
    if problem is not None:
        raise UplinkError(problem, key="broker-topic-wrong")
