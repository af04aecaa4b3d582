"""Driver `ble-airthings`: monitors of air and radon, looked at every few minutes: a connection disturbs their radio."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from gatepost.drivers.ble.airthings import values
from gatepost.drivers.ble.airthings.values import Fields
from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.options import BleOptions
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import DeviceIO, SessionOver, SupportedDevice
from gatepost.drivers.reading import Reading, Reply, measured

ANSWER_LIMIT = 5.0  # seconds
TOKEN = b"gp"
LONGEST_ANSWER = 1024  # octets
ANSWERED = Reply("airthings-answer", {})


def airthings_uuid(number: str) -> str:
    return f"b42e{number}-ade7-11e4-89d3-123b93f75cba"


UNITS = {
    "temperature": "Cel",
    "humidity": "%",
    "pressure": "hPa",
    "co2": "[ppm]",
    "tvoc": "[ppb]",
    "radon_1day": "Bq/m3",
    "radon_longterm": "Bq/m3",
    "battery_voltage": "mV",
}


def reading_of(found: Fields) -> Reading:
    """What is there; None = it has no value yet."""
    fields = {("tvoc" if name == "voc" else name): value for name, value in found.items()}
    return measured("environment", {name: value for name, value in fields.items() if name in UNITS}, UNITS)


class AirthingsOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """How often it is looked at."""

    poll: Annotated[float, Meta(ge=60, le=86400, description="seconds between two looks")] = 300.0


class WaveProfile(GattProfile):
    """Base profile of the monitors that are read: `values_at` their values, `control` the battery."""

    driver = "ble-airthings"
    values_at: ClassVar[str]
    control: ClassVar[str]
    battery_at: ClassVar[int] = 4  # octets before the end

    @staticmethod
    def fields(data: bytes) -> Fields:
        """FrameError."""
        raise NotImplementedError

    def decode(self, value: GattValue) -> Items:
        if value.uuid == self.control:
            return [reading_of(values.decode_battery(value.data, self.battery_at)), ANSWERED]
        return [reading_of(self.fields(value.data))]

    async def begin(self, session: ProfileSession) -> None:
        sensor, control = session.find(self.values_at, self.service), session.find(self.control, self.service)
        if sensor is not None:
            await session.read_into_decoder(sensor)
        if control is not None:
            await session.write(control, values.ASK_BATTERY)
            await answered(session.io)


async def answered(io: DeviceIO) -> None:
    """Until the answer came, or none will."""
    with contextlib.suppress(TimeoutError):
        await io.wait(lambda item: item is ANSWERED or None, ANSWER_LIMIT)


class WavePlusProfile(WaveProfile):
    """Profile of the Wave Plus."""

    service = airthings_uuid("1c08")
    title = "Airthings Wave Plus"
    values_at, control = airthings_uuid("2a68"), airthings_uuid("2d06")
    streams = (control, values_at)
    fields = staticmethod(values.decode_plus)


class WaveRadonProfile(WaveProfile):
    """Profile of the Wave of the second generation."""

    service = airthings_uuid("4a8e")
    title = "Airthings Wave"
    values_at, control = airthings_uuid("4dcc"), airthings_uuid("50d8")
    streams = (control, values_at)
    fields = staticmethod(values.decode_radon)


class WaveMiniProfile(WaveProfile):
    """Profile of the Wave Mini."""

    service = airthings_uuid("3882")
    title = "Airthings Wave Mini"
    values_at, control = airthings_uuid("3b98"), airthings_uuid("3ef4")
    streams = (control, values_at)
    battery_at = 8
    fields = staticmethod(values.decode_mini)


class EnhanceProfile(GattProfile):
    """Profile of the Wave Enhance and Corentium Home 2, which are asked for their values."""

    service = airthings_uuid("90a2")
    title = "Airthings Wave Enhance"
    driver = "ble-airthings"
    streams = (airthings_uuid("bc9e"),)
    command = airthings_uuid("b73a")

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._held = b""

    def decode(self, value: GattValue) -> Items:
        """An answer may come in several notifications."""
        self._held += value.data
        try:
            found = values.decode_latest(self._held)
        except FrameError as wrong:
            if wrong.kind == "truncated" and len(self._held) < LONGEST_ANSWER:
                return []
            self._held = b""
            raise
        self._held = b""
        return [reading_of(found), ANSWERED]

    async def begin(self, session: ProfileSession) -> None:
        command = session.find(self.command, self.service)
        if command is not None:
            self._held = b""
            await session.write(command, values.request_latest(TOKEN))
            await answered(session.io)


PROFILES = (WavePlusProfile, WaveRadonProfile, WaveMiniProfile, EnhanceProfile)


class BleAirthings(BleDriver):
    """Airthings monitors."""

    name = "ble-airthings"
    title = "Airthings Wave Plus, Wave (second generation), Wave Mini, Wave Enhance, Corentium Home 2"
    metrics = ("environment",)
    values = tuple(UNITS)
    services = tuple(each.service for each in PROFILES)
    brings = PROFILES
    streams = False
    default_interval = 0.0
    options_type = AirthingsOptions
    example_options: ClassVar[dict[str, Any]] = {"poll": 600.0}
    devices = (
        SupportedDevice("Airthings", ("Wave Plus", "Wave (second generation)", "Wave Mini"), "radon and air monitor"),
        SupportedDevice("Airthings", ("Wave Enhance", "Corentium Home 2"), "radon and air monitor"),
    )
    source = "Airthings/airthings-ble, its tests; not seen on a device"

    async def _rest(self, io: DeviceIO) -> None:
        raise SessionOver("its values were read", self.options.poll)
