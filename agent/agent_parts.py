"""Parts of the agent that its API uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatepost.agent.audit.log import AuditLog
from gatepost.agent.commands.dispatcher import CommandDispatcher
from gatepost.agent.core.clock import Clock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.listener.on_demand import ListenerOnDemand
from gatepost.agent.process.log_ring import LogRing
from gatepost.agent.settings import Origin
from gatepost.agent.settings.current import CurrentSettings
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.trial.changes import SettingsChanges
from gatepost.agent.settings_applier import SettingsApplier
from gatepost.agent.status_report import StatusReport
from gatepost.agent.store import Store
from gatepost.agent.uplink.broker_discovery import BrokerDiscovery
from gatepost.agent.uplink.manager import BrokerManager
from gatepost.agent.uplink.message_log import MessageLog
from gatepost.agent.uplink.topic_subscriptions import TopicSubscriptions
from gatepost.drivers.driver import Registry


@dataclass(frozen=True)
class AgentParts:
    """Parts of the agent that its API uses; implements gatepost.agent.api.agent_interface.AgentInterface."""

    current: CurrentSettings
    registry: Registry
    editor: SettingsEditor
    changes: SettingsChanges
    applier: SettingsApplier
    report: StatusReport
    subscriptions: TopicSubscriptions
    message_log: MessageLog
    discovery: BrokerDiscovery
    store: Store
    devices: DeviceManager
    brokers: BrokerManager
    dispatcher: CommandDispatcher
    audit: AuditLog
    events: EventBus
    clock: Clock
    log_ring: LogRing
    listener: ListenerOnDemand

    @property
    def settings(self) -> Settings:
        return self.current.settings

    @property
    def origins(self) -> Mapping[tuple[str, ...], Origin]:
        return self.current.origins

    async def reload(self, reason: str) -> dict[str, Any]:
        return await self.applier.reload(reason)

    def status(self) -> dict[str, Any]:
        return self.report.status()
