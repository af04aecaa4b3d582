"""Heart Rate service (180D), and the driver `ble-heart-rate`."""

from __future__ import annotations

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import heart_rate
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.uuids import uuid

LOCATION = 0x2A38


class HeartRateProfile(GattProfile):
    """Heart rate profile."""

    service = uuid(0x180D)
    title = "heart rate sensor"
    driver = "ble-heart-rate"
    streams = (uuid(0x2A37),)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._location: int | None = None

    def decode(self, value: GattValue) -> Items:
        return [heart_rate.reading(heart_rate.decode(value.data), self._location)]

    async def prepare(self, session: ProfileSession) -> None:
        self._location = None
        data = await session.read(LOCATION, self.service)
        if data:
            self._location = heart_rate.decode_location(data)


class BleHeartRate(BleDriver):
    """Chest straps, watches and arm bands."""

    name = "ble-heart-rate"
    title = "Heart rate sensors (Bluetooth heart rate profile)"
    metrics = ("heart_rate",)
    services = (HeartRateProfile.service,)
    silence = 120.0
    source = "Bluetooth SIG: Heart Rate Service 1.0, GATT Specification Supplement"
