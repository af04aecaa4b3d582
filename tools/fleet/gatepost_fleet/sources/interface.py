"""Interface of a source: messages in batches, acknowledged once they are stored."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class SourceError(Exception):
    """The source cannot be used now, for a reason in words; it is opened again later."""


class StreamTaken(SourceError):
    """Another worker reads it; this one may try again soon."""


class StreamGone(SourceError):
    """There is no such stream, so that the offset that was kept is of another one: it begins at 0 again."""


class Delivered(NamedTuple):
    """A message: its MQTT topic, its octets, what `acknowledge` of its source needs; `offset`: in a stream, that of the
    next one."""

    topic: str
    payload: bytes
    ticket: object
    offset: int = 0


class Source(Protocol):
    """A source, used by one task. Each method raises SourceError when the broker is away. `stream`: its name, where the
    sink has to keep how far it was read; else empty."""

    stream: str

    async def open(self, offset: int | None = None) -> None:
        """Connect, and declare what keeps messages while no worker is there. `offset`: where a stream goes on."""
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
