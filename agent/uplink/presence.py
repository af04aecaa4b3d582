"""Presence at one broker: retained statuses of the gateway and its devices, the last will, the goodbye."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.errors import NotTaken, UplinkError
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.formats.devices import CONTENT_TYPE
from gatepost.agent.uplink.mqtt.connect_options import LastWill
from gatepost.agent.uplink.topics import BrokerTopics

log = logging.getLogger(__name__)

GOODBYE_TIMEOUT = 1.0  # seconds for the last statuses of devices and gateway


class MessageSender(Protocol):
    """Sender of a message: BrokerLink.send."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...


class BrokerPresence:
    """Presence of the gateway at one broker. `changed` is set while a status waits to be published."""

    def __init__(self, name: str, context: UplinkContext, topics: BrokerTopics, send: MessageSender) -> None:
        self.changed = asyncio.Event()
        self._name = name
        self._context = context
        self._topics = topics
        self._send = send
        self._statuses: dict[str, Mapping[str, Any]] = {}  # device id -> the newest status, not published yet

    def last_will(self) -> LastWill:
        payload = self._gateway_status("offline", "the connection was lost")
        return LastWill(self._topics("gateway_status"), payload, content_type=CONTENT_TYPE)

    def set_device_status(self, device: str, status: Mapping[str, Any]) -> None:
        self._statuses[device] = status
        self.changed.set()

    def forget(self) -> None:
        """A new connection is given all statuses anew."""
        self._statuses.clear()

    async def publish_online(self) -> None:
        """Raises UplinkError."""
        await self._send(self._topics("gateway_status"), self._gateway_status("online"), retain=True)

    async def publish_statuses(self) -> None:
        """The newest status of each device that has a new one. Raises UplinkError."""
        while self._statuses:
            device, status = next(iter(self._statuses.items()))
            try:
                await self._send(self._topics("device_status", device), orjson.dumps(status), retain=True)
            except NotTaken as error:
                log.warning("%s: the status of %s: %s", self._name, device, error)
            if self._statuses.get(device) is status:
                del self._statuses[device]

    async def say_goodbye(self, reason: str) -> None:
        """The statuses that are left and the gateway's own, bounded in time; a failure is only logged."""
        try:
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await self.publish_statuses()
                await self._send(self._topics("gateway_status"), self._gateway_status("offline", reason), retain=True)
        except (UplinkError, TimeoutError) as error:
            log.debug("%s: no goodbye: %s", self._name, error)

    def _gateway_status(self, status: str, reason: str = "") -> bytes:
        body: dict[str, Any] = {
            "gateway_id": self._context.gateway,
            "status": status,
            "timestamp": rfc3339(self._context.clock.now().wall),
        }
        return orjson.dumps({**body, "reason": reason} if reason else body)
