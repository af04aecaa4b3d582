"""What the gateway's own commands do (contract, section 4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gatepost.agent.core.errors import NotFound, SettingsWrong, StoreError
from gatepost.agent.settings.own_drops import remove_drop, write_drop
from gatepost.agent.uplink.broker_link import BrokerLink

if TYPE_CHECKING:
    from gatepost.agent.app import App

PATIENTS = "patients"  # key of the store's small state, and name of the agent's own drop
DROP = "50-patients.yaml"


class GatewayCommands:
    """Implements gatepost.agent.commands.gateway_commands.GatewayActions."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._assigning = asyncio.Lock()

    async def ping(self) -> dict[str, Any]:
        return {"pong": True}

    async def status(self) -> dict[str, Any]:
        app = self._app
        return {
            **app.status(),
            "store": app.store.state,
            "devices": {view["id"]: view["status"] for view in app.devices.views()},
            "brokers": {uplink.name: uplink.state for uplink in app.brokers.views()},
        }

    async def reload(self) -> dict[str, Any]:
        return await self._app.reload("command")

    async def set_log_level(self, level: str) -> dict[str, Any]:
        self._app.logs.set_level(level)
        return {"level": level}

    async def connect_broker(self, broker: str) -> dict[str, Any]:
        await self._uplink(broker).connect()
        return {"broker": broker}

    async def disconnect_broker(self, broker: str) -> dict[str, Any]:
        await self._uplink(broker).disconnect()
        return {"broker": broker}

    async def resend(self, since: int, until: int | None, device: str | None) -> dict[str, Any]:
        """Readings of [since, until) are owed again by every broker; they go out with the backlog."""
        count = await self._app.store.backlog.mark_for_resend(since, until, device)
        if not count and device is not None and device not in self._app.settings.devices:
            raise NotFound(f"There is no device {device}.", "`gatepost devices` lists them.")
        for uplink in self._app.brokers.views():
            uplink.requeue()
        return {"readings": count}

    async def assign_patient(self, device: str, patient: str | None) -> dict[str, Any]:
        """Kept as the agent's own drop, so it outlives a restart; users' files are not touched. Raises SettingsWrong
        when it cannot count now, and then it is not kept either: it must not count at some later time unasked."""
        async with self._assigning:
            if device not in self._app.settings.devices:
                raise NotFound(f"There is no device {device}.", "`gatepost devices` lists them.")
            if await self._app.editor.assign(device, patient):
                return {"device": device, "applied": True}
            before = dict(await self._app.store.key_value.get(PATIENTS) or {})
            await self._assign({**before, device: patient})
            result = await self._app.reload("assign_patient")
            found = self._app.settings.devices.get(device)
            if found is None or found.patient != patient:
                await self._assign(before)
                why = "; ".join(result["problems"]) or "a setting in the environment overrides it"
                raise SettingsWrong(f"The patient was not assigned: {why}", "`gatepost check` explains the settings.")
        return {"device": device, "applied": True}

    async def _assign(self, assigned: dict[str, str | None]) -> None:
        app = self._app
        known = {name: {"patient": patient} for name, patient in assigned.items() if name in app.settings.devices}
        drop = app.own_drops / DROP
        try:
            await asyncio.to_thread(write_drop, drop, {"devices": known}) if known else remove_drop(drop)
        except OSError as error:
            raise StoreError(f"{drop} could not be written: {error.strerror or error}.") from error
        await app.store.key_value.put(PATIENTS, {name: assigned[name] for name in known})

    def _uplink(self, broker: str) -> BrokerLink:
        uplink = self._app.brokers.get(broker)
        if uplink is None:
            raise NotFound(f"There is no broker named {broker}.", "`gatepost brokers` lists them.")
        return uplink
