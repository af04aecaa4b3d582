"""Shared stack of all BLE links of a process: D-Bus client, adapters, pairing. Loaded with the first link."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from random import Random

from gatepost.drivers.ble.stack import bleak_cache
from gatepost.drivers.ble.stack.adapter import BluetoothAdapter
from gatepost.drivers.ble.stack.connect_attempt import ConnectAttempts
from gatepost.drivers.ble.stack.dbus_client import BluezClient
from gatepost.drivers.ble.stack.pairing_agent import PairingAgent
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.link import LinkFailed, Reason

Say = Callable[[str, str, str], None]


class SharedStack:
    """Shared Bluetooth stack; it belongs to the event loop in which it is made."""

    def __init__(self, rng: Random, log: logging.Logger, timing: BleTiming) -> None:
        bleak_cache.quiet_library_logs()
        self.rng = rng
        self.log = log
        self.timing = timing
        self.bluez = BluezClient(timing, log)
        self.pairing = PairingAgent(self.bluez, timing, log)
        self.connecting = ConnectAttempts(timing)
        self._adapters: dict[str, BluetoothAdapter] = {}
        self._generation = self.bluez.generation
        self._forgetting: asyncio.Task[None] | None = None
        self._unwatch = self.bluez.watch(self._changed)

    async def adapter(self, name: str | None, say: Say) -> BluetoothAdapter:
        """The adapter to use, which is on. One that is off is waited for; one that is missing only as long as a service
        that starts takes to find it. LinkFailed."""
        patient_until = asyncio.get_running_loop().time() + self.timing.grace
        again = False
        while True:
            if self._forgetting is not None:
                await asyncio.wait((self._forgetting,), timeout=self.timing.call)
            changed = asyncio.Event()
            unwatch = self.bluez.watch(changed.set)
            try:
                try:
                    await self.bluez.ready(again)
                    return self.known(self.bluez.pick(name))
                except LinkFailed as failure:
                    off = failure.reason is Reason.ADAPTER_OFF
                    left = patient_until - asyncio.get_running_loop().time()
                    if not off and (left <= 0 or failure.reason not in (Reason.NO_ADAPTER, Reason.NO_SERVICE)):
                        raise
                    if off:  # else whoever asked is told soon, or it is there
                        say(failure.reason.value, failure.message, failure.hint)
                with contextlib.suppress(TimeoutError):  # looked at again in any case: a signal may be lost
                    async with asyncio.timeout(self.timing.last_scan_retry if off else left):
                        await changed.wait()
                again = not changed.is_set()
            finally:
                unwatch()

    async def usable_again(self, name: str | None) -> None:
        """Returns when the adapter (None = any) that could not be used can be."""
        usable, back = self._usable(name), asyncio.Event()

        def look() -> None:
            """At each signal: it may be off for no longer than from one to the next."""
            nonlocal usable
            before, usable = usable, self._usable(name)
            if usable and not before:
                back.set()

        unwatch = self.bluez.watch(look)
        try:
            await back.wait()
        finally:
            unwatch()

    def _usable(self, name: str | None) -> bool:
        try:
            self.bluez.pick(name)
        except LinkFailed:
            return False
        return True

    def known(self, name: str) -> BluetoothAdapter:
        """The one object of this adapter."""
        if name not in self._adapters:
            self._adapters[name] = BluetoothAdapter(name, self.bluez, self.rng, self.timing, self.log)
        return self._adapters[name]

    def _changed(self) -> None:
        """A daemon that went leaves bleak with what it said last."""
        if self.bluez.generation != self._generation:
            self._generation = self.bluez.generation
            before = self._forgetting
            self._forgetting = asyncio.get_running_loop().create_task(self._forget(before), name="forget the daemon")

    async def _forget(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait((before,))
        await bleak_cache.forget()

    async def close(self, timeout: float) -> None:
        """Each step within `timeout`."""
        self._unwatch()
        for adapter in self._adapters.values():
            await adapter.close(timeout)
        await self.connecting.close(timeout)
        if self._forgetting is not None:
            await asyncio.wait((self._forgetting,), timeout=timeout)
        await bleak_cache.forget(timeout)
        await self.bluez.close()
