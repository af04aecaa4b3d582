"""Driver `ble-viatom-bp2`: cuffs BP2, BP2A, BP2W and LP-BP2W, of which the stored file is read. Nothing that inflates
the cuff is ever said."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.profile import Items, ProfileMemory, ProfileTask
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import READ_STORED, SYNC_TIME
from gatepost.drivers.ble.profiles.decoder import TICK
from gatepost.drivers.ble.profiles.device_clock import keep_own_clock
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedRecords
from gatepost.drivers.ble.viatom import cuff_values, ring_values
from gatepost.drivers.ble.viatom.conversation import ViatomProfile
from gatepost.drivers.ble.viatom.cuff_values import Fields
from gatepost.drivers.ble.viatom.frames import LEPU, REQUEST, ViatomFrame, lepu_request, requests_but
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, DeviceIO, ForbiddenWrite, ScanHints, SessionOver, SupportedDevice
from gatepost.drivers.reading import Reading, measured, wall_time

POLL_INTERVAL = 3.0  # seconds
IDLE_LIMIT = 120.0  # seconds without a measurement, until the cuff is left alone
REST = 15.0
LONGEST_FILE = cuff_values.LIST_HEAD + 500 * cuff_values.LIST_RECORD
MOST_FILES = 64  # of an older cuff, each with one measurement
UNITS = {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "mean": "mm[Hg]", "heart_rate": "/min"}
ALLOWED = (
    cuff_values.POLL,
    cuff_values.BATTERY,
    cuff_values.SET_TIME,
    cuff_values.INFO,
    cuff_values.LIST,
    cuff_values.START,
    cuff_values.DATA,
    cuff_values.END,
)


def record_reading(record: Fields) -> Reading:
    """A stored measurement; its time is that of the cuff's own clock, which has no zone."""
    time = datetime.fromtimestamp(record["unix"], UTC).replace(tzinfo=None).isoformat()
    flags = ("irregular-pulse",) if record.get("irregular_pulse") else ()
    reading = measured("blood_pressure", {name: record[name] or None for name in UNITS}, UNITS, flags=flags)
    reading.device_time = time
    if record.get("user"):
        reading.values["user_id"] = record["user"]
    return reading


