"""A private bus with an emulated org.bluez for every BLE test: `bus`, `bluez`; unmodified bleak finds it.

A test that needs another daemon (several adapters, slots, real timing) makes its own `TwinDaemon(bus.address, ...)`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from gatepost.drivers.ble.twin.daemon import TwinDaemon
from gatepost.drivers.ble.twin.private_bus import PrivateBus
from tests.support.waiting import until as until  # tests import it from here, too


@pytest.fixture
async def bus(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    """A running private bus that counts as the system's; bleak lets go of it at the end."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    async with PrivateBus() as private:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", private.address)
        yield private
        await bleak_lets_go()


@pytest.fixture
async def bluez(bus: PrivateBus) -> AsyncIterator[TwinDaemon]:
    """The emulated daemon with one adapter, hci0, in this event loop."""
    async with TwinDaemon(bus.address) as daemon:
        yield daemon


async def bleak_lets_go() -> None:
    """bleak keeps one connection for each event loop for ever: end it, so that nothing is left behind."""
    from bleak.backends.bluezdbus import manager

    mine = manager._global_instances.pop(asyncio.get_running_loop(), None)
    if mine is not None and mine._bus is not None:
        mine._bus.disconnect()
        if mine._bus_watcher_task is not None:
            await asyncio.wait({mine._bus_watcher_task}, timeout=5)
