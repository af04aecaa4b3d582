"""What a link keeps in the store: its own state, and that of other configured devices alone."""

from __future__ import annotations

from typing import Any, cast

from gatepost.agent.devices.interfaces import ReadingStore
from gatepost.agent.devices.link_memory import StoredLinkMemory
from tests.devices.fakes import MemoryStore


async def test_own_state_and_those_of_configured_devices() -> None:
    store = MemoryStore()
    configured = ["a", "b"]

    def memory(name: str) -> StoredLinkMemory:
        return StoredLinkMemory(name, cast(ReadingStore, store), lambda: configured)

    for name in ("a", "b", "gone"):
        await memory(name).keep({"is": name})
    own: Any
    own, others = await memory("a").load()
    assert own == {"is": "a"}
    assert others == [{"is": "b"}]
    assert await memory("new").load() == (None, [{"is": "a"}, {"is": "b"}])
