"""Link memory in the store: small durable state of each device's link, by the device's name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from gatepost.agent.devices.interfaces import ReadingStore

PREFIX = "link:"


class StoredLinkMemory:
    """Memory of one device's link. `configured`: names of the devices that there are; what is kept of others counts
    for nothing."""

    def __init__(self, device: str, store: ReadingStore, configured: Callable[[], Collection[str]]) -> None:
        self._device = device
        self._store = store
        self._configured = configured

    async def load(self) -> tuple[Any, list[Any]]:
        kept = await self._store.key_value.with_prefix(PREFIX)
        others = [kept[name] for name in self._configured() if name != self._device and name in kept]
        return kept.get(self._device), others

    async def keep(self, state: Any) -> None:
        await self._store.key_value.put(PREFIX + self._device, state)
