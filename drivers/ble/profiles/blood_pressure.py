"""Blood Pressure service (1810), and the driver `ble-blood-pressure`."""

from __future__ import annotations

from typing import ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import blood_pressure, blood_pressure_enhanced
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import Items
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import SYNC_TIME
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedProfile
from gatepost.drivers.ble.uuids import uuid

MEASUREMENT, CUFF, ENHANCED, ENHANCED_CUFF = uuid(0x2A35), uuid(0x2A36), uuid(0x2B34), uuid(0x2B35)
PLAIN_OF = {ENHANCED: MEASUREMENT, ENHANCED_CUFF: CUFF}


class BloodPressureProfile(UnnumberedProfile):
    """Blood pressure profile. A cuff that has both the plain and the enhanced form of a value tells it once, in the
    plain one."""

    service = uuid(0x1810)
    title = "blood pressure monitor"
    kind = "blood-pressure"
    driver = "ble-blood-pressure"
    streams = (MEASUREMENT, CUFF, ENHANCED, ENHANCED_CUFF)
    sets_clock = True

    def decode(self, value: GattValue) -> Items:
        data = value.data
        match value.uuid:
            case uuid if uuid == MEASUREMENT:
                return self._records.give(blood_pressure.reading(blood_pressure.decode(data)))
            case uuid if uuid == CUFF:
                return [blood_pressure.cuff_reading(blood_pressure.decode_cuff(data))]
            case uuid if uuid == ENHANCED:
                return self._records.give(blood_pressure_enhanced.decode(data).reading())
            case _:
                return [blood_pressure_enhanced.decode_cuff(data).reading()]

    async def subscribe(self, session: ProfileSession) -> None:
        there = {each for each in self.streams if session.find(each, self.service) is not None}
        wanted = tuple(each for each in self.streams if PLAIN_OF.get(each) not in there)
        await session.subscribe_all(self.service, wanted)


class BleBloodPressure(BleDriver):
    """Cuffs for arm and wrist."""

    name = "ble-blood-pressure"
    title = "Blood pressure monitors (Bluetooth blood pressure profile)"
    metrics = ("blood_pressure", "cuff_pressure")
    services = (BloodPressureProfile.service,)
    streams = False
    keeps_records = True
    commands: ClassVar = (SYNC_TIME,)
    source = "Bluetooth SIG: Blood Pressure Service 1.1, GATT Specification Supplement"
