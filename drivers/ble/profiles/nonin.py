"""Nonin's own oximetry service (3150, 3230 and kin), which tells more than their standard one."""

from __future__ import annotations

from gatepost.drivers.ble.gatt import nonin
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items
from gatepost.drivers.ble.uuids import uuid


class NoninProfile(GattProfile):
    """Nonin oximetry profile, preferred to the standard one."""

    service = nonin.SERVICE
    title = "Nonin oximeter"
    driver = "ble-pulse-oximeter"
    streams = (nonin.MEASUREMENT,)
    instead_of = (uuid(0x1822),)

    def decode(self, value: GattValue) -> Items:
        return [nonin.reading(nonin.decode(value.data))]
