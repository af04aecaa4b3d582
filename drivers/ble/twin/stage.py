"""A private bus, the emulated daemon and simulated devices, put up together: for `gatepost simulate` and for tests that
run the agent as a process of its own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.ble.twin.air import OnAir
from drivers.ble.twin.bus import PrivateBus
from drivers.ble.twin.daemon import Daemon, Timing
from drivers.ble.twin.peripheral import TwinPeripheral


class Stage:
    """`async with`: up and running. Raises NoBus. What stands on it ends with it."""

    def __init__(
        self,
        peripherals: list[TwinPeripheral],
        socket: Path | None = None,
        adapters: int = 1,
        timing: Timing | None = None,
        speed: float = 1.0,
    ) -> None:
        self.bus = PrivateBus(socket)
        self.daemon: Daemon
        self._peripherals = peripherals
        self._adapters = [f"hci{number}" for number in range(adapters)]
        self._timing = timing
        self._speed = speed
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.bus)
            self.daemon = await stack.enter_async_context(
                Daemon(self.bus.address, self._adapters, self._timing, self._speed)
            )
            for peripheral in self._peripherals:
                self.daemon.place(peripheral)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    @property
    def air(self) -> dict[str, OnAir]:
        """By address."""
        return self.daemon.air


def drop(devices: dict[str, tuple[str, str]]) -> str:
    """Settings to paste: name -> (driver, address)."""
    lines = ["devices:"]
    for name, (driver, address) in devices.items():
        lines += [f"  {name}:", f"    driver: {driver}", f'    address: "{address}"']
    return "\n".join(lines) + "\n"
