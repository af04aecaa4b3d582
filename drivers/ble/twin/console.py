"""Orders to a stage from another process, one JSON array in a line: `["drop", "C0:DE:0D:00:00:00"]`. The answer is one
JSON object in a line, with `error` where it could not be done."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from gatepost.drivers.ble.twin.air import OnAir
from gatepost.drivers.ble.twin.stage import TwinStage

# Words of the simulated devices themselves.
DEVICE = ("measure", "spot_check", "weigh")


class TwinConsole:
    """The orders by name; those of one device take its address first."""

    def __init__(self, stage: TwinStage) -> None:
        self._stage = stage
        daemon = stage.daemon
        self._daemon: dict[str, Callable[..., Awaitable[None]]] = {
            "kill": daemon.kill,
            "start": daemon.start,
            "stop": daemon.stop,
            "restart": daemon.restart,
            "power": lambda on, adapter="hci0": daemon.adapters[adapter].power(on),
        }
        self._at_once: dict[str, Callable[..., object]] = {
            "hang": daemon.hang,
            "resume": daemon.resume,
            "slots": lambda slots, adapter="hci0": setattr(daemon.adapters[adapter], "slots", slots),
            "deaf": lambda deaf=True, adapter="hci0": setattr(daemon.adapters[adapter], "deaf", deaf),
        }
        self._air: dict[str, Callable[..., object]] = {
            "drop": OnAir.drop,
            "vanish": OnAir.vanish,
            "appear": OnAir.appear,
            "wake": OnAir.wake,
            "lose_bond": OnAir.lose_bond,
            "refuse": lambda air, text: air.refusals.append(text),
            "stick": OnAir.stick,
            "stale": daemon.connect_stale,
        }

    async def hear(self, line: str) -> dict[str, Any]:
        """Carry out one order; never raises."""
        try:
            order, *rest = json.loads(line)
            return await self._obey(order, rest) or {"done": order}
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"}

    async def _obey(self, order: str, rest: list[Any]) -> dict[str, Any] | None:
        if order == "counts":
            return {address: _counts(air) for address, air in self._stage.air.items()}
        if order in self._daemon:
            await self._daemon[order](*rest)
            return None
        if order in self._at_once:
            self._at_once[order](*rest)
            return None
        air = self._stage.air[rest[0]]
        if order in DEVICE:
            getattr(air.peripheral, order)(*rest[1:])
        else:
            self._air[order](air, *rest[1:])
        return None


def _counts(air: OnAir) -> dict[str, Any]:
    access = getattr(air.peripheral, "access", None)
    return {
        "connected": air.device is not None,
        "attempts": air.attempts,
        "connects": air.connects,
        "disconnects": air.disconnects,
        "pairings": air.pairings,
        "reads": list(air.reads),
        "writes": [[uuid, data.hex()] for uuid, data in air.writes],
        "subscriptions": list(air.subscriptions),
        "sent": dict(air.sent),
        "deleted": getattr(access, "deleted", 0),
        "reported": getattr(access, "reported", 0),
        "clock_set": getattr(air.peripheral, "clock_set", 0),
    }
