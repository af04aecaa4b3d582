"""Process-wide cache of bleak: when it must be dropped, and how.

bleak's BlueZ manager mirrors all of bluetoothd's objects. A daemon that was killed takes none of them back: devices
stay "connected" for ever, their clients hear nothing, and a new connection is taken for made. Ending the manager's bus
connection makes bleak forget, tell every client that it is disconnected, and read everything anew at its next use
(bleak 3.1, bleak/backends/bluezdbus/manager.py; the names used here are private, so its version is bounded).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

_LIBRARIES = ("bleak", "bleak_retry_connector", "dbus_fast", "bluetooth_adapters")


def quiet_library_logs() -> None:
    """Their debug lines show payloads, and what they warn of is told by the radio in its own words."""
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)


async def stop_discovery(adapter: str, timeout: float) -> None:
    """End a discovery whose start was answered too late, or not to us: bluetoothd counts us as discovering, and would
    refuse every other start with InProgress (BlueZ, src/adapter.c: one discovery for each client). Only bleak's own bus
    connection is that client."""
    from bleak.backends.bluezdbus import manager as module
    from dbus_fast import Message

    manager = module._global_instances.get(asyncio.get_running_loop())
    if manager is None or manager._bus is None:
        return
    call = Message("org.bluez", f"/org/bluez/{adapter}", "org.bluez.Adapter1", member="StopDiscovery")
    with contextlib.suppress(Exception):  # it is the attempt that counts: "No discovery started" is as good
        async with asyncio.timeout(timeout):
            await manager._bus.call(call)


async def forget(timeout: float = 1.0) -> None:
    """Clients that were connected are told so on the event loop before this returns."""
    from bleak.backends.bluezdbus import manager as module

    manager = module._global_instances.get(asyncio.get_running_loop())
    if manager is None or manager._bus is None:
        return
    watcher = manager._bus_watcher_task
    manager._bus.disconnect()
    if watcher is not None:
        with contextlib.suppress(Exception):
            await asyncio.wait((watcher,), timeout=timeout)
