"""What the gateway's own commands do (contract, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.errors import NotFound
from agent.settings.drop import remove_drop, write_drop
from agent.uplink.uplink import Uplink

if TYPE_CHECKING:
    from agent.app import App

PATIENTS = "patients"  # key of the store's small state, and name of the agent's own drop
DROP = "50-patients.yaml"


class Actions:
    """Implements agent.commands.gateway.GatewayActions."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def ping(self) -> dict[str, Any]:
        return {"pong": True}

    async def status(self) -> dict[str, Any]:
        app = self._app
        return {
            **app.status(),
            "store": app.store.state,
            "devices": {view.id: view.status for view in app.devices.views()},
            "brokers": {uplink.name: uplink.state for uplink in app.uplinks.views()},
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
        count = await self._app.store.owe_again(since, until, device)
        for uplink in self._app.uplinks.views():
            uplink.requeue()
        return {"readings": count}

    async def assign_patient(self, device: str, patient: str | None) -> dict[str, Any]:
        """Kept as the agent's own drop, so it outlives a restart; users' files are not touched."""
        app = self._app
        if device not in app.settings.devices:
            raise NotFound(f"There is no device {device}.", "`gatepost devices` lists them.")
        assigned = dict(await app.store.state_get(PATIENTS) or {})
        assigned[device] = patient
        drop = app.own_drops / DROP
        known = {name: {"patient": subject} for name, subject in assigned.items() if name in app.settings.devices}
        if known:
            write_drop(drop, {"devices": known})
        else:
            remove_drop(drop)
        await app.store.state_put(PATIENTS, {name: assigned[name] for name in known})
        result = await app.reload("assign_patient")
        return {"device": device, "applied": result["applied"]}

    def _uplink(self, broker: str) -> Uplink:
        uplink = self._app.uplinks.get(broker)
        if uplink is None:
            raise NotFound(f"There is no broker named {broker}.", "`gatepost brokers` lists them.")
        return uplink
