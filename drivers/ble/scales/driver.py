"""Driver `ble-scale`: body scales with protocols of their makers, recognised by service and first octet.

The weight counts when it is final; the impedance is told as it is, and no body fat is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gatepost.drivers.ble.driver import BleDriver
from gatepost.drivers.ble.peripheral import GattValue
from gatepost.drivers.ble.profile import GattProfile, Items, ProfileMemory
from gatepost.drivers.ble.profile_session import ProfileSession
from gatepost.drivers.ble.profiles.options import BleOptions
from gatepost.drivers.ble.scales import frames
from gatepost.drivers.ble.scales.frames import FINAL, IMPEDANCE, LIVE, WEIGHT, Fields
from gatepost.drivers.ble.stored_records.unnumbered_records import UnnumberedRecords
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import ScanHints, SupportedDevice
from gatepost.drivers.reading import BAD, GOOD, Reading, Reply

HANDSHAKE_LIMIT = 20.0  # seconds in which a QN asks for what it wants to know
MOST_QUESTIONS = 12  # of one handshake
UNITS = {"impedance": "Ohm", "impedance_2": "Ohm", "body_fat": "%"}
# Model of an AC02 -> its raw weight in a unit.
RAW: dict[str, tuple[int, str]] = {
    "dr-trust": (100, "kg"),
    "fittrack-kg": (10, "kg"),
    "fittrack-lb": (10, "[lb_av]"),
}


class MakersScaleOptions(BleOptions, frozen=True, forbid_unknown_fields=True):
    """Options of `ble-scale`."""

    model: Annotated[
        Literal["", "dr-trust", "fittrack-kg", "fittrack-lb"],
        Meta(description="scales with service FFB0: whose unit of weight it has; without it they give no weight"),
    ] = ""


class MakersScaleProfile(GattProfile):
    """Base profile: one weighing is a weight once it is final, and its impedance where that was measured."""

    driver = "ble-scale"

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._weight: tuple[float, str] | None = None  # of this weighing, which was reported
        self._beside: dict[str, Any] = {}  # what else was reported of it

    def _weighed(self, weight: float, unit: str) -> Items:
        """The final weight: it comes again and again, and is reported once."""
        if self._weight == (weight, unit):
            return []
        self._weight, self._beside = (weight, unit), {}
        return [Reading("body_weight", {"weight": weight}, {"weight": unit})]

    def _stepped_off(self) -> Items:
        self._weight = None
        return []

    def _measured(self, found: dict[str, Any]) -> Items:
        """What else was measured of the weighing that was just reported."""
        values = {name: found[name] for name in UNITS if found.get(name) is not None}
        if not values or self._weight is None or values == self._beside:
            return []
        self._beside = values
        weight, unit = self._weight
        units = {"weight": unit, **{name: UNITS[name] for name in values}}
        return [Reading("body_composition", {"weight": weight, **values}, units)]


class Ac02Profile(MakersScaleProfile):
    """Profile of Dr Trust, FitTrack, Swan and others with frames AC 02."""

    service = uuid(0xFFB0)
    title = "AC02 body scale"
    streams = (uuid(0xFFB2),)
    control = uuid(0xFFB1)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._told = False  # that its unit is not known

    def decode(self, value: GattValue) -> Items:
        found = frames.decode_ac02(value.data)
        if found["kind"] == LIVE:
            self._told = False
            return self._stepped_off()
        if found["kind"] == IMPEDANCE:
            return self._measured(found)
        if found["kind"] != FINAL:
            return []
        divisor, unit = RAW.get(self.memory.options.model, (0, ""))
        if divisor:
            return self._weighed(found["weight_raw"] / divisor, unit)
        if self._told:
            return []
        self._told = True
        self.memory.faults.add("unknown-unit", "the unit of this scale differs by model: set the option `model`")
        return [Reading("body_weight", {}, {}, ("weight:unknown-unit",), BAD)]

    async def begin(self, session: ProfileSession) -> None:
        control, now = session.find(self.control, self.service), session.io.now()
        if control is None:
            return
        wanted = [frames.ac02_request(0xF7), frames.ac02_request(0xFA)]
        if now.trusted:
            local = now.local
            wanted.append(frames.ac02_request(0xFD, local.year - 2000, local.month, local.day))
            wanted.append(frames.ac02_request(0xFC, local.hour, local.minute, local.second))
        for request in wanted:
            await session.write(control, request)


class QnDialect:
    """Frames of one QN scale, of which the frame 12 tells how its weights are read."""

    def __init__(self) -> None:
        self.told: Fields | None = None

    def decode(self, data: bytes) -> Fields:
        if data[:1] == bytes((frames.QN_WEIGHT,)) and self.told is None:
            raise FrameError("unsupported")  # nobody knows its layout yet
        told = self.told or {}
        found = frames.decode_qn(data, told.get("long", False), told.get("divisor", 100))
        if found["kind"] == "info":
            self.told = found
        return found


class QnProfile(MakersScaleProfile):
    """Base profile of scales that may be QN's."""

    control: ClassVar[str]

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._qn = QnDialect()

    def _decode_qn(self, data: bytes) -> Items:
        found = self._qn.decode(data)
        if found["kind"] != WEIGHT:
            return [Reply("scale-asks", {"kind": found["kind"], "protocol": found["protocol"]})]
        if not found["stable"]:
            return self._stepped_off()
        items = self._weighed(found["weight"], "kg")
        if not items:
            return []
        return [*items, *self._measured({"impedance": found["impedance_1"], "impedance_2": found["impedance_2"]})]

    async def _shake_hands(self, session: ProfileSession) -> None:
        """Tell it what it asks for, until it has asked for all or has nothing to ask."""
        control = session.find(self.control, self.service)
        if control is None:
            return
        for _ in range(MOST_QUESTIONS):
            try:
                kind, protocol = await session.io.wait(_question, HANDSHAKE_LIMIT)
            except TimeoutError:
                return
            for request in self._answers(session, kind, protocol):
                await session.write(control, request)
            if kind == "greeting":
                return

    @staticmethod
    def _answers(session: ProfileSession, kind: str, protocol: int) -> Iterator[bytes]:
        if kind == "info":
            yield frames.qn_request("unit", protocol)
        elif kind == "ready":
            # It goes no further without a time, and keeps it for what it stores itself, which is not read: so it is
            # told one that may be wrong.
            seconds = int(session.io.now().local.replace(tzinfo=UTC).timestamp()) - frames.QN_EPOCH
            yield frames.qn_request("time", protocol, seconds=seconds)
        elif kind == "greeting":
            yield frames.qn_request("greeting", protocol)
            yield frames.qn_request("history", protocol)


