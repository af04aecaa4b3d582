"""Presence at one broker: what its format says of the gateway and the devices, the last will, the goodbye."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from gatepost.agent.core.errors import NotTaken, UplinkError
from gatepost.agent.uplink.broker_format import OFFLINE, BrokerFormat
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.formats.interface import OutgoingMessage
from gatepost.agent.uplink.mqtt.connect_options import LastWill

log = logging.getLogger(__name__)

GOODBYE_TIMEOUT = 1.0  # seconds for the last statuses of devices and gateway
LEAVING_TIMEOUT = 1.5  # seconds more where devices are told offline, and retained messages are emptied
Publish = Callable[[Iterable[OutgoingMessage]], Awaitable[None]]  # UplinkError


class BrokerPresence:
    """Presence of the gateway at one broker. `changed` is set while a status waits to be published."""

    def __init__(self, name: str, context: UplinkContext, payload_format: BrokerFormat, publish: Publish) -> None:
        self.changed = asyncio.Event()
        self._name = name
        self._context = context
        self._format = payload_format
        self._publish = publish
        self._statuses: dict[str, Mapping[str, Any]] = {}  # device id -> the newest status, not published yet
        self._told: dict[str, Mapping[str, Any]] = {}  # device id -> the status that the broker acknowledged
        self._condition = ""  # of the log, as the broker was told it
        self._gone: list[str] = []  # devices that the broker is to be told of no more
        self._left: dict[str, str] = {}  # device id -> topic on which its status stays that none will follow

    def last_will(self) -> LastWill | None:
        will = self._format.current.will(self._now())
        if will is None:
            return None
        return LastWill(will.topic, will.payload, will.qos, will.retain, will.content_type)

    def set_device_status(self, device: str, status: Mapping[str, Any]) -> None:
        if self._told.get(device) == status:
            self._statuses.pop(device, None)
            return
        self._statuses[device] = status
        self.changed.set()

    def devices_changed(self, gone: list[str]) -> None:
        self._gone = gone
        statuses = self._format.statuses()
        for device, status in statuses.items():  # its first one may have come before it was known
            untold = device not in self._format.told and status["status"] != OFFLINE
            if untold or device in self._format.news:
                self.set_device_status(device, status)
        self._left = self._format.left(statuses)
        for device in self._left.keys() - statuses.keys():
            self._statuses.pop(device, None)
        self.changed.set()

    def begin(self, kept: bool, gone: list[str]) -> None:
        """A new connection is given all statuses anew, or the changed ones where the broker shows that it kept them."""
        self._statuses.clear()
        if not kept:
            self._told.clear()
        self._condition = ""
        self.devices_changed(gone)
        for device, status in self._format.statuses().items():
            self.set_device_status(device, status)

    async def publish_online(self) -> None:
        """What the format says on connecting; readings may follow it. Raises UplinkError."""
        self._format.news.clear()
        messages = [*self._format.current.connected(self._now())]
        self._format.greeted = True
        await self._publish(messages)

    async def publish_statuses(self) -> None:
        """Devices that are gone, and the newest status of each device that has a new one. Raises UplinkError."""
        while self._gone:
            device = self._gone[0]
            await self._publish(self._format.current.removed(device, self._now()))
            self._format.forget(device)
            self._gone = [each for each in self._gone if each != device]
        if self._left:
            left, statuses = await self._publish_farewells(), self._format.statuses()
            for device in statuses.keys() & left:  # on another topic, or it came back meanwhile
                self.set_device_status(device, statuses[device])
        await self._publish_condition()
        await self._publish_news()
        while self._statuses:
            device, status = next(iter(self._statuses.items()))
            self._format.update_device(device)
            await self._publish_news()
            try:
                await self._publish(self._format.current.device_status(device, status, self._now()))
            except NotTaken as error:
                log.warning("%s: the status of %s: %s", self._name, device, error)
            else:
                self._format.status_told(device, status)
                if self._format.contract:
                    self._told[device] = status
            if self._statuses.get(device) is status:
                del self._statuses[device]

    async def _publish_farewells(self) -> set[str]:
        """`offline` where another status would stay for ever; the devices."""
        waiting, told = self._left, self._format.told
        left = {device for device, topic in waiting.items() if told.get(device) == topic}
        try:
            await self._publish([each for device in left for each in self._format.farewell(device, self._now())])
        except NotTaken as error:  # as where the broker's rights know only the topics of another layout
            log.warning("%s: the status of %s: %s", self._name, ", ".join(sorted(left)), error)
        for device in left:
            self._format.status_told(device, {"status": OFFLINE})
            self._told.pop(device, None)
        if self._left is waiting:
            self._left = {}
        return left

    async def _publish_news(self) -> None:
        news = self._format.news
        while news:
            device = next(iter(news))
            messages = [*self._format.current.profile_changed(device, self._now())]
            del news[device]
            await self._publish(messages)

    async def _publish_condition(self) -> None:
        """A log that does not store, or lost something, is told with the gateway's own status."""
        condition = self._context.store.condition
        if self._format.contract and condition != self._condition:
            status = "degraded" if condition else "online"
            await self._publish([self._format.current.gateway_status(status, self._now(), condition)])
            self._condition = condition

    async def say_goodbye(self, reason: str, leaving: bool) -> None:
        """The statuses that are left and the format's last words, bounded in time; a failure is only logged. `leaving`:
        for ever."""
        current = self._format.current
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await self.publish_statuses()
                await self._publish(current.disconnecting(self._now(), reason))
            if leaving:
                async with asyncio.timeout(LEAVING_TIMEOUT):
                    self._left = {**self._format.told}
                    await self._publish_farewells()
                    await self._publish(current.leaving(self._now()))
        except (UplinkError, TimeoutError) as error:
            log.debug("%s: no goodbye: %s", self._name, error)

    def _now(self) -> int:
        return self._context.clock.now().wall
