"""BLE links, without loading a Bluetooth library until the first of them opens."""

from __future__ import annotations

import logging
import sys
from random import Random
from typing import TYPE_CHECKING

from gatepost.drivers.ble.stack.device_filter import DeviceFilter
from gatepost.drivers.ble.stack.link_errors import no_service
from gatepost.drivers.ble.stack.timing import BleTiming
from gatepost.drivers.driver import Driver
from gatepost.drivers.link import LinkEvents

if TYPE_CHECKING:
    from gatepost.drivers.ble.link.advert_link import AdvertLink
    from gatepost.drivers.ble.link.gatt_link import GattLink
    from gatepost.drivers.ble.stack.shared_stack import SharedStack

CLOSE = 0.5  # seconds for what is under way when everything ends


class BleLinks:
    """Makes the links of all BLE devices of a process; they share adapters, scanners and the line to bluetoothd."""

    def __init__(self, rng: Random, log: logging.Logger, tuning: BleTiming | None = None) -> None:
        self._rng = rng
        self._log = log
        self._tuning = tuning or BleTiming()
        self._radio: SharedStack | None = None

    def connect(
        self, address: str | None, name: str | None, adapter: str | None, driver: Driver, ears: LinkEvents
    ) -> GattLink | AdvertLink:
        """A link to the peripheral of this address, or else of this name; for a driver with `advertisement` one that
        only listens. `adapter` None = the first that is on."""
        wanted = DeviceFilter.of(address, name)
        if getattr(driver, "advertisement", False):
            from gatepost.drivers.ble.link.advert_link import AdvertLink

            return AdvertLink(self.radio, wanted, adapter, ears)
        from gatepost.drivers.ble.link.gatt_link import GattLink

        return GattLink(self.radio, wanted, adapter, driver, ears)

    def radio(self) -> SharedStack:
        """What they share; made at the first use, in the event loop that uses it. LinkFailed."""
        if self._radio is None:
            if sys.platform != "linux":
                raise no_service()
            from gatepost.drivers.ble.stack.shared_stack import SharedStack

            self._radio = SharedStack(self._rng, self._log, self._tuning)
        return self._radio

    async def close(self) -> None:
        """After the links: end what they shared."""
        radio, self._radio = self._radio, None
        if radio is not None:
            await radio.close(CLOSE)
