"""Battery service (180F): its level goes into the device's status."""

from __future__ import annotations

from gatepost.drivers.ble.gatt import battery
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileTask
from gatepost.drivers.ble.profile_session import STREAM_PROPERTIES, ProfileSession
from gatepost.drivers.ble.profiles.device_information import LEVEL, LEVEL_STATUS, tell_battery
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import Reply

READ_INTERVAL = 1800.0  # seconds between two looks at a level that is not told


class BatteryProfile(GattProfile):
    """Battery profile."""

    service = uuid(0x180F)
    title = "battery"
    driver = "ble"
    streams = (LEVEL, LEVEL_STATUS)
    helper = True

    def decode(self, value: GattValue) -> Items:
        if value.uuid == LEVEL:
            return [Reply("battery", {"battery": battery.decode(value.data)})]
        level = battery.decode_status(value.data).battery_pct
        return [] if level is None else [Reply("battery", {"battery": level})]

    async def subscribe(self, session: ProfileSession) -> None:
        await session.subscribe_all(self.service, self.streams, needed=False)

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        level = session.find(LEVEL, self.service)
        if level is None or STREAM_PROPERTIES & level.properties or "read" not in level.properties:
            return []

        async def look(io: DeviceIO) -> None:
            await tell_battery(session)

        return [ProfileTask(READ_INTERVAL, look)]
