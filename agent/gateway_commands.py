"""The gateway's own commands, carried out (contract, section 4); commands/gateway_commands.py declares them."""

from __future__ import annotations

from typing import Any

from gatepost.agent.core.errors import NotFound
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.process.logs import AgentLogs
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings_applier import SettingsApplier
from gatepost.agent.status_report import StatusReport
from gatepost.agent.store import Store
from gatepost.agent.uplink.broker_link import BrokerLink
from gatepost.agent.uplink.manager import BrokerManager


class GatewayCommands:
    """Implements gatepost.agent.commands.gateway_commands.GatewayActions."""

    def __init__(
        self,
        *,
        devices: DeviceManager,
        brokers: BrokerManager,
        store: Store,
        applier: SettingsApplier,
        editor: SettingsEditor,
        report: StatusReport,
        logs: AgentLogs,
    ) -> None:
        self._devices = devices
        self._brokers = brokers
        self._store = store
        self._applier = applier
        self._editor = editor
        self._report = report
        self._logs = logs

    async def ping(self) -> dict[str, Any]:
        return {"pong": True}

    async def status(self) -> dict[str, Any]:
        return {
            **self._report.status(),
            "store": self._store.state,
            "devices": {view["id"]: view["status"] for view in self._devices.views()},
            "brokers": {broker.name: broker.state for broker in self._brokers.views()},
        }

    async def reload(self) -> dict[str, Any]:
        return await self._applier.reload("command")

    async def set_log_level(self, level: str) -> dict[str, Any]:
        self._logs.set_level(level)
        return {"level": level}

    async def connect_broker(self, broker: str) -> dict[str, Any]:
        await self._broker(broker).connect()
        return {"broker": broker}

    async def disconnect_broker(self, broker: str) -> dict[str, Any]:
        await self._broker(broker).disconnect()
        return {"broker": broker}

    async def resend(self, since: int, until: int | None, device: str | None) -> dict[str, Any]:
        """Readings of [since, until) are owed again by every broker; they go out with the backlog."""
        count = await self._store.backlog.mark_for_resend(since, until, device)
        if not count and device is not None and device not in self._applier.current.settings.devices:
            raise NotFound(f"There is no device {device}.", "`gatepost devices` lists them.")
        for broker in self._brokers.views():
            broker.requeue()
        return {"readings": count}

    async def assign_patient(self, device: str, patient: str | None) -> dict[str, Any]:
        """Outlives a restart. Raises SettingsWrong when it cannot count now, and then it is not kept either: it must
        not count at some later time unasked."""
        if device not in self._applier.current.settings.devices:
            raise NotFound(f"There is no device {device}.", "`gatepost devices` lists them.")
        await self._editor.assign_patient(device, patient)
        return {"device": device, "applied": True}

    def _broker(self, name: str) -> BrokerLink:
        broker = self._brokers.get(name)
        if broker is None:
            raise NotFound(f"There is no broker named {name}.", "`gatepost brokers` lists them.")
        return broker
