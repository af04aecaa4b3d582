"""Continuous Glucose Monitoring service (181F), and the driver `ble-cgm`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import cgm, cgm_session
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory, ProfileTask
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import READ_STORED
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.stored_records.numbered_records import NumberedRecords, SentRecord, fetch
from gatepost.drivers.ble.stored_records.racp_procedure import RacpProcedures, answer, record
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import DeviceIO
from gatepost.drivers.reading import FROM_MEMORY, Reply

MEASUREMENT, CONTROL, OPS = uuid(0x2AA7), uuid(0x2A52), uuid(0x2AAC)
FEATURE, START = uuid(0x2AA8), uuid(0x2AAA)
SAME_SESSION = timedelta(minutes=10)  # a start that was computed moves a little; a sensor warms up for longer than this
FETCH_ROUNDS = 3
CHECK_INTERVAL = 300.0  # seconds between two looks for records that did not come by themselves, and for a new session


class CgmProfile(GattProfile):
    """CGM profile. Records are known by their minutes since the start of the session, which the mark names."""

    service = uuid(0x181F)
    title = "continuous glucose sensor"
    stores = True
    driver = "ble-cgm"
    streams = (MEASUREMENT, CONTROL)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._mark = memory.mark("continuous-glucose")
        known = memory.bookmarks.get(self._mark)
        self.ledger = NumberedRecords(known, wraps=False)
        self._start = _time(known.get("session")) if isinstance(known, dict) else None  # of the session in the ledger
        self._session: cgm_session.CgmSession | None = None
        self._feature: cgm_session.CgmFeature | None = None

    # -- sans-I/O

    def decode(self, value: GattValue) -> Items:
        if value.uuid == CONTROL:
            return answer(value.data)
        if value.uuid == OPS:
            response = cgm_session.decode_ops(value.data, self._crc)
            return [Reply("cgm-ops", {"request_op": response.request_op, "response_code": response.response_code})]
        items: Items = []
        for each in cgm.decode(value.data, self._crc):
            items += self._measured(each)
        return items

    @property
    def _crc(self) -> bool | None:
        return None if self._feature is None else self._feature.e2e_crc

    def _measured(self, measurement: cgm.CgmRecord) -> Items:
        stamp = SentRecord(measurement.time_offset_min, "")
        stored = self.ledger.stores(stamp)
        if self.ledger.probing or not self.ledger.take(stamp):
            return [record(number=stamp.number, stamp="")]
        if not self.memory.options.records:
            self.ledger.pass_over()
        self._fetched += 1
        mark = {**self.ledger.mark(), "session": self._start.isoformat() if self._start else None}
        reading = cgm.reading(measurement, self._session, self._feature, (self._mark, mark))
        if stored:
            reading.flags = (*reading.flags, FROM_MEMORY)
        return [reading]

    def began(self, session: cgm_session.CgmSession) -> None:
        """Take the session of the device: another one than that of the bookmark starts anew."""
        start = session.start.moment()
        self._session = session if start is not None else None
        if start is None:
            return
        if self._start is not None and abs(start - self._start) > SAME_SESSION:
            self.ledger.restart()
        if self._start is None or abs(start - self._start) > SAME_SESSION:
            self._start = start

    # -- said to the device

    async def prepare(self, session: ProfileSession) -> None:
        data = await session.read(FEATURE, self.service)
        if data is not None:
            try:
                self._feature = cgm_session.decode_feature(data)
            except FrameError as wrong:
                self.memory.faults.add(wrong.kind, "the features of the sensor cannot be read")
        await self._look_at_session(session)

    async def _look_at_session(self, session: ProfileSession) -> None:
        data = await session.read(START, self.service)
        if data is None:
            return
        try:
            self.began(cgm_session.decode_session_start(data, self._crc))
        except FrameError as wrong:
            self.memory.faults.add(wrong.kind, "the start of the session cannot be read")

    async def begin(self, session: ProfileSession) -> None:
        if self.memory.options.records and session.find(CONTROL, self.service) is not None:
            await self.read_stored(session, session.io, False)
        self.ledger.caught_up = True

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        control = self.control_point(session, CONTROL)
        async with session.asking:
            self._fetched = 0
            self.ledger.caught_up = False
            ask = RacpProcedures(session, io, control)
            for _ in range(FETCH_ROUNDS):  # what was measured meanwhile did not come live
                before = self._fetched
                await fetch(self.ledger, ask, everything)
                if self._fetched == before:
                    break
            self.ledger.caught_up = True
        return {"records": self._fetched}

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        async def look(io: DeviceIO) -> None:
            await self._look_at_session(session)
            await self.begin(session)

        return [ProfileTask(CHECK_INTERVAL, look)]


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None


class BleCgm(BleDriver):
    """Sensors under the skin that speak the standard service. Never starts, stops or calibrates a session."""

    name = "ble-cgm"
    title = "Continuous glucose monitors (Bluetooth CGM profile)"
    metrics = ("continuous_glucose",)
    services = (CgmProfile.service,)
    keeps_records = True
    options_type = RecordOptions
    commands: ClassVar = (READ_STORED,)
    source = "Bluetooth SIG: Continuous Glucose Monitoring Service 1.0.2, GATT Specification Supplement"
