"""The agent's device room around drivers under test, with a log in memory that survives a restart of the rest."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.interfaces import DeviceLimits, LinkKinds
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Registry
from tests.devices import fakes
from tests.devices.fakes import MemoryStore

PATIENCE = 30.0  # seconds until a condition must hold, on a machine that has much to do
LIMITS = DeviceLimits(first_retry=0.02, last_retry=0.1)


async def until(true: Callable[[], Any]) -> Any:
    """Wait for a condition, bounded; its value."""
    return await fakes.until(true, PATIENCE)


class Rig:
    """`run` one device called d; `restart` is a new agent on the same log."""

    def __init__(self, links: LinkKinds | None = None, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self._links = links
        self.devices = self._fresh()
        self._running: dict[str, DeviceSettings] = {}

    def _fresh(self) -> DeviceManager:
        return DeviceManager(
            Registry.installed(),
            self.store,
            SystemClock(),
            EventBus(),
            random.Random(3),
            logging.getLogger("test.devices"),
            links=self._links,
            limits=LIMITS,
        )

    async def run(self, driver: str, port: object, **options: Any) -> None:
        self._running = {"d": DeviceSettings(driver=driver, port=str(port), options=options)}
        await self.devices.apply(self._running)

    async def restart(self) -> None:
        await self.devices.close()
        self.devices = self._fresh()
        await self.devices.apply(self._running)

    @property
    def view(self) -> dict[str, Any]:
        view = self.devices.get("d")
        assert view is not None
        return dict(view)

    @property
    def readings(self) -> list[dict[str, Any]]:
        return self.store.readings("d")

    async def __aenter__(self) -> Rig:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.devices.close()
