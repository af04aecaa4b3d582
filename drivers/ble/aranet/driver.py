"""Driver `ble-aranet`: the Aranet4, looked at every few minutes: its values, and each of its history once."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from gatepost.drivers.ble.aranet import values
from gatepost.drivers.ble.aranet.history import UNITS, AranetHistory, HistorySpan, air_reading
from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.peripheral import GattCharacteristic, GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.commands import READ_STORED
from gatepost.drivers.ble.profiles.decoder import TICK
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import RecordOptions
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import (
    CommandFailed,
    DeviceIO,
    ForbiddenWrite,
    ScanHints,
    SessionOver,
    SupportedDevice,
    WrongDevice,
)
from gatepost.drivers.reading import Reply
from gatepost.drivers.stored_batches import hand_over


def aranet_uuid(number: str) -> str:
    return f"f0cd{number}-95da-4f4b-9ac8-aa55d312af0c"


NOW, HISTORY, CONTROL = aranet_uuid("3001"), aranet_uuid("2005"), aranet_uuid("1402")
PREPARING = 0.2  # seconds that the monitor may need for a packet
PACKET_TRIES = 5
SPAN_TRIES = 3  # a measurement that is taken meanwhile moves all numbers


class AranetOptions(RecordOptions, frozen=True, forbid_unknown_fields=True):
    """How often it is looked at."""

    poll: Annotated[float, Meta(ge=60, le=86400, description="seconds between two looks")] = 300.0


class MovedHistory(Exception):
    """A measurement was taken while its history was read: what has the numbers now is something else."""


class AranetProfile(GattProfile):
    """Base profile of the Aranet4."""

    title = "Aranet4"
    driver = "ble-aranet"
    stores = True
    streams = (NOW, HISTORY)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._history = AranetHistory(memory)
        self._quiet = False  # the current values are part of the history

    @property
    def fetched(self) -> int:
        return self._history.fetched

    def decode(self, value: GattValue) -> Items:
        if value.uuid != NOW:
            raise FrameError("unsupported")
        found = values.decode_now(value.data)
        items: Items = [] if self._quiet else [air_reading(found)]
        return [*items, Reply("battery", {"battery": found["battery"]})] if found["battery"] <= 100 else items

    def flush(self) -> Items:
        return self._history.drain()

    async def subscribe(self, session: ProfileSession) -> None:
        """It is read."""

    async def begin(self, session: ProfileSession) -> None:
        sensor = session.find(NOW, self.service)
        if sensor is None:
            raise WrongDevice("this is no Aranet4: what it broadcasts is read by ble-advertisement")
        self._quiet = self.memory.options.records and session.io.now().trusted
        if self._quiet:
            try:
                await self.read_stored(session, session.io, False)
            except CommandFailed as failed:
                session.faults.add("no-history", str(failed))
                self._quiet = False
        await session.read_into_decoder(sensor)

    async def read_stored(self, session: ProfileSession, io: DeviceIO, everything: bool) -> dict[str, Any]:
        control, packets = self.control_point(session, CONTROL), self.control_point(session, HISTORY)
        if not io.now().trusted:
            raise CommandFailed("clock-not-trusted", "the gateway's clock is not synchronised; the monitor has none")
        async with session.asking:
            self._history.fetched = 0
            for _ in range(SPAN_TRIES):
                try:
                    await self._fetch(session, io, control, packets)
                    break
                except MovedHistory:
                    continue
            else:
                raise CommandFailed("incomplete", "the monitor measures faster than its history can be read")
            await hand_over(io, self._history, TICK)
        return {"records": self._history.fetched}

    async def _fetch(
        self, session: ProfileSession, io: DeviceIO, control: GattCharacteristic, packets: GattCharacteristic
    ) -> None:
        told = await self._packet(session, control, packets, max(values.PARAMETERS), 1)
        span = HistorySpan(told["total"], told["interval"], io.now().local.timestamp() - told["age"])
        first = span.first_after(self._history.until)
        columns: dict[int, list[float | None]] = {}
        for parameter in values.PARAMETERS:
            column = columns[parameter] = []
            while first + len(column) <= span.total:
                found = await self._packet(session, control, packets, parameter, first + len(column))
                if found["age"] < told["age"] or (found["total"], found["interval"]) != span[:2]:
                    raise MovedHistory
                if not found["values"]:
                    raise CommandFailed("incomplete", "the monitor gave a packet of its history without values")
                column += found["values"]
                io.progress("values", len(column), span.total - first + 1)
            del column[span.total - first + 1 :]
        self._history.offer(span, first, columns)

    @staticmethod
    async def _packet(
        session: ProfileSession, control: GattCharacteristic, packets: GattCharacteristic, parameter: int, start: int
    ) -> dict[str, Any]:
        """A packet of the history that begins there. CommandFailed `incomplete`."""
        await session.write(control, values.history_request(parameter, start))
        for _ in range(PACKET_TRIES):
            data = await session.value_of(packets)
            try:
                found = values.decode_history(data or b"")
                if (found["parameter"], found["start"]) == (parameter, start):
                    return found
            except FrameError:
                pass  # it may not be ready yet
            await asyncio.sleep(PREPARING)
        raise CommandFailed("incomplete", "the monitor does not give its history")


class NewAranetProfile(AranetProfile):
    """Profile since firmware 1.2."""

    service = uuid(0xFCE0)


class OldAranetProfile(AranetProfile):
    """Profile of older firmware."""

    service = aranet_uuid("1400")


PROFILES = (NewAranetProfile, OldAranetProfile)


class BleAranet(BleDriver):
    """Aranet4 monitors."""

    name = "ble-aranet"
    title = "Aranet4 that is connected: values and history"
    metrics = ("environment",)
    values = tuple(UNITS)
    services = tuple(each.service for each in PROFILES)
    brings = PROFILES
    streams = False
    keeps_records = True
    default_interval = 0.0
    options_type = AranetOptions
    example_options: ClassVar[dict[str, Any]] = {"passkey": "123456", "poll": 600.0}
    commands: ClassVar = (READ_STORED,)
    scan_hints = ScanHints(names=("Aranet4",))
    forbidden = (*FORBIDDEN, ForbiddenWrite("configure", re.compile(rb"\A(?!\x61)"), CONTROL))
    devices = (SupportedDevice("Aranet", ("Aranet4",), "CO2 monitor"),)
    source = "Anrijs/Aranet4-Python, its tests; not seen on a device"

    async def _rest(self, io: DeviceIO) -> None:
        raise SessionOver("its values were read", self.options.poll)
