"""Driver `onetouch-ultra2`: OneTouch Ultra2 glucose meters on their serial cable."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.driver import (
    Command,
    CommandFailed,
    DeviceIO,
    Driver,
    ForbiddenWrite,
    ScanHints,
    ScanProbe,
    SerialSettings,
    SyncTime,
    Twin,
    WrongDevice,
)
from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.onetouch.decoder import OneTouchDecoder
from gatepost.drivers.serial.onetouch.twin import OneTouchTwin

WAKE = b"\x11\r"
MODEL = "Y"  # at the end of a serial number
ANSWER_TIMEOUT = 2.0  # seconds that one answer may take
READ_TRIES = 3  # an answer, a dump: the meter may just be waking up, a line may be disturbed


class OneTouchOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often the meter is looked for and read."""

    interval: Annotated[float, Meta(ge=1, le=3600, description="seconds between two looks for it")] = 15.0
    reread: Annotated[
        float, Meta(ge=10, le=86400, description="seconds after which a meter that stays connected is read again")
    ] = 600.0


class IncompleteMemory(CommandFailed):
    """Lines of the memory were lost or wrong, three times over."""


class OneTouchUltra2(Driver):
    """Asks, never erases: memory is read when a meter is plugged in and then now and then; new records are given."""

    name = "onetouch-ultra2"
    title = "OneTouch Ultra2 glucose meter"
    line = SerialSettings(9600, 8, "N", 1)
    metrics = ("glucose",)
    streams = False
    keeps_records = True
    options_type = OneTouchOptions
    example_options: ClassVar[dict[str, Any]] = {"interval": 15.0}
    commands = (
        Command("read_stored", "Read the memory now", timeout=180.0),
        Command("sync_time", "Set the meter's clock", SyncTime, 20.0, {"time": "2026-11-20T10:30:00"}),
    )
    scan_hints = ScanHints(identifying_replies=("serial_number",), probes=(ScanProbe(WAKE + b"DM@\r"),))
    forbidden = (ForbiddenWrite("erase", re.compile(rb"[Dd][Mm][Zz]")),)
    source = "LifeScan OneTouch Ultra2 RS-232 communication specification"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._turn = asyncio.Lock()  # one dialogue at a time

    def decoder(self) -> OneTouchDecoder:
        return OneTouchDecoder(self.bookmarks)

    async def run_session(self, io: DeviceIO) -> None:
        read = None  # when its memory was read last, whole
        while True:
            async with self._turn:
                now = asyncio.get_running_loop().time()
                try:
                    await _identify(io)
                    if read is None or now - read >= self.options.reread:
                        await _introduce(io)
                        await _read_memory(io)
                        read = now
                except TimeoutError:
                    raise LinkFailed(
                        Reason.SILENT, "the meter does not answer", "plug its cable in; it then shows PC"
                    ) from None
                except IncompleteMemory:
                    read = None  # what is missing comes with the next look
            await io.stored()
            await asyncio.sleep(self.options.interval)

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command not in ("read_stored", "sync_time"):
            return await super().execute(command, parameters, io)
        async with self._turn:
            if command == "read_stored":
                done = await _read_memory(io)
                await io.stored()
                return done
            assert isinstance(parameters, SyncTime)
            return await _set_clock(io, parameters.time)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return OneTouchTwin(seed)


async def _ask(io: DeviceIO, words: bytes, kind: str) -> dict[str, Any]:
    """The answer to a question; TimeoutError after three, WrongDevice when something else answered each time."""
    strange = False
    babble = 0

    def answer(item: Reading | Reply) -> dict[str, Any] | None:
        nonlocal strange
        strange = True
        return item.fields if isinstance(item, Reply) and item.kind == kind else None

    for _ in range(READ_TRIES):
        strange = False
        await io.send(WAKE + words + b"\r")
        try:
            return await io.wait(answer, ANSWER_TIMEOUT)
        except TimeoutError:
            babble += strange
    if babble == READ_TRIES:
        raise WrongDevice("the device is not a OneTouch Ultra2: check `port` and its line settings")
    raise TimeoutError


async def _identify(io: DeviceIO) -> None:
    serial: str = (await _ask(io, b"DM@", "serial_number"))["serial_number"]
    if not serial.endswith(MODEL):
        raise WrongDevice(f"the meter {serial} is not a OneTouch Ultra2: their serial numbers end in {MODEL}")
    io.update_status(serial_number=serial)


async def _introduce(io: DeviceIO) -> None:
    """What people want to know of a meter: its firmware, what it shows, how wrong its clock is."""
    io.update_status(firmware=(await _ask(io, b"DM?", "version"))["version"])
    io.update_status(display_unit=(await _ask(io, b"DMSU?", "unit"))["unit"])
    clock = datetime.fromisoformat((await _ask(io, b"DMF", "clock"))["time"])
    now = io.now()
    if now.trusted:
        io.update_status(clock_offset=round((clock - now.local).total_seconds()))


async def _read_memory(io: DeviceIO) -> dict[str, Any]:
    """Every record; again when a line of the dump was lost or wrong. TimeoutError, Incomplete."""
    new = 0
    for _ in range(READ_TRIES):
        done = await _dump(io)
        new += done["new"]
        if not done["bad"]:
            return {"records": done["records"], "new": new}
    raise IncompleteMemory(
        "incomplete", f"{done['bad']} of {done['records']} lines were lost or wrong, three times over"
    )


async def _dump(io: DeviceIO) -> dict[str, int]:
    """One dump: how many records it should have, how many lines were lost or wrong, how many records are new."""
    await io.send(WAKE + b"DMP\r")
    first = await io.wait(lambda item: item, ANSWER_TIMEOUT)
    begun = isinstance(first, Reply) and first.kind == "memory"
    total = first.fields["count"] if isinstance(first, Reply) and begun else 0
    heard = new = bad = 0
    while heard < total or not begun:  # a dump whose beginning was lost is listened to until it is over
        try:
            what = await io.wait(_line, ANSWER_TIMEOUT)
        except TimeoutError:
            break
        heard += 1
        new += what == "new"
        bad += what == "bad"
        io.progress("reading the memory", heard, total or None)
    return {"records": total or heard, "new": new, "bad": bad + total - heard if begun else heard + 1}


def _line(item: Reading | Reply) -> str | None:
    """What one line of a dump was: new, known, bad."""
    if isinstance(item, Reading):
        return "new"
    return item.kind if item.kind in ("known", "bad") else None


async def _set_clock(io: DeviceIO, time: datetime | None) -> dict[str, Any]:
    if time is None:
        now = io.now()
        if not now.trusted:
            raise CommandFailed("clock-unsure", "the gateway's own clock is not synchronised; give `time`")
        time = now.local
    elif time.tzinfo is not None:
        time = time.astimezone()  # the meter has the local time
    await _ask(io, b"DM@", "serial_number")  # awake, so that what follows is said once
    await io.send(WAKE + time.strftime("DMT%m/%d/%y %H:%M:%S\r").encode("ascii"))
    answer = await io.wait(
        lambda item: item.fields if isinstance(item, Reply) and item.kind == "clock" else None, ANSWER_TIMEOUT
    )
    return {"time": answer["time"]}
