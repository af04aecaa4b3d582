"""Base driver of connected Bluetooth LE devices, and the driver `ble` for any of them.

A session reads the identity (profiles/device_information.py), the features of each profile, subscribes to everything,
sets the clock (profiles/device_clock.py), then each profile requests what does not come by itself. Values go through
profiles/decoder.py all the while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

import msgspec

from gatepost.drivers.ble.peripheral import BlePeripheral, GattError, GattValue
from gatepost.drivers.ble.profile import HELD, GattProfile, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles import BY_SERVICE, profiles
from gatepost.drivers.ble.profiles.commands import READ_STORED, SYNC_TIME, ReadStored
from gatepost.drivers.ble.profiles.decoder import TICK, BleDecoder, Kind
from gatepost.drivers.ble.profiles.device_clock import DeviceClocks, wanted_moment
from gatepost.drivers.ble.profiles.device_information import BATTERY, introduce
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.profiles.options import AllOptions, BleOptions
from gatepost.drivers.ble.stored_records.racp_procedure import RecordsFailed
from gatepost.drivers.ble.uuids import short, uuid
from gatepost.drivers.driver import CommandFailed, DeviceIO, Driver, ForbiddenWrite, SessionOver, SyncTime, WrongDevice
from gatepost.drivers.reading import Faults, Reading, Reply

HOLD_LIMIT = 2.0  # seconds that the rest of a measurement may be late
FAREWELL_LIMIT = 0.4
# Seconds between two visits to a device that only keeps records. Some show themselves again right after a visit; many
# show themselves for no longer than half a minute after a measurement.
FIRST_REST, LAST_REST = 15.0, 60.0
GENERIC_SERVICES = frozenset(map(uuid, (0x1800, 0x1801, 0x180A)))  # what every device shows


class BleDriver(Driver):
    """Base driver for devices that show one of `services`; `companions` are handled beside it where they are shown.
    `brings`: profiles of its own, for services that are not in profiles/."""

    transport = "ble"
    options_type: ClassVar[type[msgspec.Struct]] = BleOptions
    example_options: ClassVar[dict[str, Any]] = {"pair": "auto"}
    forbidden: ClassVar[tuple[ForbiddenWrite, ...]] = FORBIDDEN
    services: ClassVar[tuple[str, ...]] = ()
    companions: ClassVar[tuple[str, ...]] = ()
    brings: ClassVar[tuple[type[GattProfile], ...]] = ()

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._kept: dict[str, Any] = {}  # what profiles keep over sessions
        self._decoder: BleDecoder | None = None
        self._session: ProfileSession | None = None  # once it may be asked for something
        self._profiles: list[GattProfile] = []
        self._visits = 0  # in a row that brought nothing new

    # -- sans-I/O

    def decoder(self) -> BleDecoder:
        self._session = None

        def memory(faults: Faults) -> ProfileMemory:
            return ProfileMemory(self.options, faults, self.bookmarks, self._kept)

        self._decoder = BleDecoder(memory, self._kind_for)
        return self._decoder

    def _wanted(self, shown: Iterable[str]) -> list[str]:
        """Of the services that a device shows, those that this driver handles."""
        ours = (*self.services, *self.companions, BATTERY)
        return [service for service in shown if not self.services or service in ours]

    def _kind_for(self, value: GattValue) -> Kind | None:
        """For values without a connection, as in a recording."""
        if value.service:
            return next(iter(profiles(self._wanted((value.service,)), self.brings)), None)
        services = (*self.services, *self.companions, BATTERY) if self.services else BY_SERVICE
        ours = profiles(services, self.brings)
        return next((kind for kind in ours if value.uuid in kind.streams), None)

    # -- a session

    async def run_session(self, io: DeviceIO) -> None:
        decoder = self._decoder or self.decoder()
        session = ProfileSession(io, decoder.faults)
        self._profiles = decoder.use(self._choose(session.peripheral), session.peripheral.addresses)
        try:
            clocks = await self._prepare(session)
            self._session = session
            for each in self._profiles:
                await self._begin(session, each)
            await self._rest(io)
            await self._stay(session, clocks)
        finally:
            await self._part(session)

    def _choose(self, peripheral: BlePeripheral) -> list[Kind]:
        shown = list(dict.fromkeys(each.service for each in peripheral.characteristics))
        if self.services and not set(self.services) & set(shown):
            for kind in profiles(self.services, self.brings):  # the link may have stale services to forget
                peripheral.find(kind.streams[0], kind.service)
            needed = _named(self.services, self.brings)
            raise WrongDevice(f"{_described(peripheral, shown)}; {self.name} needs {needed}")
        kinds = profiles(self._wanted(shown), self.brings)
        if all(kind.helper for kind in kinds):
            raise WrongDevice(f"{_described(peripheral, shown)}; no driver supports it")
        return kinds

    async def _prepare(self, session: ProfileSession) -> DeviceClocks:
        await introduce(session)
        clocks = DeviceClocks(session, self._profiles)
        await clocks.look()
        for each in self._profiles:
            await each.prepare(session)
        for each in self._profiles:
            await each.subscribe(session)
        await clocks.keep(self.options.set_clock)
        return clocks

    async def _begin(self, session: ProfileSession, wanted: GattProfile) -> None:
        """Begin one profile; where it fails to send its records, the others still report."""
        try:
            await wanted.begin(session)
        except (GattError, RecordsFailed) as failed:
            if sum(not each.helper for each in self._profiles) == 1:
                raise
            session.faults.add("not-asked", f"{wanted.title}: {failed}")

    async def _rest(self, io: DeviceIO) -> None:
        """A device of which everything was taken is left alone for a while: longer when it had nothing new."""
        asked = [each for each in self._profiles if not each.helper]
        if not all(each.done for each in asked):
            return
        io.feed(TICK)
        await io.stored()
        self._visits = 0 if any(each.fetched for each in asked) else self._visits + 1
        raise SessionOver("all its records are stored", min(LAST_REST, FIRST_REST * 2.0 ** max(0, self._visits - 1)))

    async def _stay(self, session: ProfileSession, clocks: DeviceClocks) -> None:
        """Whatever is due while the device is connected; at once when nothing ever is."""
        loop = asyncio.get_running_loop()
        io = session.io
        chores = [chore for each in self._profiles for chore in each.chores(session)]
        due = [loop.time() + chore.interval for chore in chores]
        late: float | None = None  # when what is held has waited long enough
        if not chores and not clocks.refused and not any(each.holds for each in self._profiles):
            return
        while True:
            until = min([*due, *([] if late is None else [late])], default=loop.time() + 3600.0)
            with contextlib.suppress(TimeoutError):
                item = await io.wait(_changes_plan, max(0.0, until - loop.time()))
                if isinstance(item, Reply):
                    late = late or loop.time() + HOLD_LIMIT
                elif clocks.refused:
                    await clocks.keep(self.options.set_clock)
                    clocks.refused = False
            if late is not None and loop.time() >= late:
                late = None
                io.feed(TICK)
            for index, chore in enumerate(chores):
                if loop.time() >= due[index]:
                    await chore.do(io)
                    due[index] = loop.time() + chore.interval

    async def _part(self, session: ProfileSession) -> None:
        """Also when the connection is lost; takes a fraction of a second, and no error gets out."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FAREWELL_LIMIT):
                for each in self._profiles:
                    await each.farewell(session)
        session.io.feed(TICK)

    # -- commands

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        session = self._session
        if session is None:
            raise CommandFailed("busy", "the device is connected, its identification is not finished yet")
        try:
            if isinstance(parameters, SyncTime):
                return await self._set_clock(session, io, parameters.time)
            for each in self._profiles:
                if isinstance(parameters, ReadStored) and each.stores:
                    return await each.read_stored(session, io, parameters.all)
                if command == "read_now" and each.reads:
                    return await each.read_now(session, io)
        except GattError as refused:
            raise CommandFailed("refused", f"the device refused: {refused}") from None
        raise CommandFailed("unsupported", f"this device cannot {command.replace('_', ' ')}")

    async def _set_clock(self, session: ProfileSession, io: DeviceIO, wanted: datetime | None) -> dict[str, Any]:
        own = next((each for each in self._profiles if each.own_clock), None)
        if own is None:
            return await DeviceClocks(session, self._profiles).set(wanted)
        moment = wanted_moment(session, wanted)
        await own.set_own_clock(session, io, moment)
        return {"time": moment.isoformat(timespec="seconds")}

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Any:
        """An emulated peripheral."""
        from gatepost.drivers.ble.twin.devices.catalogue import make

        return make(cls.name, seed)


