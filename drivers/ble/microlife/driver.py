"""Driver `ble-microlife`: the cuff Microlife BP3GY1-2N. Its measurements are read; nothing is written to it."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.microlife.frames import RECORD, RECORDS_HEAD, WORDS, MicrolifeFrames, decode_records, request
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import READ_STORED
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedRecords
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import DeviceIO, ForbiddenWrite, ScanHints, SupportedDevice
from gatepost.drivers.reading import FROM_MEMORY, Reading, Reply, wall_time

ANSWER_LIMIT = 20.0  # seconds: all measurements come in one answer
CONTROL = uuid(0xFFF2)
UNITS = {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "heart_rate": "/min"}
ANSWER = "microlife"


class MicrolifeProfile(GattProfile):
    """Profile of the cuff."""

    service = uuid(0xFFF0)
    title = "Microlife cuff"
    driver = "ble-microlife"
    streams = (uuid(0xFFF1),)
    stores = True

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._frames = MicrolifeFrames(self.frame_fault)
        self._records = UnnumberedRecords(memory, "microlife")

    def decode(self, value: GattValue) -> Items:
        items: Items = []
        for data in self._frames.feed(value.data):
            if len(data) >= RECORDS_HEAD and (len(data) - RECORDS_HEAD) % RECORD == 0:
                for found in decode_records(data):
                    items += self._give(found)
            items.append(Reply(ANSWER, {"octets": len(data)}))
        return items

    def _give(self, found: dict[str, Any]) -> Items:
        time = wall_time(found["time"])
        values = {name: found[name] for name in UNITS}
        flags = (FROM_MEMORY,) if time else (FROM_MEMORY, "clock-not-set")
        told = time.isoformat() if time else None
        reading = Reading("blood_pressure", values, dict(UNITS), flags, device_time=told)
        items = self._records.give(reading, str(found["time"]))
        self._fetched += sum(isinstance(item, Reading) for item in items)
        return items

    async def begin(self, session: ProfileSession) -> None:
        if self.memory.options.records:
            await self.read_stored(session, session.io, False)
            self._done = True

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        control = self.control_point(session, CONTROL)
        async with session.asking:
            self._fetched = 0
            self._frames.clear()
            await session.write(control, request(WORDS["records"]))
            await io.wait(lambda item: (isinstance(item, Reply) and item.kind == ANSWER) or None, ANSWER_LIMIT)
        return {"records": self._fetched}

    async def farewell(self, session: ProfileSession) -> None:
        await session.bid_farewell(CONTROL, self.service, request(WORDS["disconnect"]))


ALLOWED = b"|".join(re.escape(request(word)) for word in WORDS.values())


class BleMicrolife(BleDriver):
    """Microlife's cuff."""

    name = "ble-microlife"
    title = "Microlife BP3GY1-2N blood pressure monitor"
    metrics = ("blood_pressure",)
    services = (MicrolifeProfile.service,)
    brings = (MicrolifeProfile,)
    streams = False
    keeps_records = True
    options_type = RecordOptions
    example_options: ClassVar[dict[str, Any]] = {"pair": "always"}
    commands: ClassVar = (READ_STORED,)
    scan_hints = ScanHints(names=("BP3GY1",))
    forbidden = (
        *FORBIDDEN,
        ForbiddenWrite("configure", re.compile(rb"\A(?!(?:" + ALLOWED + rb")\Z)", re.DOTALL), CONTROL),
    )
    devices = (SupportedDevice("Microlife", ("BP3GY1-2N",), "cuff", "not seen"),)
    source = "one owner's tool; not seen on a device"
