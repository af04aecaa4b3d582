"""Driver `ble-oximeter`: fingertip oximeters with protocols of their makers, recognised by the service they show."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.oximeters import frames
from gatepost.drivers.ble.oximeters.frames import Fields, OximeterFrames
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory, ProfileTask
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.forbidden_writes import FORBIDDEN
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import DeviceIO, ForbiddenWrite, ScanHints, SupportedDevice
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading

FRAMES_A_SECOND = 100  # of the dialect bci, each with all values
OXIMETER = "fingertip oximeter"
KEEP_ALIVE = 5.0  # seconds; a Contec is silent after a minute without
CONTEC_CONTROL = uuid(0xFF01)
UNITS = {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}
REASONS = (
    ("probe_unplugged", "sensor-unplugged"),
    ("no_finger", "no-finger"),
    ("searching", "searching"),
    ("no_signal", "no-signal"),
)


def reading_of(found: Fields) -> Reading:
    """Values of one frame; 0 is no value of a pulse or a saturation. Values without a finger are those of before."""
    why = next((word for name, word in REASONS if found.get(name)), "")
    values = {name: found[name] for name in UNITS if found.get(name)}
    if "spo2" not in values and "heart_rate" not in values:
        values = {}
    flags = [f"{name}:{why or 'no-signal'}" for name in ("spo2", "heart_rate") if name not in values]
    if why and not flags:
        flags = [why]
    units = {name: UNITS[name] for name in values}
    quality = BAD if not values else UNCERTAIN if why else GOOD
    return Reading("pulse_oximetry", values, units, tuple(flags), quality)


class OximeterProfile(GattProfile):
    """Base profile of the dialects."""

    driver = "ble-oximeter"
    dialect: ClassVar[type[OximeterFrames]]

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._frames = self.dialect(self.frame_fault)

    def decode(self, value: GattValue) -> Items:
        return [reading_of(found) for found in self._frames.feed(value.data) if found.get("kind") == frames.VALUES]


class Pc60fwProfile(OximeterProfile):
    """Profile of the PC-60FW, on the serial port service of Nordic."""

    service = "6e400001-b5a3-f393-e0a9-e50e24dcca9e"
    title = "Viatom oximeter"
    streams = ("6e400003-b5a3-f393-e0a9-e50e24dcca9e",)
    dialect = frames.Pc60fwFrames


class Fs20fProfile(OximeterProfile):
    """Profile of the FS20F."""

    service = uuid(0xFFE0)
    title = "Wellue or Yuwell oximeter"
    streams = (uuid(0xFFE4),)
    dialect = frames.Fs20fFrames


class JumperProfile(OximeterProfile):
    """Profile of "My Oximeter"."""

    service = "cdeacb80-5235-4c07-8846-93a37ee6b86d"
    title = "Jumper oximeter"
    streams = ("cdeacb81-5235-4c07-8846-93a37ee6b86d",)
    dialect = frames.JumperFrames


class ContecProfile(OximeterProfile):
    """Profile of the CMS50D-BT, which is asked for its values and kept awake."""

    service = uuid(0xFF12)
    title = "Contec oximeter"
    streams = (uuid(0xFF02),)
    dialect = frames.ContecFrames

    async def begin(self, session: ProfileSession) -> None:
        await self._say(session, frames.contec_request("start", 1))

    async def _say(self, session: ProfileSession, data: bytes) -> None:
        control = session.find(CONTEC_CONTROL, self.service)
        if control is not None:
            await session.write(control, data)

    def chores(self, session: ProfileSession) -> list[ProfileTask]:
        async def keep_awake(io: DeviceIO) -> None:
            await self._say(session, frames.contec_request("keep-alive"))

        return [ProfileTask(KEEP_ALIVE, keep_awake)]

    async def farewell(self, session: ProfileSession) -> None:
        await session.bid_farewell(CONTEC_CONTROL, self.service, frames.contec_request("stop"))


class BciProfile(OximeterProfile):
    """Profile of the BM1000: one reading for each second of its frames, and one when the finger comes or goes."""

    service = "49535343-fe7d-4ae5-8fa9-9fafd205e455"
    title = "BerryMed oximeter"
    streams = ("49535343-1e4d-4bd9-ba61-23c647249616",)
    dialect = frames.BciFrames

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._count = 0
        self._there: bool | None = None

    def decode(self, value: GattValue) -> Items:
        out: Items = []
        for found in self._frames.feed(value.data):
            there = found["spo2"] is not None
            if self._count % FRAMES_A_SECOND == 0 or there is not self._there:
                self._count, self._there = 0, there
                out.append(reading_of(found))
            self._count += 1
        return out


PROFILES = (Pc60fwProfile, Fs20fProfile, JumperProfile, ContecProfile, BciProfile)


class BleOximeter(BleDriver):
    """Fingertip oximeters that speak a protocol of their maker."""

    name = "ble-oximeter"
    title = "Fingertip oximeters: PC-60FW, FS20F, Yuwell, Jumper, Contec CMS50D-BT, EMAY, BerryMed"
    metrics = ("pulse_oximetry",)
    services = tuple(each.service for each in PROFILES)
    brings = PROFILES
    scan_hints = ScanHints(names=("PC-60F", "VTM 20F", "My Oximeter"))
    default_interval = 1.0
    aggregation = "median"
    silence = 60.0
    forbidden = (
        *FORBIDDEN,
        ForbiddenWrite("delete-records", re.compile(rb"\A(\x9d\x7f|\xa1)", re.DOTALL), CONTEC_CONTROL),
    )
    example_options: ClassVar[dict[str, Any]] = {"pair": "auto"}
    devices = (
        SupportedDevice("Viatom", ("PC-60FW", "OxySmart"), OXIMETER, "not seen"),
        SupportedDevice("Wellue", ("FS20F",), OXIMETER),
        SupportedDevice("Yuwell", ("YX1xx",), OXIMETER),
        SupportedDevice("Jumper", ("JPD-500F",), OXIMETER),
        SupportedDevice("Contec", ("CMS50D-BT",), OXIMETER),
        SupportedDevice("EMAY", ("SleepO2",), OXIMETER),
        SupportedDevice("BerryMed", ("BM1000 A to E",), OXIMETER, "documents"),
    )
    source = "BerryMed BCI protocol; sza2/viatom_pc60fw and captures of others for the rest; not seen on a device"
