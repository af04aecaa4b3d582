"""Pulse Oximeter service (1822), and the driver `ble-pulse-oximeter`, which also speaks Nonin's own."""

from __future__ import annotations

from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import nonin, pulse_oximeter, racp
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import READ_STORED, SYNC_TIME
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.stored_records.racp_procedure import RacpProcedures, answer
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedProfile
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import FROM_MEMORY

SPOT, CONTINUOUS, CONTROL = uuid(0x2A5E), uuid(0x2A5F), uuid(0x2A52)
STORES = 1 << 2  # of the features


class PulseOximeterProfile(UnnumberedProfile):
    """Pulse oximeter profile. Stored spot checks have no numbers: all of them are asked for, and those that are known
    are left out. Of stored ones without a time, the second one of equals is told apart from the first by its place."""

    service = uuid(0x1822)
    title = "pulse oximeter"
    kind = "spot-check"
    stores = True
    driver = "ble-pulse-oximeter"
    streams = (SPOT, CONTINUOUS, CONTROL)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._equals: dict[bytes, int] | None = None  # while records are being fetched

    def decode(self, value: GattValue) -> Items:
        if value.uuid == CONTROL:
            return answer(value.data)
        if value.uuid == CONTINUOUS:
            return [pulse_oximeter.reading(pulse_oximeter.decode_continuous(value.data))]
        reading = pulse_oximeter.reading(pulse_oximeter.decode_spot(value.data))
        beside = ""
        if self._equals is not None:
            if reading.device_time is None:
                place = self._equals[value.data] = self._equals.get(value.data, 0) + 1
                beside = f"{value.data.hex()} {place}"
            if FROM_MEMORY not in reading.flags:
                reading.flags = (*reading.flags, FROM_MEMORY)
        items = self._records.give(reading, beside)
        self._fetched += self._equals is not None and items[0] is reading
        return items

    async def begin(self, session: ProfileSession) -> None:
        data = await session.read(0x2A60, self.service)
        if data is not None and not pulse_oximeter.decode_features(data).features & STORES:
            return
        if self.memory.options.records and session.find(CONTROL, self.service) is not None:
            await self.read_stored(session, session.io, False)

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        control = self.control_point(session, CONTROL)
        async with session.asking:
            ask = RacpProcedures(session, io, control)
            total = await ask.count(racp.COUNT_ALL)
            if total == 0:
                return {"records": 0}
            self._equals, self._fetched = {}, 0
            try:
                await ask.report(racp.REPORT_ALL, total)
            finally:
                self._equals = None
        return {"records": self._fetched}


class BlePulseOximeter(BleDriver):
    """Finger oximeters."""

    name = "ble-pulse-oximeter"
    title = "Pulse oximeters (Bluetooth pulse oximeter profile, and Nonin's own)"
    metrics = ("pulse_oximetry",)
    services = (nonin.SERVICE, PulseOximeterProfile.service)
    default_interval = 1.0
    aggregation = "median"
    keeps_records = True
    options_type = RecordOptions
    commands: ClassVar = (READ_STORED, SYNC_TIME)
    source = "Bluetooth SIG: Pulse Oximeter Service 1.0, GATT Specification Supplement; Nonin BLE specification"
