"""Factory of BLE links; no Bluetooth library is loaded until the first link opens."""

from __future__ import annotations

import logging
import sys
from random import Random
from typing import TYPE_CHECKING
from weakref import WeakSet

from gatepost.drivers.ble.link.device_claim import DeviceClaim
from gatepost.drivers.ble.stack.device_filter import DeviceFilter
from gatepost.drivers.ble.stack.link_errors import no_service
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.driver import Driver
from gatepost.drivers.link import LinkEvents

if TYPE_CHECKING:
    from gatepost.drivers.ble.link.advert_link import AdvertLink
    from gatepost.drivers.ble.link.gatt_link import GattLink
    from gatepost.drivers.ble.stack.shared_stack import SharedStack

CLOSE_LIMIT = 0.5  # seconds for what is under way when everything ends


class BleLinks:
    """Factory of all BLE links of a process; they share adapters, scanners and the D-Bus client."""

    def __init__(self, rng: Random, log: logging.Logger, timing: BleTiming | None = None) -> None:
        self._rng = rng
        self._log = log
        self._timing = timing or BleTiming()
        self._radio: SharedStack | None = None
        self._claims: WeakSet[DeviceClaim] = WeakSet()

    def connect(
        self, address: str | None, name: str | None, adapter: str | None, driver: Driver, events: LinkEvents
    ) -> GattLink | AdvertLink:
        """A link to the peripheral of this address, or else of this name; for a driver with `advertisement` one that
        only listens. `adapter` None = the first that is on."""
        claim = DeviceClaim(DeviceFilter.of(address, name), events.memory, self._claims, self._log)
        if getattr(driver, "advertisement", False):
            from gatepost.drivers.ble.link.advert_link import AdvertLink

            return AdvertLink(self.radio, claim, adapter, events)
        from gatepost.drivers.ble.link.gatt_link import GattLink

        return GattLink(self.radio, claim, adapter, driver, events)

    def radio(self) -> SharedStack:
        """Shared stack; made at the first use, in the event loop that uses it. LinkFailed."""
        if self._radio is None:
            if sys.platform != "linux":
                raise no_service()
            from gatepost.drivers.ble.stack.shared_stack import SharedStack

            self._radio = SharedStack(self._rng, self._log, self._timing)
        return self._radio

    async def close(self) -> None:
        """After the links: end what they shared."""
        radio, self._radio = self._radio, None
        if radio is not None:
            await radio.close(CLOSE_LIMIT)