class CuffProfile(ViatomProfile):
    """Profile of the cuffs."""

    service = "14839ac4-7d7e-415c-9a42-167340cf2339"
    title = "Viatom cuff"
    driver = "ble-viatom-bp2"
    streams = ("0734594a-a8e7-4b1a-a6b1-cd5243059a57",)
    control = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._records = UnnumberedRecords(memory, "cuff")
        self._read: list[Fields] = []  # that are on their way into the gateway
        self._sequence = 0
        self._active = False  # a measurement was seen whose record was not read yet
        self._quiet_since = 0.0

    # -- sans-I/O

    def _live(self, frame: ViatomFrame) -> Items:
        if frame.code != cuff_values.LIVE or not frame.reply:
            return []
        found = cuff_values.decode_live(frame.data)
        out = self._charge(found["battery"])
        if found["kind"] == "measuring":
            out.append(Reading("cuff_pressure", {"pressure": found["pressure"]}, {"pressure": "mm[Hg]"}))
        return out

    def flush(self) -> Items:
        records, self._read = self._read, []
        items = [item for record in records for item in self._records.give(record_reading(record), str(record["unix"]))]
        self._fetched += sum(isinstance(item, Reading) for item in items)
        return items

    # -- a session

    async def _ask(self, session: ProfileSession, io: DeviceIO, command: int, data: bytes = b"") -> bytes:
        self._sequence = (self._sequence + 1) & 0xFF
        return await self._request(session, io, lepu_request(command, data, self._sequence), command)

    async def begin(self, session: ProfileSession) -> None:
        io = session.io
        async with session.asking:
            told = cuff_values.decode_info(await self._ask(session, io, cuff_values.INFO))
        io.update_status(serial_number=told["serial_number"], model=told["model"])
        shown = wall_time(told["clock"])
        self._records.device_clock = shown
        await keep_own_clock(session, self, shown, self.memory.options.set_clock)
        if self.memory.options.records:
            await self.read_stored(session, io, False)
        self._quiet_since = asyncio.get_running_loop().time()

    async def set_own_clock(self, session: ProfileSession, io: DeviceIO, moment: datetime) -> None:
        async with session.asking:
            await self._ask(session, io, cuff_values.SET_TIME, ring_values.clock_octets(moment))

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        async def poll(io: DeviceIO) -> None:
            async with session.asking:
                state = cuff_values.decode_state(await self._ask(session, io, cuff_values.POLL))["state"]
            now = asyncio.get_running_loop().time()
            if state not in cuff_values.IDLE:
                self._active, self._quiet_since = True, now
            if self._active and state in (*cuff_values.RESULT, *cuff_values.IDLE) and self.memory.options.records:
                await self.read_stored(session, io, False)
                self._active = state in cuff_values.RESULT and not self._fetched
            if now - self._quiet_since > IDLE_LIMIT:
                raise SessionOver("nothing was measured for two minutes", REST)

        return [ProfileTask(POLL_INTERVAL, poll)]

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        async with session.asking:
            self._fetched = 0
            self._read = await self._all_records(session, io)
            io.feed(TICK)
            await io.stored()
        return {"records": self._fetched}

    async def _all_records(self, session: ProfileSession, io: DeviceIO) -> list[Fields]:
        """Of the one file with all measurements, or of the files of an older cuff."""
        data = await self._file(session, io, cuff_values.FILE)
        if data:
            return cuff_values.decode_list(data)
        records = []
        for name in ring_values.decode_list(await self._ask(session, io, cuff_values.LIST))[:MOST_FILES]:
            known = self.memory.kept.setdefault("cuff-files", {})
            if name not in known:
                try:
                    known[name] = cuff_values.decode_file(await self._file(session, io, name))
                except FrameError:
                    known[name] = None  # a curve, or something that is not known
            if known[name] is not None and known[name]["unix"]:
                records.append(known[name])
        return records

    async def _file(self, session: ProfileSession, io: DeviceIO, name: str) -> bytes:
        """Empty where the cuff has none."""
        wanted = name.encode("ascii", "replace")[: ring_values.NAME_OCTETS].ljust(ring_values.NAME_OCTETS, b"\0")
        size = int.from_bytes((await self._ask(session, io, cuff_values.START, wanted + bytes(4)))[:4], "little")
        if size > LONGEST_FILE:
            raise CommandFailed("incomplete", "the cuff names a file that is longer than any can be")
        data = b""
        try:
            while len(data) < size:
                part = await self._ask(session, io, cuff_values.DATA, len(data).to_bytes(4, "little"))
                if not part:
                    raise CommandFailed("incomplete", f"the cuff gave {len(data)} of {size} octets of its file")
                data += part
        finally:
            await self._ask(session, io, cuff_values.END)
        return data[:size]


class BleViatomBp2(BleDriver):
    """Viatom's cuffs."""

    name = "ble-viatom-bp2"
    title = "Viatom and Wellue cuffs BP2, BP2A, BP2W, LP-BP2W: what they stored"
    metrics = ("blood_pressure", "cuff_pressure")
    services = (CuffProfile.service,)
    brings = (CuffProfile,)
    streams = False
    keeps_records = True
    options_type = RecordOptions
    example_options: ClassVar[dict[str, Any]] = {"records": True}
    commands: ClassVar = (READ_STORED, SYNC_TIME)
    scan_hints = ScanHints(names=("BP2", "LP-BP2"))
    # The rest may inflate the cuff, switch it off, erase it, or tell the password of the WLAN: no word permits them.
    forbidden = (
        *FORBIDDEN,
        ForbiddenWrite("inflate-or-erase", requests_but(LEPU, ALLOWED), CuffProfile.control),
        ForbiddenWrite("inflate-or-erase", requests_but(REQUEST, ()), CuffProfile.control),
    )
    devices = (SupportedDevice("Viatom, Wellue", ("BP2", "BP2A", "BP2W", "LP-BP2W"), "cuff", "not seen"),)
    source = "one owner's notes and the maker's development kit; not seen on a device"
