"""Bluetooth adapter: one connection attempt at a time, its slots, its scanner, a power cycle when it is stuck."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from random import Random
from typing import Any
from weakref import WeakSet

from dbus_fast import Variant

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.ble.stack.connection_slots import ConnectionSlots
from gatepost.drivers.ble.stack.dbus_client import ADAPTER, BluezClient
from gatepost.drivers.ble.stack.scanner import AdvertScanner
from gatepost.drivers.ble.stack.timing import BleTiming


class BluetoothAdapter:
    """Bluetooth adapter. `turn`: one connection attempt at a time. `slots`: connections that the hardware can hold.

    `claims` says which device (its path) belongs to which link: two entries of the settings may fit one peripheral.
    """

    def __init__(self, name: str, bluez: BluezClient, rng: Random, timing: BleTiming, log: logging.Logger) -> None:
        self.name = name
        self.turn = asyncio.Lock()
        self.slots = ConnectionSlots(timing.slots, timing.share)
        self.claims: dict[str, object] = {}
        self.awaiting: WeakSet[object] = WeakSet()  # links that are not connected
        self.cycles = 0
        self._bluez = bluez
        self._timing = timing
        self._log = log
        self._failures = 0
        self._pauses = Backoff(rng, 2 * timing.first_cycle, timing.last_cycle)
        self._next_cycle = 0.0
        self._cycling: asyncio.Task[None] | None = None
        self.scanner = AdvertScanner(name, bluez, rng, timing, log, self.failed)

    def awaits_others(self, link: object) -> bool:
        """True if another link waits for its device, or for its turn to connect."""
        return any(each is not link for each in self.awaiting)

    def works(self) -> None:
        """It did what it should: no sign of being stuck."""
        self._failures = 0

    def failed(self) -> None:
        """A failure that a living adapter would not have; so many in a row, with nobody connected, and it is stuck."""
        self._failures += 1
        now = asyncio.get_running_loop().time()
        if self._failures < self._timing.stuck or self.claims or self._cycling is not None or now < self._next_cycle:
            return
        self._failures = 0
        self._next_cycle = now + self._pauses.next()
        self._cycling = asyncio.get_running_loop().create_task(self._cycle(), name=f"power cycle {self.name}")

    async def _cycle(self) -> None:
        """Off and on again; only an adapter that was on, and it is never left off for want of trying."""
        path, timing = f"/org/bluez/{self.name}", self._timing
        self._log.warning("%s seems stuck and is switched off and on again", self.name)
        self.cycles += 1
        try:
            await self._quietly(self._bluez.put(path, ADAPTER, "Powered", Variant("b", False), timing.cycle))
            await asyncio.sleep(timing.cycle_off)
        finally:
            for _ in range(3):
                done = await self._quietly(self._bluez.put(path, ADAPTER, "Powered", Variant("b", True), timing.cycle))
                if done:
                    break
                await asyncio.sleep(timing.cycle_off)
            self._cycling = None

    async def _quietly(self, work: Coroutine[Any, Any, None]) -> bool:
        try:
            await work
        except Exception as error:
            self._log.warning("%s could not be switched: %s", self.name, error)
            return False
        return True

    async def close(self, timeout: float) -> None:
        await self.scanner.close(timeout)
        if self._cycling is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.cycle_off + 1.0):
                    await asyncio.shield(self._cycling)
