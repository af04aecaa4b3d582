"""Manager of all brokers: each one a link with a task of its own, none able to slow another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gatepost.agent.process.supervisor import Supervisor
from gatepost.agent.settings.model import BrokerSettings
from gatepost.agent.uplink.broker_link import BrokerLink
from gatepost.agent.uplink.context import UplinkContext
from gatepost.agent.uplink.routing import BrokerRoutes

if TYPE_CHECKING:
    from gatepost.agent.uplink.carried.backlog_export import BacklogExport
    from gatepost.agent.uplink.carried.backlog_import import BacklogImport

log = logging.getLogger(__name__)

STOP_TIMEOUT = 3.0


class BrokerManager:
    """Manager of the links. `apply` brings them in line with the settings; only brokers that changed are touched."""

    def __init__(self, context: UplinkContext, supervisor: Supervisor) -> None:
        self._context = context
        self._supervisor = supervisor
        self._links: dict[str, BrokerLink] = {}
        self._import: BacklogImport | None = None

    async def apply(
        self,
        brokers: Mapping[str, BrokerSettings],
        device_brokers: Mapping[str, Sequence[str] | None],
        rooms: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Names of the brokers whose connection was started, stopped or made anew."""
        changed = [name for name in self._links if name not in brokers]
        await asyncio.gather(*(self._stop(name, leaving=True) for name in changed))
        self._context.store.backlog.set_brokers(list(brokers))
        await self._context.read_tokens()
        for name, settings in brokers.items():
            routes = BrokerRoutes(name, settings.routes, device_brokers, rooms)
            running = self._links.get(name)
            if running is not None and running.update(settings, routes):
                running.devices_changed()
                continue
            link = BrokerLink(name, settings, routes, self._context)
            if running is not None:
                await self._stop(name, leaving=running.place != link.place)
                link.take_over(running)
            self._links[name] = link
            self._supervisor.start(f"uplink.{name}", link.run)
            changed.append(name)
        return changed

    def get(self, name: str) -> BrokerLink | None:
        return self._links.get(name)

    def views(self) -> list[BrokerLink]:
        return list(self._links.values())

    def backlog_export(self, name: str) -> BacklogExport | None:
        """What gives out the backlog of this broker for a stick; None = there is no such broker."""
        from gatepost.agent.uplink.carried.backlog_export import BacklogExport

        link = self._links.get(name)
        return None if link is None else BacklogExport(name, link.settings, link.routes, self._context, link.requeue)

    def backlog_import(self) -> BacklogImport:
        """What sends the readings that came on a stick."""
        if self._import is None:
            from gatepost.agent.uplink.carried.backlog_import import BacklogImport

            self._import = BacklogImport(self._context.store, self._context.clock)
        return self._import

    def device_status(self, device: str, status: Mapping[str, Any]) -> None:
        """Publish it to every broker to which the device reports."""
        for link in self._links.values():
            link.device_status(device, status)

    def condition_changed(self) -> None:
        """Tell every broker how the log is."""
        for link in self._links.values():
            link.condition_changed()

    async def close(self) -> None:
        await asyncio.gather(*(self._stop(name) for name in list(self._links)))

    async def _stop(self, name: str, leaving: bool = False) -> None:
        link = self._links.pop(name)
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await link.stop(leaving)
        except TimeoutError:
            log.warning("%s: the connection did not end in time", name)
        await self._supervisor.cancel(f"uplink.{name}")
