"""Interface that the API needs from the running agent; tests pass a fake of the same shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gatepost.agent.commands.model import CommandRequest, CommandResponse
from gatepost.agent.core.clock import Clock
from gatepost.agent.core.events import EventBus
from gatepost.agent.core.message_sender import MessageSender
from gatepost.agent.core.views import BrokerView, DeviceView
from gatepost.agent.devices.recorder import DeviceRecorder
from gatepost.agent.process.log_ring import LogRing
from gatepost.agent.settings.model import Settings
from gatepost.agent.store.backlog import DeliveryBacklog
from gatepost.agent.store.command_ledger import LedgerEntry
from gatepost.agent.store.curves.reader import HistoryReader
from gatepost.agent.store.damage.revoked_ids import RevokedIds
from gatepost.agent.store.key_value import KeyValueStore
from gatepost.agent.store.model import Record, Series
from gatepost.agent.store.queries import StoreQueries
from gatepost.agent.store.recent_records import RecentRecords
from gatepost.drivers.driver import Command, Registry
from gatepost.drivers.recording import RecordingHeader

if TYPE_CHECKING:
    from gatepost.agent.settings import Origin
    from gatepost.agent.settings.editor import SettingsEditor
    from gatepost.agent.settings.trial.changes import SettingsChanges
    from gatepost.agent.uplink.broker_discovery import BrokerDiscovery
    from gatepost.agent.uplink.carried.backlog_export import BacklogExport
    from gatepost.agent.uplink.carried.backlog_import import BacklogImport
    from gatepost.agent.uplink.message_log import MessageLog
    from gatepost.agent.uplink.topic_subscriptions import TopicSubscriptions


class CommandOutcomes(Protocol):
    @property
    def outcomes(self) -> Mapping[str, str]: ...


class BrokerInterface(MessageSender, Protocol):
    def as_dict(self) -> BrokerView: ...

    @property
    def followed(self) -> CommandOutcomes: ...

    def topic(self, key: str, /) -> str: ...

    async def follow(self, topic: str, /) -> None: ...

    async def connect(self) -> None: ...

    async def disconnect(self) -> None: ...


class DevicesInterface(Protocol):
    def get(self, device: str, /) -> DeviceView | None: ...

    def views(self) -> list[DeviceView]: ...

    def commands(self, device: str, /) -> Mapping[str, Command]: ...

    def recorder(self, device: str, /) -> tuple[RecordingHeader, DeviceRecorder]: ...


class BrokersInterface(Protocol):
    def get(self, name: str, /) -> BrokerInterface | None: ...

    def views(self) -> Sequence[BrokerInterface]: ...

    def backlog_export(self, name: str, /) -> BacklogExport | None: ...

    def backlog_import(self) -> BacklogImport: ...


class LedgerInterface(Protocol):
    async def history(
        self, target: str | None = ..., limit: int = ..., before: int | None = ...
    ) -> list[LedgerEntry]: ...


class StoreInterface(Protocol):
    """Times in microseconds since 1970."""

    @property
    def ledger(self) -> LedgerInterface: ...

    @property
    def state(self) -> str: ...

    @property
    def revoked(self) -> RevokedIds: ...

    @property
    def loss(self) -> str: ...

    async def loss_seen(self) -> None: ...

    @property
    def head(self) -> int: ...

    @property
    def on_stored(self) -> list[Callable[[], None]]: ...

    @property
    def recent(self) -> RecentRecords: ...

    @property
    def queries(self) -> StoreQueries: ...

    @property
    def history(self) -> HistoryReader: ...

    @property
    def backlog(self) -> DeliveryBacklog: ...

    @property
    def key_value(self) -> KeyValueStore: ...

    def reading_id(self, seq: int) -> str: ...

    def series_of(self, number: int) -> Series: ...

    def time_of(self, record: Record) -> tuple[int, str]: ...

    async def gaps(self, limit: int = ...) -> list[dict[str, Any]]: ...

    async def dead_letters(self, limit: int = ..., broker: str | None = ...) -> list[dict[str, Any]]: ...

    async def stats(self) -> dict[str, Any]: ...


class DispatcherInterface(Protocol):
    async def handle(self, request: CommandRequest) -> CommandResponse: ...


class ListenerInterface(Protocol):
    """Devices that speak MQTT to the gateway."""

    def as_dict(self) -> dict[str, Any]: ...

    def refused(self) -> list[dict[str, Any]]:
        """The newest messages that were not taken."""
        ...

    def hang_up(self, device: str, /) -> int:
        """End the device's connections; how many there were."""
        ...


class AuditInterface(Protocol):
    def record(self, what: str, **fields: Any) -> None: ...

    async def tail(
        self, limit: int = ..., before: int | None = ..., what: str | None = ...
    ) -> list[dict[str, Any]]: ...


class AgentInterface(Protocol):
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
    def editor(self) -> SettingsEditor:
        """The one that changes brokers and devices."""
        ...

    @property
    def changes(self) -> SettingsChanges:
        """Changes of settings as a whole, on trial where wished."""
        ...

    @property
    def subscriptions(self) -> TopicSubscriptions: ...

    @property
    def message_log(self) -> MessageLog: ...

    @property
    def discovery(self) -> BrokerDiscovery: ...

    @property
    def store(self) -> StoreInterface: ...

    @property
    def devices(self) -> DevicesInterface: ...

    @property
    def brokers(self) -> BrokersInterface: ...

    @property
    def dispatcher(self) -> DispatcherInterface: ...

    @property
    def audit(self) -> AuditInterface: ...

    @property
    def events(self) -> EventBus: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def log_ring(self) -> LogRing: ...

    @property
    def listener(self) -> ListenerInterface: ...

    async def reload(self, reason: str) -> dict[str, Any]:
        """{"applied": bool, "changed": [...], "problems": [...]}"""
        ...

    def status(self) -> dict[str, Any]:
        """{"started": RFC 3339, "uptime": seconds, "version": ..., "settings": {"files": [...], "reload": {"applied",
        "at", "reason", "changed", "problems": [text]} or None, "last_good": whether those of an earlier run are used
        since the files have errors, "problems": [text]}}, and what else the app knows."""
        ...
