"""Scanner of an adapter: runs while somebody listens and nobody connects, and is replaced when it hears nothing.

Two scanners in one process get in each other's way (org.bluez.Error.InProgress), and one that lived while bluetoothd
was restarted hears nothing for ever, so there is one, watched.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any, NamedTuple

from bleak import BleakScanner
from bleak.backends.bluezdbus.manager import get_global_bluez_manager
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from gatepost.drivers.backoff import Backoff
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.stack.bleak_cache import stop_discovery
from gatepost.drivers.ble.stack.dbus_client import BluezClient
from gatepost.drivers.ble.stack.device_filter import DeviceFilter, changes_address
from gatepost.drivers.ble.stack.link_errors import explain
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.link import LinkFailed, Reason


class AdvertSighting(NamedTuple):
    """Sighting of an advertising device, as bleak reports it, and when (the event loop's seconds)."""

    device: BLEDevice
    data: AdvertisementData
    at: float

    @property
    def path(self) -> str:
        return str(self.device.details["path"])

    @property
    def properties(self) -> dict[str, Any]:
        return dict(self.device.details["props"])

    @property
    def name(self) -> str:
        return self.data.local_name or self.device.name or ""

    @property
    def rssi(self) -> int | None:
        return None if self.data.rssi == -127 else self.data.rssi

    @property
    def advert(self) -> ReceivedAdvert:
        return ReceivedAdvert(
            address=self.device.address.upper(),
            name=self.name,
            rssi=self.rssi,
            service_data={key.lower(): bytes(value) for key, value in self.data.service_data.items()},
            manufacturer_data={key: bytes(value) for key, value in self.data.manufacturer_data.items()},
            services=tuple(each.lower() for each in self.data.service_uuids),
            passing=changes_address(self.device.details["props"]),
        )


class AdvertListener(NamedTuple):
    """Listener of a scanner: `seen` for each advertisement that matches, `failed` when scanning fails."""

    wanted: DeviceFilter
    seen: Callable[[AdvertSighting], None]
    failed: Callable[[LinkFailed], None]


class AdvertScanner:
    """Scanner that starts and stops by itself. `on_stuck` is told of failures that a living adapter would not have."""

    def __init__(
        self,
        adapter: str,
        bluez: BluezClient,
        rng: Random,
        timing: BleTiming,
        log: logging.Logger,
        on_stuck: Callable[[], None],
    ) -> None:
        self.adapter = adapter
        self.received = 0  # advertisements, of any device
        self._bluez = bluez
        self._timing = timing
        self._log = log
        self._on_stuck = on_stuck
        self._quiet = Backoff(rng, 2 * timing.quiet, timing.last_quiet)
        self._retry = Backoff(rng, 2 * timing.scan_retry, timing.last_scan_retry)
        self._listeners: dict[int, AdvertListener] = {}
        self._number = 0
        self._pauses = 0
        self._running = False
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._stopped.set()
        self._task: asyncio.Task[None] | None = None
        self._dead: BleakScanner | None = None  # it scanned for a daemon that is gone
        self._news = asyncio.Event()  # from the daemon
        self._unwatch = bluez.watch(self._daemon_changed)

    # -- who listens

    def listen(self, listener: AdvertListener) -> Callable[[], None]:
        """Gives what ends it."""
        self._number += 1
        number = self._number
        self._listeners[number] = listener
        self._changed.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"scan {self.adapter}")

        def end() -> None:
            self._listeners.pop(number, None)
            self._changed.set()

        return end

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Nothing is scanned inside: to scan and connect at once upsets some adapters."""
        self._pauses += 1
        self._changed.set()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.scan_stop):
                    await self._stopped.wait()
            yield
        finally:
            self._pauses -= 1
            self._changed.set()

    async def close(self, timeout: float) -> None:
        self._unwatch()
        self._listeners.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,), timeout=timeout)

    # -- its life

    @property
    def _wanted(self) -> bool:
        return bool(self._listeners) and self._pauses == 0

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            if not self._wanted:
                await self._changed.wait()
                continue
            self._news.clear()
            try:
                self._bluez.pick(self.adapter)
                await self._scan()
                continue
            except LinkFailed as error:
                failure = error
            except Exception as error:
                failure = explain(self.adapter, error)
            for listener in tuple(self._listeners.values()):
                listener.failed(failure)
            with contextlib.suppress(TimeoutError):  # what the daemon tells ends the pause, one more listener does not
                async with asyncio.timeout(self._retry.next()):
                    await self._news.wait()

    def _daemon_changed(self) -> None:
        self._news.set()
        self._changed.set()

    async def _scan(self) -> None:
        """One scan, until it is not wanted any more or seems dead; raises what prevented its start."""
        if self._dead is not None:
            await self._stop_dead_scan(self._dead)
        generation, outages = self._bluez.generation, self._bluez.outages[self.adapter]
        scanner = BleakScanner(
            self._on_advertisement, bluez={"adapter": self.adapter, "filters": {"DuplicateData": True}}
        )
        self._stopped.clear()
        try:
            try:
                async with asyncio.timeout(self._timing.scan_start):
                    await scanner.start()
            except Exception as error:
                failure = explain(self.adapter, error)
                if failure.reason in (Reason.IN_PROGRESS, Reason.TIMEOUT):
                    await stop_discovery(self.adapter, self._timing.scan_stop)
                raise self._start_failure(failure) from error
            self._retry.reset()
            while await self._alive(generation, outages):
                pass
        finally:
            if generation == self._bluez.generation:
                await self._end(scanner)
            else:
                self._dead = scanner  # bleak would wait for the answer of a daemon that is gone
            self._stopped.set()

    async def _alive(self, generation: int, outages: int) -> bool:
        """After a change, or the time of the watchdog: whether this scan goes on."""
        received, deadline = self.received, asyncio.get_running_loop().time() + self._quiet.next()
        while self._wanted and (generation, outages) == (self._bluez.generation, self._bluez.outages[self.adapter]):
            self._bluez.pick(self.adapter)
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                if self.received != received:
                    self._quiet.reset()
                    return True
                self._log.info("%s: no advertisement for a while, the scanner is restarted", self.adapter)
                if received:
                    self._on_stuck()  # it was not so quiet before
                return False
        return False

    async def _stop_dead_scan(self, scanner: BleakScanner) -> None:
        """A daemon that came anew knows nothing of the scan before, but bleak would go on to tell of it."""
        self._dead = None
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timing.scan_start):
                await get_global_bluez_manager()  # connected anew
            await self._end(scanner)

    async def _end(self, scanner: BleakScanner) -> None:
        """Whatever keeps it from being stopped, it is not used again."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._timing.scan_stop):
                await scanner.stop()

    def _start_failure(self, failure: LinkFailed) -> LinkFailed:
        if failure.reason in (Reason.IN_PROGRESS, Reason.TIMEOUT, Reason.RADIO, Reason.GONE):
            self._on_stuck()
            hint = "does another program scan? If it goes on, unplug and replug the adapter"
            return LinkFailed(Reason.SCAN, f"{self.adapter} cannot scan: {failure.message}", hint)
        return failure

    # -- what is heard

    def _on_advertisement(self, device: BLEDevice, data: AdvertisementData) -> None:
        path, properties = data.platform_data[0], data.platform_data[1]
        if data.rssi == -127 and not properties.get("Connected"):
            return  # something else about the device changed
        self.received += 1
        sighting = None
        for listener in tuple(self._listeners.values()):
            if listener.wanted.matches(device.address, path, data.local_name or device.name or ""):
                if sighting is None:
                    fresh = BLEDevice(properties["Address"], device.name, {"path": path, "props": properties})
                    sighting = AdvertSighting(fresh, data, asyncio.get_running_loop().time())
                listener.seen(sighting)
