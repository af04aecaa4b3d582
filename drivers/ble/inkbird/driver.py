"""Driver `ble-inkbird`: the six-probe thermometer Inkbird IDT-34c-B. Nothing is written to it."""

from __future__ import annotations

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.inkbird.values import PROBES, decode_probes
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import ScanHints, SupportedDevice
from gatepost.drivers.reading import measured

MODEL = "IDT-34c-B"


class InkbirdProfile(GattProfile):
    """Profile of the thermometer: all probes in each notification."""

    service = uuid(0xFF00)
    title = "Inkbird thermometer"
    driver = "ble-inkbird"
    streams = (uuid(0xFF01),)

    def decode(self, value: GattValue) -> Items:
        found = decode_probes(value.data)
        values = {name: None if degrees is None else round(degrees, 2) for name, degrees in found.items()}
        return [measured("environment", values, dict.fromkeys(values, "Cel"), "sensor-unplugged")]


class BleInkbird(BleDriver):
    """Inkbird's connected thermometer."""

    name = "ble-inkbird"
    title = "Inkbird IDT-34c-B thermometer with six probes"
    metrics = ("environment",)
    values = tuple(f"temperature_probe_{number}" for number in range(1, PROBES + 1))
    services = (InkbirdProfile.service,)
    brings = (InkbirdProfile,)
    scan_hints = ScanHints(names=(MODEL,))
    default_interval = 5.0
    aggregation = "last"
    silence = 120.0
    devices = (SupportedDevice("Inkbird", (MODEL,), "meat thermometer"),)
    source = "Bluetooth-Devices/inkbird-ble, a capture of an owner; not seen on a device"
