"""Orders to the emulated Bluetooth from another process: one JSON array in a line, `["drop", "C0:DE:0D:00:00:00"]`.

The answer is one JSON object in a line, with `error` where it could not be done.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from gatepost.drivers.ble.twin.emulated_bluetooth import EmulatedBluetooth
from gatepost.drivers.ble.twin.hosted_peripheral import HostedPeripheral

DEVICE_ORDERS = ("measure", "spot_check", "weigh")


class TwinConsole:
    """The orders by name; those of one device take its address first."""

    def __init__(self, stage: EmulatedBluetooth) -> None:
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
            "not_receiving": lambda not_receiving=True, adapter="hci0": setattr(
                daemon.adapters[adapter], "not_receiving", not_receiving
            ),
        }
        self._hosted: dict[str, Callable[..., object]] = {
            "drop": HostedPeripheral.drop,
            "vanish": HostedPeripheral.vanish,
            "appear": HostedPeripheral.appear,
            "wake": HostedPeripheral.wake,
            "lose_bond": HostedPeripheral.lose_bond,
            "refuse": lambda hosted, text: hosted.refusals.append(text),
            "stick": HostedPeripheral.stick,
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
            return {address: _counts(hosted) for address, hosted in self._stage.hosted.items()}
        if order in self._daemon:
            await self._daemon[order](*rest)
            return None
        if order in self._at_once:
            self._at_once[order](*rest)
            return None
        hosted = self._stage.hosted[rest[0]]
        if order in DEVICE_ORDERS:
            getattr(hosted.peripheral, order)(*rest[1:])
        else:
            self._hosted[order](hosted, *rest[1:])
        return None


def _counts(hosted: HostedPeripheral) -> dict[str, Any]:
    access = getattr(hosted.peripheral, "access", None)
    return {
        "connected": hosted.device is not None,
        "attempts": hosted.attempts,
        "connects": hosted.connects,
        "disconnects": hosted.disconnects,
        "pairings": hosted.pairings,
        "reads": list(hosted.reads),
        "writes": [[uuid, data.hex()] for uuid, data in hosted.writes],
        "subscriptions": list(hosted.subscriptions),
        "sent": dict(hosted.sent),
        "deleted": getattr(access, "deleted", 0),
        "reported": getattr(access, "reported", 0),
        "clock_set": getattr(hosted.peripheral, "clock_set", 0),
    }
