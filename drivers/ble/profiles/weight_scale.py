"""Weight Scale service (181D), and the driver `ble-weight-scale` for scales with and without body composition."""

from __future__ import annotations

from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import weight
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import Items
from gatepost.drivers.ble.profiles.commands import SYNC_TIME
from gatepost.drivers.ble.profiles.options import WeightScaleOptions
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedProfile
from gatepost.drivers.ble.uuids import uuid


class WeightScaleProfile(UnnumberedProfile):
    """Weight scale profile."""

    service = uuid(0x181D)
    title = "weight scale"
    kind = "body-weight"
    driver = "ble-weight-scale"
    streams = (uuid(0x2A9D),)
    sets_clock = True

    def decode(self, value: GattValue) -> Items:
        return self._records.give(weight.reading(weight.decode(value.data)))


class BleWeightScale(BleDriver):
    """Bathroom scales. Some give nothing before they know which user they speak to: `user_index` and `consent`."""

    name = "ble-weight-scale"
    title = "Weight and body composition scales (Bluetooth weight scale and body composition profiles)"
    metrics = ("body_weight", "body_composition")
    services = (uuid(0x181D), uuid(0x181B))
    companions = (uuid(0x181C),)
    streams = False
    keeps_records = True
    options_type = WeightScaleOptions
    example_options: ClassVar[dict[str, Any]] = {"user_index": 1, "consent": "1234"}
    commands: ClassVar = (SYNC_TIME,)
    source = "Bluetooth SIG: Weight Scale Service 1.0, Body Composition Service 1.0, User Data Service 1.0"