def _question(item: Reading | Reply) -> tuple[str, int] | None:
    if isinstance(item, Reply) and item.kind == "scale-asks" and item.fields["kind"] in ("info", "ready", "greeting"):
        return item.fields["kind"], item.fields["protocol"]
    return None


class Fff0Profile(QnProfile):
    """Profile of Vitafit, and of QN scales that have the same service."""

    service = uuid(0xFFF0)
    title = "Vitafit or QN body scale"
    streams = (uuid(0xFFF1),)
    control = uuid(0xFFF2)

    def decode(self, value: GattValue) -> Items:
        if value.data[:1] != b"\x5a":
            return self._decode_qn(value.data)
        found = frames.decode_vitafit(value.data)
        if found["kind"] == IMPEDANCE:
            return self._measured(found)
        if found["kind"] != WEIGHT:
            return []
        return self._weighed(found["weight"], "kg") if found["stable"] else self._stepped_off()

    async def begin(self, session: ProfileSession) -> None:
        await self._shake_hands(session)


class Ffe0Profile(QnProfile):
    """Profile of QN and Renpho, and of Yunmai that has the same service."""

    service = uuid(0xFFE0)
    title = "QN, Renpho or Yunmai body scale"
    streams = (uuid(0xFFE1), uuid(0xFFE4))
    control = uuid(0xFFE3)
    yunmai, yunmai_service = uuid(0xFFE9), uuid(0xFFE5)

    def __init__(self, memory: ProfileMemory) -> None:
        super().__init__(memory)
        self._records = UnnumberedRecords(memory, "yunmai")

    def decode(self, value: GattValue) -> Items:
        return self._decode_qn(value.data) if value.uuid == self.streams[0] else self._decode_yunmai(value.data)

    def _decode_yunmai(self, data: bytes) -> Items:
        found = frames.decode_yunmai(data)
        if found["kind"] != FINAL:
            return self._stepped_off()
        time = datetime.fromtimestamp(found["unix"], UTC).replace(tzinfo=None).isoformat()
        measured = {name: found.get(name) for name in UNITS}
        self._weight, self._beside = (found["weight"], "kg"), {}
        plain = Reading("body_weight", {"weight": found["weight"]}, {"weight": "kg"}, (), GOOD)
        reading = next((one for one in self._measured(measured) if isinstance(one, Reading)), plain)
        reading.device_time = time
        return self._records.give(reading, str(found["user"]))

    async def begin(self, session: ProfileSession) -> None:
        start = session.find(self.yunmai, self.yunmai_service)
        if start is not None:
            await session.write(start, frames.YUNMAI_START)
        else:
            await self._shake_hands(session)


PROFILES = (Ac02Profile, Fff0Profile, Ffe0Profile)


class BleScale(BleDriver):
    """Body scales that speak a protocol of their maker."""

    name = "ble-scale"
    title = "Body scales: Dr Trust, FitTrack and others with AC02, Vitafit, QN and Renpho, Yunmai"
    metrics = ("body_weight", "body_composition")
    services = tuple(each.service for each in PROFILES)
    brings = PROFILES
    streams = False
    keeps_records = True
    options_type = MakersScaleOptions
    example_options: ClassVar[dict[str, Any]] = {"model": "dr-trust"}
    scan_hints = ScanHints(names=("QN-Scale", "Renpho-Scale", "YUNMAI"))
    devices = (
        SupportedDevice("Dr Trust, FitTrack, Swan", ("scales with service FFB0",), "body scale"),
        SupportedDevice("Vitafit", ("VT701",), "body scale"),
        SupportedDevice("QN, Renpho", ("QN-Scale", "Renpho-Scale"), "body scale", "not seen"),
        SupportedDevice("Yunmai", ("Mini and others",), "body scale", "not seen"),
    )
    source = "openScale, ble-scale-sync and captures of others; not seen on a device"
