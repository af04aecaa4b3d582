"""Interface of a source: messages in batches, acknowledged once they are stored."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class SourceError(Exception):
    """The source cannot be used now, for a reason in words; it is opened again later."""


class Delivered(NamedTuple):
    """A message: its MQTT topic, its octets, and what `acknowledge` of its source needs."""

    topic: str
    payload: bytes
    ticket: object


class Source(Protocol):
    """A source, used by one task. Each method raises SourceError when the broker is away."""

    async def open(self) -> None:
        """Connect, and declare what keeps messages while no worker is there."""
        ...

    async def take(self, limit: int, linger: float) -> list[Delivered]:
        """At most so many messages: waits for the first one, then `linger` seconds for more. [] now and then."""
        ...

    async def acknowledge(self, batch: list[Delivered]) -> None:
        """They are stored."""
        ...

    async def close(self) -> None:
        """Bounded; what is not acknowledged comes again."""
        ...