def _changes_plan(item: Reading | Reply) -> Reading | Reply | None:
    """Pass items that change the plan: a measurement, or that a part of one is held."""
    return item if isinstance(item, Reading) or item.kind == HELD.kind else None


def _named(services: Iterable[str], brought: Iterable[Kind] = ()) -> str:
    """For people: `glucose meter (1808)`."""
    words = []
    for service in services:
        kind = next(iter(profiles((service,), brought)), None)
        words.append(short(service) if kind is None else f"{kind.title} ({short(service)})")
    return ", ".join(words)


def _described(peripheral: BlePeripheral, shown: list[str]) -> str:
    """Describe a device by its services, and name the driver for it."""
    telling = [service for service in shown if service not in GENERIC_SERVICES]
    text = f"{peripheral.name or peripheral.address} shows {_named(telling) or 'no services'}"
    fitting = dict.fromkeys(kind.driver for kind in profiles(shown) if not kind.helper)
    return f"{text}, which is for the driver {' or '.join(fitting)}" if fitting else text


class AnyBleDevice(BleDriver):
    """Driver for any device: every profile that is known."""

    name = "ble"
    title = "Any Bluetooth LE device with standard health or sensor services"
    metrics = (
        *("blood_pressure", "cuff_pressure", "pulse_oximetry", "heart_rate", "body_temperature", "glucose"),
        *("continuous_glucose", "body_weight", "body_composition", "ecg", "acceleration", "environment"),
    )
    values = ()  # the device decides
    streams = False
    keeps_records = True
    options_type = AllOptions
    commands = (READ_STORED, SYNC_TIME)
    source = "Bluetooth SIG: GATT Specification Supplement and the services of each profile"
