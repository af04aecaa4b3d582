"""Environmental Sensing service (181A), and the driver `ble-environment`."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

from drivers.ble.driver import BleDriver
from drivers.ble.gatt import environment
from drivers.ble.gatt.environment import KINDS
from drivers.ble.options import EnvironmentOptions
from drivers.ble.peripheral import Characteristic, GattError, GattValue
from drivers.ble.profile import Chore, Items, Memory, Profile
from drivers.ble.session import STREAMS, Session
from drivers.ble.uuids import short, uuid
from drivers.driver import Command, CommandFailed, Exchange
from drivers.reading import Reading

KNOWN = {uuid(number): number for number in KINDS}
MOST_INSTANCES = 256
READ_NOW = Command("read_now", "Read every sensor of the device now", timeout=30.0)


class Environment(Profile):
    """One value for each reading. A second instance of a kind of sensor is `temperature_2`, in the order of handles."""

    service = uuid(0x181A)
    title = "environmental sensor"
    driver = "ble-environment"
    reads = True
    streams = tuple(KNOWN)

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self._places: dict[tuple[str, int], int] = {}

    def decode(self, value: GattValue) -> Items:
        reading = environment.reading(environment.decode(KNOWN[value.uuid], value.data))
        place = self._place(value.uuid, value.handle)
        return [reading if place == 1 else _renamed(reading, KINDS[KNOWN[value.uuid]].name, place)]

    def _place(self, uuid: str, handle: int) -> int:
        """1 for the first instance."""
        if (uuid, handle) not in self._places:
            if len(self._places) >= MOST_INSTANCES:
                self._places.clear()
            self._places[uuid, handle] = 1 + sum(other == uuid for other, _ in self._places)
        return self._places[uuid, handle]

    def _sensors(self, session: Session) -> list[Characteristic]:
        there = (each for each in session.peripheral.characteristics if each.service == self.service)
        return sorted((each for each in there if each.uuid in KNOWN), key=lambda each: each.handle)

    async def prepare(self, session: Session) -> None:
        self._places.clear()
        for sensor in self._sensors(session):
            self._place(sensor.uuid, sensor.handle)

    async def subscribe(self, session: Session) -> None:
        for sensor in self._sensors(session):
            if STREAMS & sensor.properties:
                try:
                    await session.subscribe(sensor)
                except GattError as refused:
                    self.memory.faults.add("not-subscribed", f"{short(sensor.uuid)}: {refused}")

    async def begin(self, session: Session) -> None:
        await self._read(session, self._sensors(session))

    async def _read(self, session: Session, sensors: list[Characteristic]) -> int:
        heard = 0
        async with session.asking:
            for sensor in sensors:
                if "read" in sensor.properties:
                    heard += await session.hear(sensor)
        return heard

    async def read_now(self, session: Session, talk: Exchange) -> dict[str, Any]:
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
            await talk.wait(gather, 0)
        return {**values, "units": units, "flags": flags}

    def chores(self, session: Session) -> list[Chore]:
        silent = [each for each in self._sensors(session) if not STREAMS & each.properties]
        if not any("read" in each.properties for each in silent):
            return []

        async def look(talk: Exchange) -> None:
            await self._read(session, silent)

        return [Chore(self.memory.options.poll, look)]


def _renamed(reading: Reading, name: str, place: int) -> Reading:
    other = f"{name}_{place}"
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
    services = (Environment.service,)
    every = 10.0
    options_type = EnvironmentOptions
    example_options: ClassVar[dict[str, Any]] = {"poll": 30.0}
    commands: ClassVar = (READ_NOW,)
    source = "Bluetooth SIG: Environmental Sensing Service 1.0, GATT Specification Supplement"

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        return ()
