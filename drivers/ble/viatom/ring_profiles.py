"""Profiles of Viatom's rings: live values while they are worn, and the recordings that they keep."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from gatepost.drivers.ble.profile import Items, ProfileMemory, ProfileTask
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.decoder import TICK
from gatepost.drivers.ble.profiles.device_clock import keep_own_clock
from gatepost.drivers.ble.viatom import cuff_values, ring_values
from gatepost.drivers.ble.viatom.conversation import ViatomProfile
from gatepost.drivers.ble.viatom.frames import ViatomFrame, ViatomFrames
from gatepost.drivers.ble.viatom.recordings import RingRecordings
from gatepost.drivers.ble.viatom.ring_values import Fields, ask, ask_new
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, DeviceIO, SessionOver
from gatepost.drivers.reading import BAD, GOOD, Reading, wall_time
from gatepost.drivers.stored_batches import hand_over

LOOK_INTERVAL = 600.0  # seconds between two looks at the list of recordings
LONGEST_FILE = 1 << 20  # octets; a day of a record each second is 260 kB
RETURN = 2.0  # seconds until a ring that gave its recordings is asked for live values
TIME_FORM = "%Y-%m-%d,%H:%M:%S"
SENSORS_OCTETS = 13  # of an answer
SENSORS_INTERVAL, LIVE_INTERVAL = 2.0, 1.0  # seconds
UNITS = {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%", "motion": "{raw}"}


class RingProfile(ViatomProfile):
    """Base profile of the rings."""

    title = "Viatom ring"
    driver = "ble-viatom-o2"

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self.recordings = RingRecordings(memory)
        self._worn: bool | None = None

    @property
    def fetched(self) -> int:
        return self.recordings.fetched

    def _values(self, found: Fields) -> Items:
        out: Items = []
        worn = found.get("worn")
        values = {name: found[name] for name in UNITS if found.get(name) is not None}
        reason = "no-finger" if worn is False else "no-signal"
        flags = tuple(f"{name}:{reason}" for name in ("spo2", "heart_rate") if name not in values)
        units = {name: UNITS[name] for name in values}
        out.append(Reading("pulse_oximetry", values, units, flags, BAD if len(flags) == 2 else GOOD))
        if worn is not None and worn is not self._worn:
            self._worn = worn
            out.append(Reading("state", {"worn": worn}))
        return [*out, *self._charge(found["battery"])]

    def flush(self) -> Items:
        return self.recordings.drain()

    # -- a session

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        async with session.asking:
            self.recordings.fetched = 0
            for name in self.recordings.wanted(await self._list(session, io)):
                data = await self._download(session, io, name)
                try:
                    self._offer(name, data)
                except FrameError as wrong:
                    self.frame_fault(wrong)
                await hand_over(io, self.recordings, TICK)
        return {"records": self.recordings.fetched}

    async def _fetch(self, session: ProfileSession) -> None:
        """A recording that does not come keeps nobody from the live values."""
        try:
            await self.read_stored(session, session.io, False)
        except CommandFailed as failed:
            if failed.key not in ("refused", "incomplete"):
                raise
            session.faults.add("not-fetched", str(failed))

    async def _list(self, session: ProfileSession, io: DeviceIO) -> list[str]:
        raise NotImplementedError

    async def _ask(self, session: ProfileSession, io: DeviceIO, command: str, **given: Any) -> bytes:
        raise NotImplementedError

    @staticmethod
    def _place(octets: int, block: int) -> dict[str, int]:
        """How the next part of a recording is named, of which so many octets came in so many blocks."""
        raise NotImplementedError

    async def _download(self, session: ProfileSession, io: DeviceIO, name: str) -> bytes:
        size = int.from_bytes((await self._ask(session, io, "open", name=name))[:4], "little")
        if size > LONGEST_FILE:
            raise CommandFailed("incomplete", "the ring names a recording that is longer than any can be")
        data, block = b"", 0
        try:
            while len(data) < size:
                part = await self._ask(session, io, "read", **self._place(len(data), block))
                if not part:
                    raise CommandFailed("incomplete", f"the ring gave {len(data)} of {size} octets of a recording")
                data, block = data + part, block + 1
                io.progress("octets", min(len(data), size), size)
        finally:
            await self._ask(session, io, "close")
        return data[:size]

    def _offer(self, name: str, data: bytes) -> None:
        """FrameError."""
        raise NotImplementedError


class OldRingProfile(RingProfile):
    """Profile of O2Ring, Checkme O2, SleepU, Oxylink. An answer does not say to what: one request at a time."""

    service = "14839ac4-7d7e-415c-9a42-167340cf2339"
    streams = ("0734594a-a8e7-4b1a-a6b1-cd5243059a57",)
    control = "8b00ace7-eb0b-49b0-bbe9-9aee0a26e1a3"
    frames = ViatomFrames

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._asked = ""  # what the next answer is for; empty: a recording, which does not say
        self._by_live = False

    def _live(self, frame: ViatomFrame) -> Items:
        if frame.code:
            return []  # the ring did not like the question
        data, kind = frame.data, self._asked
        if not kind and len(data) == SENSORS_OCTETS:
            kind = "sensors"
        elif not kind and int.from_bytes(data[10:12], "little") == len(data) - 12 > 0:
            kind = "live"
        if kind == "sensors":
            return self._values(ring_values.decode_sensors(frame.code, data))
        return self._values(ring_values.decode_live(frame.code, data)) if kind == "live" else []

    async def _ask(self, session: ProfileSession, io: DeviceIO, command: str, **given: Any) -> bytes:
        self._asked = command
        return await self._request(session, io, ask(command, **given), None)

    async def _info(self, session: ProfileSession, io: DeviceIO) -> Fields:
        told = ring_values.decode_info(await self._ask(session, io, "info"))
        known = {"serial_number": told.get("SN"), "model": told.get("Model"), "firmware": told.get("SoftwareVer")}
        io.update_status(**{name: text for name, text in known.items() if isinstance(text, str) and text})
        return told

    async def begin(self, session: ProfileSession) -> None:
        async with session.asking:
            told = await self._info(session, session.io)
        try:
            shown = datetime.strptime(str(told.get("CurTIME")), TIME_FORM)  # noqa: DTZ007  # a ring knows no zone
        except ValueError:
            shown = None
        await keep_own_clock(session, self, shown, self.memory.options.set_clock)
        if self.memory.options.records:
            await self._fetch(session)
        self._by_live = not await self._looks(session, session.io, "sensors")

    async def set_own_clock(self, session: ProfileSession, io: DeviceIO, moment: datetime) -> None:
        async with session.asking:
            await self._ask(session, io, "set_time", time=moment.strftime(TIME_FORM))

    async def _looks(self, session: ProfileSession, io: DeviceIO, command: str) -> bool:
        """Ask for live values; False where the ring does not know the question."""
        async with session.asking:
            try:
                await self._ask(session, io, command)
            except CommandFailed as refused:
                if refused.key != "refused":
                    raise
                return False
        return True

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        async def look(io: DeviceIO) -> None:
            await self._looks(session, io, "live" if self._by_live else "sensors")

        async def fetch(io: DeviceIO) -> None:
            await self._fetch(session)

        tasks = [ProfileTask(LIVE_INTERVAL if self._by_live else SENSORS_INTERVAL, look)]
        return [*tasks, ProfileTask(LOOK_INTERVAL, fetch)] if self.memory.options.records else tasks

    async def _list(self, session: ProfileSession, io: DeviceIO) -> list[str]:
        return ring_values.files_of(await self._info(session, io))

    @staticmethod
    def _place(octets: int, block: int) -> dict[str, int]:
        return {"block": block}

    def _offer(self, name: str, data: bytes) -> None:
        file = ring_values.read_file(data)
        self.recordings.offer(name, file, wall_time(file.summary["time"]))


class NewRingProfile(RingProfile):
    """Profile of the O2Ring S and S8-AW. It gives recordings or live values in one connection, not both."""

    service = "e8fb0001-a14b-98f9-831b-4e2941d01248"
    streams = ("e8fb0003-a14b-98f9-831b-4e2941d01248",)
    control = "e8fb0002-a14b-98f9-831b-4e2941d01248"

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._sequence = 0

    def _live(self, frame: ViatomFrame) -> Items:
        if frame.code != ring_values.NEW_LIVE or not frame.reply:
            return []
        return self._values(ring_values.decode_new_live(frame.data))

    async def _ask(self, session: ProfileSession, io: DeviceIO, command: str, **given: Any) -> bytes:
        self._sequence = (self._sequence + 1) & 0xFF
        request = ask_new(command, self._sequence, **given)
        return await self._request(session, io, request, request[1])

    async def begin(self, session: ProfileSession) -> None:
        io = session.io
        async with session.asking:
            await self._say(session, ask_new("auth", time=int(io.now().local.timestamp())))
            await self._say(session, ask_new("hello-info"))
            told = cuff_values.decode_info(await self._ask(session, io, "info"))
        io.update_status(serial_number=told["serial_number"], model=told["model"])
        await keep_own_clock(session, self, wall_time(told["clock"]), self.memory.options.set_clock)
        if self.memory.options.records and self._look_is_due():
            await self._fetch(session)
            raise SessionOver("its recordings are stored; live values come in the next connection", RETURN)

    def _look_is_due(self) -> bool:
        now, last = asyncio.get_running_loop().time(), self.memory.kept.get("ring-looked")
        if last is not None and now - last < LOOK_INTERVAL:
            return False
        self.memory.kept["ring-looked"] = now
        return True

    async def set_own_clock(self, session: ProfileSession, io: DeviceIO, moment: datetime) -> None:
        async with session.asking:
            await self._ask(session, io, "set_time", time=moment)

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        async def look(io: DeviceIO) -> None:
            async with session.asking:
                await self._ask(session, io, "live")

        async def leave(io: DeviceIO) -> None:
            raise SessionOver("to look at its recordings", RETURN)

        tasks = [ProfileTask(LIVE_INTERVAL, look)]
        return [*tasks, ProfileTask(LOOK_INTERVAL, leave)] if self.memory.options.records else tasks

    async def _list(self, session: ProfileSession, io: DeviceIO) -> list[str]:
        await self._ask(session, io, "close")
        return ring_values.decode_list(await self._ask(session, io, "list"))

    @staticmethod
    def _place(octets: int, block: int) -> dict[str, int]:
        return {"offset": octets}

    def _offer(self, name: str, data: bytes) -> None:
        file = ring_values.read_new_file(data)
        if file.summary["finished"]:  # else it is still being written
            self.recordings.offer(name, file, ring_values.time_of(name))


PROFILES = (OldRingProfile, NewRingProfile)
