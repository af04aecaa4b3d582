"""Profiles of Omron devices: the memory is read, nothing in it is ever written.

Classic devices speak over four channels and are unlocked by the key that this gateway once gave them (command `pair`);
newer ones over one channel, bonded by the system, some of them after a token.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, ClassVar

from gatepost.drivers.ble.omron import frames
from gatepost.drivers.ble.omron.layouts import OmronLayout, RecordRing, find_layout
from gatepost.drivers.ble.omron.memory import OmronMemory
from gatepost.drivers.ble.omron.readings import record_reading
from gatepost.drivers.ble.omron.records import CLOCKS, RECORDS, decode_clock
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.device_information import DEVICE_INFORMATION
from gatepost.drivers.ble.stored_records.unnumbered_records import OLD_AFTER
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, DeviceIO, WrongDevice
from gatepost.drivers.reading import FROM_MEMORY, Reading, Reply, wall_time
from gatepost.drivers.record_digests import RecordDigests, digest_of

TAIL = "-0002a5d5c51b"
NOTIFY = tuple(
    head + TAIL
    for head in (
        "49123040-aee8-11e1-a74d",
        "4d0bf320-aee8-11e1-a0d9",
        "5128ce60-aee8-11e1-b84b",
        "560f1420-aee8-11e1-8184",
    )
)
WRITE = tuple(
    head + TAIL
    for head in (
        "db5b55e0-aee7-11e1-965e",
        "e0b8a060-aee7-11e1-92f4",
        "0ae12b00-aee8-11e1-a192",
        "10e1ba60-aee8-11e1-89e5",
    )
)
UNLOCK = "b305b680-aee7-11e1-a730" + TAIL
MODEL = uuid(0x2A24)

ANSWER_LIMIT = 5.0  # seconds, of an answer to what unlocks
PAIR_TRIES = 3
LATE = timedelta(minutes=10)  # a clock that is off by more was not set
SPARE = 28  # records that are remembered beyond those of a ring

UNLOCKED, LOCKED, PROGRAMMING, PROGRAMMED, TOKEN = 0x81, 0x01, 0x82, 0x80, 0x91


class OmronProfile(GattProfile):
    """Base profile. Its decoder gives each record that is part of an answer, once, and every answer as a Reply."""

    title = "Omron device"
    driver = "ble-omron"
    stores = True
    channels: ClassVar[int] = 4

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        octets = frames.CHANNEL_OCTETS if self.channels > 1 else 256
        self._frames = frames.ChannelFrames(self.frame_fault, octets)
        self.layout: OmronLayout | None = find_layout(memory.options.model) if memory.options.model else None
        self.looking = False  # records are only looked at
        self._part = (0, b"")  # the address of a record that has not come whole, and what came of it
        self._digests: dict[int, RecordDigests] = {}
        self._read_whole: set[int] = memory.kept.setdefault("omron-whole", set())  # users
        self._clock: Any = None  # what the device's clock said
        self._clock_wrong = False
        self._open: OmronMemory | None = None

    # -- sans-I/O

    def decode(self, value: GattValue) -> Items:
        if value.uuid == UNLOCK:
            if not value.data:
                raise FrameError("truncated")
            return [Reply("omron-unlock", {"code": value.data[0], "rest": value.data[1:].hex()})]
        if value.uuid not in NOTIFY:
            raise FrameError("unsupported")
        items: Items = []
        for frame in self._frames.feed(NOTIFY.index(value.uuid), value.data):
            if frame.type == frames.READ and not frame.status and not self.looking:
                items += self._records(frame.address, frame.data)
            items.append(Reply("omron", {**frame._asdict(), "data": frame.data.hex()}))
        return items

    def _records(self, address: int, data: bytes) -> list[Reading]:
        ring = self.layout.ring_at(address) if self.layout is not None else None
        if self.layout is None or ring is None:
            return []
        size = self.layout.size
        begun, held = self._part
        if held and begun + len(held) == address:
            address, data = begun, held + data
        self._part = (0, b"")
        if (address - ring.address) % size:
            return []
        found = []
        whole = len(data) // size * size
        for at in range(0, min(whole, ring.address + ring.slots * size - address), size):
            reading = self._give(ring, data[at : at + size])
            found += [reading] if reading is not None else []
        self._part = (address + whole, data[whole:])
        return found

    def _give(self, ring: RecordRing, octets: bytes) -> Reading | None:
        """None = the slot is empty, or its record was taken before."""
        assert self.layout is not None
        record = RECORDS[self.layout.spec.record][1](octets)
        if record is None or not self.taken(ring.user).add(digest_of(octets.hex())):
            return None
        reading = record_reading(record, ring.user if len(self.layout.rings) > 1 else None)
        reading.bookmark = (self._mark(ring.user), self.taken(ring.user).dump())
        if self._clock_wrong and "clock-not-set" not in reading.flags:
            reading.flags = (*reading.flags, "clock-not-set")
        time = wall_time(record["time"])
        if self._clock is None or time is None or time < self._clock - OLD_AFTER:
            reading.flags = (*reading.flags, FROM_MEMORY)
        self._fetched += 1
        return reading

    def _mark(self, user: int) -> str:
        return self.memory.mark(f"omron-{user}")

    def taken(self, user: int) -> RecordDigests:
        """What was taken of the records of a user."""
        if user not in self._digests:
            assert self.layout is not None
            mark = self.memory.bookmarks.get(self._mark(user))
            self._digests[user] = RecordDigests(mark, self.layout.most + SPARE)
        return self._digests[user]

    # -- a session

    async def prepare(self, session: ProfileSession) -> None:
        """WrongDevice where the model is not known."""
        told = self.memory.options.model
        if not told:
            data = await session.read(MODEL, DEVICE_INFORMATION)
            told = "" if data is None else data.split(b"\0")[0].decode("utf-8", "replace").strip()
        self.layout = find_layout(told, self.channels)
        if self.layout is None:
            named = f"the model {told!r}" if told else "its model"
            raise WrongDevice(f"{named} is not known to {self.driver}; set the option `model`, as HEM-7322T")

    async def begin(self, session: ProfileSession) -> None:
        if not await self._unlock(session):
            return  # it may be paired now, by the command
        if self.memory.options.records:
            await self.read_stored(session, session.io, False)
            self._done = True

    async def _unlock(self, session: ProfileSession) -> bool:
        assert self.layout is not None
        wanted = self.layout.spec.unlock
        if session.find(UNLOCK, self.service) is None or wanted == "none":
            return True
        if wanted == "token":
            token = secrets.token_bytes(4)
            answer = await self._say(session, session.io, b"\x11" + token + bytes(15), TOKEN)
            if answer is not None and answer.startswith("00" + token.hex()):
                return True
            session.faults.add("not-paired", "it did not take the token: put it in pairing mode and give `pair`")
            return False
        key = self.memory.options.key
        if not key:
            session.faults.add("not-paired", "it needs a key: set the option `key` and give the command `pair`")
            return False
        if await self._say(session, session.io, bytes((LOCKED,)) + bytes.fromhex(key), UNLOCKED) in ("", "00"):
            return True
        session.faults.add("not-paired", "it does not know this key: put it in pairing mode and give `pair`")
        return False

    async def _say(self, session: ProfileSession, io: DeviceIO, data: bytes, code: int) -> str | None:
        """Write to the lock; the rest of its answer with this code, None = there was none."""
        control = session.find(UNLOCK, self.service)
        if control is None:
            raise CommandFailed("unsupported", "this device has no lock")
        await session.write(control, data)

        def answered(item: Reading | Reply) -> tuple[int, str] | None:
            if isinstance(item, Reply) and item.kind == "omron-unlock":
                return item.fields["code"], item.fields["rest"]
            return None

        try:
            told, rest = await io.wait(answered, ANSWER_LIMIT)
        except TimeoutError:
            return None
        return str(rest) if told == code else None

    async def pair(self, session: ProfileSession, io: DeviceIO) -> dict[str, Any]:
        """Bond, and give it the key of the options, which it keeps instead of the one before. CommandFailed."""
        assert self.layout is not None
        if self.layout.spec.unlock != "key":
            await session.peripheral.pair()
            return {"paired": True}
        if not self.memory.options.key:
            raise CommandFailed("no-key", "set the option `key` first: 32 hex digits at random")
        for _ in range(PAIR_TRIES):
            if await self._say(session, io, b"\x02" + bytes(16), PROGRAMMING) is not None:
                break
        else:
            raise CommandFailed("not-in-pairing-mode", "it is not in pairing mode: hold its key until -P- blinks")
        if await self._say(session, io, b"\x00" + bytes.fromhex(self.memory.options.key), PROGRAMMED) is None:
            raise CommandFailed("refused", "the device did not take the key")
        return {"paired": True}

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        assert self.layout is not None
        control = self.control_point(session, WRITE[0])
        async with session.asking:
            self._fetched = 0
            self._frames.clear()
            memory = self._open = OmronMemory(session, io, control)
            await memory.open()
            await self._look_at_clock(session, memory)
            for ring in self.layout.rings:
                await self._fetch(memory, io, ring, everything)
            await memory.close()
            self._open = None
        return {"records": self._fetched}

    async def farewell(self, session: ProfileSession) -> None:
        if self._open is not None:
            await self._open.leave()

    # -- what is read

    async def _look_at_clock(self, session: ProfileSession, memory: OmronMemory) -> None:
        """The clock is read and never set: it lies in the memory."""
        assert self.layout is not None
        place, settings = self.layout.spec.clock, self.layout.settings
        if place is None or settings is None:
            return
        try:
            told = decode_clock(await memory.read(settings + place.at, CLOCKS[place.form][0]), place.form)
        except FrameError:
            return
        self._clock = wall_time(told["time"]) if told["checksum_ok"] else None
        now = session.io.now()
        self._clock_wrong = self._clock is None or (now.trusted and abs(self._clock - now.local) > LATE)
        if self._clock_wrong:
            session.faults.add("clock-not-set", "the clock of the device is wrong: set it on the device or in its app")

    async def _fetch(self, memory: OmronMemory, io: DeviceIO, ring: RecordRing, everything: bool) -> None:
        """Records of one user, the oldest first; what is known is not read where the index tells where it ends."""
        assert self.layout is not None
        self.looking = True
        try:
            slots = await self._wanted(memory, ring, everything)
        finally:
            self.looking = False
        whole = len(slots) == ring.slots
        if whole:
            self._read_whole.discard(ring.user)
        size, done = self.layout.size, 0
        each = max(1, frames.MOST_OCTETS // size)
        while slots:
            run = 1
            while run < min(each, len(slots)) and slots[run] == slots[0] + run:
                run += 1
            await memory.read(ring.address + slots[0] * size, run * size)
            slots, done = slots[run:], done + run
            io.progress("records", done, done + len(slots))
        if whole:
            self._read_whole.add(ring.user)

    async def _wanted(self, memory: OmronMemory, ring: RecordRing, everything: bool) -> list[int]:
        """Slots to read, the oldest first: those after the newest record that is known. All where that cannot be told,
        and until all were read once since the start: what was interrupted may have left some out."""
        assert self.layout is not None
        newest = await self._newest(memory, ring)
        if newest is None:
            return list(range(ring.slots))
        if newest < 0:
            return []
        taken, new = self.taken(ring.user), ring.slots
        if ring.user in self._read_whole and len(taken) and not everything:
            new = 0
            while new < ring.slots:
                octets = await self._slot(memory, ring, newest - new)
                if digest_of(octets.hex()) in taken or RECORDS[self.layout.spec.record][1](octets) is None:
                    break
                new += 1
        return [(newest + 1 + place) % ring.slots for place in range(ring.slots - new, ring.slots)]

    async def _newest(self, memory: OmronMemory, ring: RecordRing) -> int | None:
        """The slot of the newest record by the index; -1 = there is none, None = the index cannot be believed. Models
        write the two octets of it in either order, so the records must bear it out."""
        assert self.layout is not None
        settings = self.layout.settings
        if settings is None or ring.user > 2:
            return None
        index = await memory.read(settings, 8)
        pair = index[2 * ring.user - 2 : 2 * ring.user]
        decode = RECORDS[self.layout.spec.record][1]
        cursors = [] if sorted(pair) == [0x00, 0x80] else [each for each in (pair[1], pair[0]) if each <= ring.slots]
        empty = True
        for cursor in dict.fromkeys(cursors):
            newest = decode(await self._slot(memory, ring, cursor - 1))
            oldest = decode(await self._slot(memory, ring, cursor))
            if newest is not None and (oldest is None or oldest["time"] <= newest["time"]):
                return (cursor - 1) % ring.slots
            empty = empty and newest is None and oldest is None
        return -1 if empty and decode(await self._slot(memory, ring, 0)) is None else None

    async def _slot(self, memory: OmronMemory, ring: RecordRing, slot: int) -> bytes:
        assert self.layout is not None
        size = self.layout.size
        return await memory.read(ring.address + slot % ring.slots * size, size)


class ClassicOmronProfile(OmronProfile):
    """Profile of the devices with four channels."""

    service = "ecbe3980-c9a2-11e1-b1bd-0002a5d5c51b"
    streams = (*NOTIFY, UNLOCK)


class NewOmronProfile(OmronProfile):
    """Profile of the devices with one channel."""

    service = uuid(0xFE4A)
    channels = 1
    streams = (NOTIFY[0], UNLOCK)


PROFILES = (ClassicOmronProfile, NewOmronProfile)
