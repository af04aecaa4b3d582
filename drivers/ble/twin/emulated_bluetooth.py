"""Emulated Bluetooth in one piece: a private bus, the emulated daemon and simulated devices on it; for `gatepost
simulate` and for tests that run the agent as a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.daemon_state import DaemonTiming
from gatepost.drivers.ble.twin.hosted_peripheral import HostedPeripheral
from gatepost.drivers.ble.twin.peripheral import TwinPeripheral
from gatepost.drivers.ble.twin.private_bus import PrivateBus


class EmulatedBluetooth:
    """Emulated Bluetooth, `async with`: up and running. Raises NoBus. The devices end with it."""

    def __init__(
        self,
        peripherals: list[TwinPeripheral],
        socket: Path | None = None,
        adapters: int = 1,
        timing: DaemonTiming | None = None,
        speed: float = 1.0,
    ) -> None:
        self.bus = PrivateBus(socket)
        self.daemon: TwinDaemon
        self._peripherals = peripherals
        self._adapters = [f"hci{number}" for number in range(adapters)]
        self._timing = timing
        self._speed = speed
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.bus)
            self.daemon = await stack.enter_async_context(
                TwinDaemon(self.bus.address, self._adapters, self._timing, self._speed)
            )
            for peripheral in self._peripherals:
                self.daemon.place(peripheral)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def hosted(self) -> dict[str, HostedPeripheral]:
        """The peripherals in reach by address."""
        return self.daemon.hosted


class SimulatedEntry(NamedTuple):
    """Settings of one simulated device."""

    name: str
    driver: str
    address: str
    options: dict[str, Any] = {}  # noqa: RUF012  # a NamedTuple, never changed


def settings_text(devices: Iterable[SimulatedEntry]) -> str:
    """YAML settings of the simulated devices, to paste."""
    lines = ["devices:"]
    for device in devices:
        lines += [f"  {device.name}:", f"    driver: {device.driver}", f'    address: "{device.address}"']
        if device.options:  # JSON is YAML
            lines.append(f"    options: {json.dumps(device.options)}")
    return "\n".join(lines) + "\n"
