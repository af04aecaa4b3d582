"""Interfaces that the devices need: a factory of links, and the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from gatepost.agent.core.clock import Stamp
from gatepost.agent.settings.model import DeviceSettings
from gatepost.agent.store.key_value import KeyValueStore
from gatepost.drivers.driver import Driver
from gatepost.drivers.link import Link, LinkEvents

Chunk = Any  # what the link hears and the decoder takes: bytes, GattValue or ReceivedAdvert; len() is its octets


Connect = Callable[[DeviceSettings, Driver, LinkEvents], Link]


class DeliveredCommand(msgspec.Struct, frozen=True):
    """A command for a device that carries out commands itself, as it is sent to it; never a token or a signature.
    `within` seconds of waiting, it is called accepted."""

    id: str
    command: str
    parameters: dict[str, Any]
    issued_at: str
    expires_at: str
    expires_in: float  # seconds
    within: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "command": self.command,
            "parameters": self.parameters,
            "issued_at": self.issued_at,
            "expires_at": self.expires_at,
        }


class LinkKinds(Protocol):
    """The kinds of links that this gateway has."""

    def get(self, transport: str) -> Connect | None: ...

    def adjust(self, devices: Mapping[str, DeviceSettings]) -> None:
        """These are the devices from now on."""
        ...

    async def close(self) -> None:
        """What the links share, for example a scanner."""
        ...


class ReadingStore(Protocol):
    """The part of the log that devices speak to."""

    def series(self, device: str, patient: str | None, common: dict[str, Any]) -> int:
        """The number under which what repeats from reading to reading is kept."""
        ...

    def append(
        self, series: int, stamp: Stamp, body: bytes, urgent: bool = False, mark: tuple[str, Any] | None = None
    ) -> int:
        """The sequence number that it will have; 0 = the queue is full and nothing was kept. `mark`: small state that
        is written in the transaction of this reading."""
        ...

    def append_all(self, stamp: Stamp, rows: Sequence[tuple[int, bytes]]) -> int:
        """The same of plain ones (series, body) of one moment; how many were kept, the first ones."""
        ...

    def lost(self, device: str, count: int, reason: str) -> None: ...

    async def wait_until_writable(self) -> None: ...

    async def stored(self, seq: int, hurry: bool = False) -> None:
        """Until it is on disk; `hurry`: somebody is kept waiting for it."""
        ...

    def reading_id(self, seq: int) -> str: ...

    @property
    def key_value(self) -> KeyValueStore: ...


class DeviceLimits(NamedTuple):
    """Bounds in seconds; tests shorten them."""

    open: float = 15.0  # a port that vanished in mid-open blocked for 5 s
    send: float = 5.0
    farewell: float = 0.5  # for all of it
    close: float = 1.0
    stop: float = 1.8  # a whole device, farewell and close included
    first_retry: float = 0.5
    last_retry: float = 30.0
    settle: float = 30.0  # what was taken from the device must be on disk before it is asked again
    good: float = 30.0  # a link that held so long starts its backoff anew
