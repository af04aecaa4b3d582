"""What the API asks of the running agent. `gatepost.agent.app.App` is one; tests pass a fake of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gatepost.agent.commands.model import Request, Response
from gatepost.agent.core.clock import Clock
from gatepost.agent.core.events import Events
from gatepost.agent.devices.recorder import Tape
from gatepost.agent.settings.model import Settings
from gatepost.agent.store.command_ledger import Entry
from gatepost.agent.store.model import History, Record, Series
from gatepost.drivers.driver import Command, Registry
from gatepost.drivers.recording import Header

if TYPE_CHECKING:
    from gatepost.agent.settings import Loaded, Origin
    from gatepost.agent.settings.editor import ApiDrop
    from gatepost.agent.uplink.broker_discovery import Discovery
    from gatepost.agent.uplink.message_log import MessageBook
    from gatepost.agent.uplink.topic_subscriptions import Following


class View(Protocol):
    """The state of a device or a broker at this moment, ready for JSON."""

    def as_dict(self) -> dict[str, Any]: ...


class Outcomes(Protocol):
    @property
    def outcomes(self) -> Mapping[str, str]: ...


class Broker(View, Protocol):
    @property
    def name(self) -> str: ...

    @property
    def followed(self) -> Outcomes: ...

    def topic(self, key: str, /) -> str: ...

    async def follow(self, topic: str, /) -> None: ...

    async def send(
        self,
        topic: str,
        payload: bytes,
        qos: int = ...,
        retain: bool = ...,
        properties: dict[str, Any] | None = ...,
    ) -> None: ...

    async def connect(self) -> None: ...

    async def disconnect(self) -> None: ...


class Devices(Protocol):
    def get(self, device: str, /) -> View | None: ...

    def views(self) -> Sequence[View]: ...

    def commands(self, device: str, /) -> Mapping[str, Command]: ...

    def tape(self, device: str, /) -> tuple[Header, Tape]: ...


class Brokers(Protocol):
    def get(self, name: str, /) -> Broker | None: ...

    def views(self) -> Sequence[Broker]: ...


class Ledger(Protocol):
    async def history(self, target: str | None = ..., limit: int = ..., before: int | None = ...) -> list[Entry]: ...


class Store(Protocol):
    """Times in microseconds since 1970."""

    @property
    def ledger(self) -> Ledger: ...

    @property
    def state(self) -> str: ...

    @property
    def head(self) -> int: ...

    @property
    def on_stored(self) -> list[Callable[[], None]]: ...

    def recent(self, seq: int, limit: int) -> list[Record] | None: ...

    def reading_id(self, seq: int) -> str: ...

    def series_of(self, number: int) -> Series: ...

    def time_of(self, record: Record) -> tuple[int, str]: ...

    async def history(
        self,
        device: str | None = ...,
        metric: str | None = ...,
        since: int | None = ...,
        until: int | None = ...,
        limit: int = ...,
        before: int | None = ...,
    ) -> History: ...

    async def backlog(self) -> list[dict[str, Any]]: ...

    async def gaps(self, limit: int = ...) -> list[dict[str, Any]]: ...

    async def dead_letters(self, limit: int = ..., broker: str | None = ...) -> list[dict[str, Any]]: ...

    async def stats(self) -> dict[str, Any]: ...

    async def state_get(self, key: str, /) -> Any: ...

    async def states(self, prefix: str, /) -> dict[str, Any]: ...

    async def state_put(self, key: str, value: Any, /) -> None: ...


class Desk(Protocol):
    async def handle(self, request: Request) -> Response: ...


class Audit(Protocol):
    def record(self, what: str, **fields: Any) -> None: ...

    async def tail(
        self, limit: int = ..., before: int | None = ..., what: str | None = ...
    ) -> list[dict[str, Any]]: ...


class App(Protocol):
    """Read-only here: the API changes nothing but through these methods."""

    @property
    def settings(self) -> Settings: ...

    @property
    def origins(self) -> Mapping[tuple[str, ...], Origin]:
        """Where each effective key was written."""
        ...

    @property
    def registry(self) -> Registry: ...

    @property
    def own_drops(self) -> Path:
        """The directory of the drops that the agent writes itself."""
        ...

    @property
    def drop(self) -> ApiDrop:
        """The one of them that the API writes."""
        ...

    @property
    def following(self) -> Following: ...

    @property
    def book(self) -> MessageBook: ...

    @property
    def discovery(self) -> Discovery: ...

    def load_with(self, own_drops: Path) -> Loaded:
        """The settings as they would be with the agent's own drops of this directory; blocks."""
        ...

    @property
    def store(self) -> Store: ...

    @property
    def devices(self) -> Devices: ...

    @property
    def uplinks(self) -> Brokers: ...

    @property
    def desk(self) -> Desk: ...

    @property
    def audit(self) -> Audit: ...

    @property
    def events(self) -> Events: ...

    @property
    def clock(self) -> Clock: ...

    async def reload(self, reason: str) -> dict[str, Any]:
        """{"applied": bool, "changed": [...], "problems": [...]}"""
        ...

    def status(self) -> dict[str, Any]:
        """{"started": RFC 3339, "uptime": seconds, "version": ..., "settings": {"files": [...], "reload": {"applied",
        "at", "reason", "changed", "problems": [text]} or None, "last_good": whether those of an earlier run are used
        since the files have errors, "problems": [text]}}, and what else the app knows."""
        ...
