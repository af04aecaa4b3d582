"""Environmental Sensing service (181A), and the driver `ble-environment`."""

from __future__ import annotations

import contextlib
import re
from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.gatt import environment
from gatepost.drivers.ble.gatt.environment import KINDS
from gatepost.drivers.ble.peripheral import GattCharacteristic, GattError, GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory, ProfileTask
from gatepost.drivers.ble.profile_session import STREAM_PROPERTIES, ProfileSession
from gatepost.drivers.ble.profiles.options import EnvironmentOptions
from gatepost.drivers.ble.uuids import short, uuid
from gatepost.drivers.driver import Command, CommandFailed, DeviceIO
from gatepost.drivers.reading import Reading

KNOWN = {uuid(number): number for number in KINDS}
MOST_INSTANCES = 256
LONGEST_WORD = 24
READ_NOW = Command("read_now", "Read every sensor of the device now", timeout=30.0)


class EnvironmentProfile(GattProfile):
    """Environmental sensing profile. One value for each reading. The first sensor of a kind has the plain name;
    another one has that which the device calls it (`temperature_probe`), or its number in the order of handles
    (`temperature_2`)."""

    service = uuid(0x181A)
    title = "environmental sensor"
    driver = "ble-environment"
    reads = True
    streams = tuple(KNOWN)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._names: dict[tuple[str, int], str] = {}

    def decode(self, value: GattValue) -> Items:
        reading = environment.reading(environment.decode(KNOWN[value.uuid], value.data))
        return [_renamed(reading, KINDS[KNOWN[value.uuid]].name, self._name(value.uuid, value.handle))]

    def _name(self, uuid: str, handle: int, called: str = "") -> str:
        """Name of the value of this sensor."""
        if (uuid, handle) not in self._names:
            if len(self._names) >= MOST_INSTANCES:
                self._names.clear()
            kind = KINDS[KNOWN[uuid]].name
            place = 1 + sum(other == uuid for other, _ in self._names)
            word = re.sub(r"[^a-z0-9]+", "_", called.lower()).strip("_")[:LONGEST_WORD]
            own = f"{kind}_{word}" if word else ""
            if own in self._names.values():
                own = ""
            self._names[uuid, handle] = kind if place == 1 else own or f"{kind}_{place}"
        return self._names[uuid, handle]

    def _sensors(self, session: ProfileSession) -> list[GattCharacteristic]:
        there = (each for each in session.peripheral.characteristics if each.service == self.service)
        return sorted((each for each in there if each.uuid in KNOWN), key=lambda each: each.handle)

    async def prepare(self, session: ProfileSession) -> None:
        self._names.clear()
        for sensor in self._sensors(session):
            first = all(other != sensor.uuid for other, _ in self._names)
            self._name(sensor.uuid, sensor.handle, "" if first else await self._user_description(session, sensor))

    async def _user_description(self, session: ProfileSession, sensor: GattCharacteristic) -> str:
        try:
            return await session.peripheral.description(sensor)
        except (GattError, TimeoutError) as refused:
            self.memory.faults.add("not-read", f"what {short(sensor.uuid)} is called: {refused}")
            return ""

    async def subscribe(self, session: ProfileSession) -> None:
        for sensor in self._sensors(session):
            if STREAM_PROPERTIES & sensor.properties:
                try:
                    await session.subscribe(sensor)
                except GattError as refused:
                    self.memory.faults.add("not-subscribed", f"{short(sensor.uuid)}: {refused}")

    async def begin(self, session: ProfileSession) -> None:
        await self._read(session, self._sensors(session))

    async def _read(self, session: ProfileSession, sensors: list[GattCharacteristic]) -> int:
        count = 0
        async with session.asking:
            for sensor in sensors:
                if "read" in sensor.properties:
                    count += await session.read_into_decoder(sensor)
        return count

    async def read_now(self, session: ProfileSession, io: DeviceIO) -> dict[str, Any]:
        """Every sensor that can be read; CommandFailed."""
        if not await self._read(session, self._sensors(session)):
            raise CommandFailed("unsupported", "none of its sensors can be read")
        values: dict[str, Any] = {}
        units: dict[str, str] = {}
        flags: list[str] = []

        def gather(item: object) -> None:
            if isinstance(item, Reading) and item.metric == "environment":
                values.update(item.values)
                units.update(item.units)
                flags.extend(item.flags)

        with contextlib.suppress(TimeoutError):
            await io.wait(gather, 0)
        return {**values, "units": units, "flags": flags}

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        silent = [each for each in self._sensors(session) if not STREAM_PROPERTIES & each.properties]
        if not any("read" in each.properties for each in silent):
            return []

        async def look(io: DeviceIO) -> None:
            await self._read(session, silent)

        return [ProfileTask(self.memory.options.poll, look)]


def _renamed(reading: Reading, name: str, other: str) -> Reading:
    if name == other:
        return reading
    reading.values = {other if key == name else key: value for key, value in reading.values.items()}
    reading.units = {other if key == name else key: unit for key, unit in reading.units.items()}
    reading.flags = tuple(other + flag[len(name) :] if flag.startswith(f"{name}:") else flag for flag in reading.flags)
    return reading


class BleEnvironment(BleDriver):
    """Weather stations, air quality sensors, loggers."""

    name = "ble-environment"
    title = "Environmental sensors (Bluetooth environmental sensing profile)"
    metrics = ("environment",)
    values = ()  # instances have numbers
    services = (EnvironmentProfile.service,)
    default_interval = 10.0
    options_type = EnvironmentOptions
    example_options: ClassVar[dict[str, Any]] = {"poll": 30.0}
    commands: ClassVar = (READ_NOW,)
    source = "Bluetooth SIG: Environmental Sensing Service 1.0, GATT Specification Supplement"
