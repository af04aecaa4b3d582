"""All brokers: each one an uplink with a task of its own, none able to slow another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from gatepost.agent.process.supervisor import Supervisor
from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.uplink.broker_link import BrokerLink, UplinkContext
from gatepost.agent.uplink.routing import BrokerRoutes

log = logging.getLogger(__name__)

STOP_TIMEOUT = 3.0


class BrokerManager:
    """`apply` brings what runs in line with the settings; only brokers that changed are touched."""

    def __init__(self, parts: UplinkContext, supervisor: Supervisor) -> None:
        self._parts = parts
        self._supervisor = supervisor
        self._uplinks: dict[str, BrokerLink] = {}

    async def apply(
        self, brokers: Mapping[str, BrokerSettings], device_brokers: Mapping[str, Sequence[str] | None]
    ) -> list[str]:
        """Names of the brokers whose connection was started, stopped or made anew."""
        changed = [name for name in self._uplinks if name not in brokers]
        await asyncio.gather(*(self._stop(name) for name in changed))
        self._parts.store.backlog.set_brokers(list(brokers))
        for name, settings in brokers.items():
            routes = BrokerRoutes(name, settings.routes, device_brokers)
            running = self._uplinks.get(name)
            if running is not None:
                if running.update(settings, routes):
                    running.devices_changed()
                    continue
                await self._stop(name)
            uplink = self._uplinks[name] = BrokerLink(name, settings, routes, self._parts)
            if running is not None:
                uplink.tally = running.tally
            self._supervisor.start(f"uplink.{name}", uplink.run)
            changed.append(name)
        return changed

    def get(self, name: str) -> BrokerLink | None:
        return self._uplinks.get(name)

    def views(self) -> list[BrokerLink]:
        return list(self._uplinks.values())

    def device_status(self, device: str, status: Mapping[str, Any]) -> None:
        """Tell every broker to which the device reports."""
        for uplink in self._uplinks.values():
            uplink.device_status(device, status)

    async def close(self) -> None:
        await asyncio.gather(*(self._stop(name) for name in list(self._uplinks)))

    async def _stop(self, name: str) -> None:
        uplink = self._uplinks.pop(name)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await uplink.stop()
        except TimeoutError:
            log.warning("%s: the connection did not end in time", name)
        await self._supervisor.cancel(f"uplink.{name}")
