"""Topic subscriptions of people, by broker: kept over restarts, bounded in number."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from gatepost.agent.core.errors import Conflict
from gatepost.agent.store.key_value import KeyValueStore

KEY = "followed"  # of the store's small state
MAX_SUBSCRIPTIONS = 100


class StateStore(Protocol):
    """A store with small state by key."""

    @property
    def key_value(self) -> KeyValueStore: ...


class TopicSubscriptions:
    """Topic subscriptions. `load` once; then `of` answers at any time."""

    def __init__(self) -> None:
        self._topics: dict[str, dict[str, int]] = {}
        self._turn = asyncio.Lock()

    async def load(self, store: StateStore) -> None:
        """Raises StoreError."""
        saved = await store.key_value.get(KEY)
        self._topics = saved if isinstance(saved, dict) else {}

    def of(self, broker: str) -> Mapping[str, int]:
        """Topic filter -> QoS."""
        return self._topics.get(broker, {})

    def all(self) -> list[tuple[str, str, int]]:
        return [(broker, topic, qos) for broker, topics in self._topics.items() for topic, qos in topics.items()]

    async def put(self, store: StateStore, broker: str, topic: str, qos: int) -> bool:
        """Durable when it returns; whether it is a new one. Raises Conflict when there are too many, StoreError."""
        async with self._turn:
            new = topic not in self.of(broker)
            if new and len(self.all()) >= MAX_SUBSCRIPTIONS:
                raise Conflict(
                    f"there are {MAX_SUBSCRIPTIONS} subscriptions already",
                    "unsubscribe from one of them",
                    "too-many-subscriptions",
                )
            await self._keep(store, {**self._topics, broker: {**self.of(broker), topic: qos}})
            return new

    async def remove(self, store: StateStore, broker: str, topic: str) -> None:
        """Raises StoreError."""
        async with self._turn:
            rest = {name: qos for name, qos in self.of(broker).items() if name != topic}
            await self._keep(store, {name: topics for name, topics in {**self._topics, broker: rest}.items() if topics})

    async def _keep(self, store: StateStore, topics: dict[str, dict[str, int]]) -> None:
        await store.key_value.put(KEY, topics or None)
        self._topics = topics
