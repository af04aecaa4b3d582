"""Health Thermometer service (1809), and the driver `ble-thermometer`."""

from __future__ import annotations

from typing import ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import thermometer
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import SYNC_TIME
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedProfile
from gatepost.drivers.ble.uuids import uuid

MEASUREMENT, INTERMEDIATE = uuid(0x2A1C), uuid(0x2A1E)
TYPE = 0x2A1D
REMEMBERED = 128  # few keep more, and one that measures every second should not cost the disk much


class ThermometerProfile(UnnumberedProfile):
    """Health thermometer profile."""

    service = uuid(0x1809)
    title = "thermometer"
    kind = "body-temperature"
    most = REMEMBERED
    driver = "ble-thermometer"
    streams = (MEASUREMENT, INTERMEDIATE)
    sets_clock = True

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._site: int | None = None  # of a thermometer that measures at one place only

    def decode(self, value: GattValue) -> Items:
        measurement = thermometer.decode(value.data)
        if value.uuid == INTERMEDIATE:
            return [thermometer.reading(measurement, self._site, intermediate=True)]
        return self._records.give(thermometer.reading(measurement, self._site))

    async def prepare(self, session: ProfileSession) -> None:
        await super().prepare(session)
        self._site = None
        data = await session.read(TYPE, self.service)
        if data:
            self._site = thermometer.decode_type(data)


class BleThermometer(BleDriver):
    """Ear, forehead, oral and patch thermometers."""

    name = "ble-thermometer"
    title = "Thermometers (Bluetooth health thermometer profile)"
    metrics = ("body_temperature",)
    services = (ThermometerProfile.service,)
    streams = False
    keeps_records = True
    commands: ClassVar = (SYNC_TIME,)
    source = "Bluetooth SIG: Health Thermometer Service 1.0, GATT Specification Supplement"
