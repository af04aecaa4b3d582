"""Xiaomi MiBeacon, versions 2 to 5: service data FE95, a list of objects, plain or encrypted (no published
specification; captures of custom-components/ble_monitor and Bluetooth-Devices/xiaomi-ble).

Frame control u16, device type u16, counter u8, address reversed (bit 4), capability (bit 5), objects (bit 6): type u16,
length u8, value. Numbers are little-endian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from struct import Struct, unpack_from
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.cipher import TAG_SIZE, AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_text
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading, measured

ENCRYPTED, WITH_ADDRESS, WITH_CAPABILITY, WITH_OBJECT = 0x08, 0x10, 0x20, 0x40
ADDRESS = 6  # octets
_CAPABILITY_IO = 0x20  # one more octet follows
_HEAD = Struct("<HHB")
_ASSOCIATED = b"\x11"
_FIRST_WITH_TAG = 4  # version
_EXTENDED = 3  # octets of the counter beside the payload
SPAN = 1 << 32

_S400 = Struct("<BII")
_NO_RATE, _NO_WEIGHT = (0, 127), (0, 0x7FF)  # the latter: S400 Pro
_ONLY_LIGHT = frozenset((0x07F6, 0x098B))  # MJYD02YL, MCCGQ02HL: their illuminance is 100 in light, else 0 or 1

UNITS = {
    "temperature": "Cel",
    "humidity": "%",
    "battery": "%",
    "moisture": "%",
    "illuminance": "lx",
    "conductivity": "uS/cm",
    "formaldehyde": "mg/m3",
    "weight": "kg",
    "heart_rate": "/min",
    "impedance": "Ohm",
    "impedance_2": "Ohm",
}
STATES = frozenset(("wet", "smoke", "light_detected", "open", "occupied", "motion"))
_APART = frozenset(("profile", "unix", "weight", "heart_rate", "impedance", "impedance_2", "battery"))


def _number(name: str, form: str, per: int = 1) -> Callable[[bytes], dict[str, Any]]:
    whole = Struct("<" + form)

    def read(data: bytes) -> dict[str, Any]:
        (raw,) = whole.unpack_from(data)
        return {name: raw if per == 1 else raw / per}

    return read


def _real(name: str) -> Callable[[bytes], dict[str, Any]]:
    """A binary32 number; NaN and infinity are none."""

    def read(data: bytes) -> dict[str, Any]:
        (raw,) = unpack_from("<f", data)
        return {name: raw if math.isfinite(raw) else None}

    return read


def _u24(name: str) -> Callable[[bytes], dict[str, Any]]:
    return lambda data: {name: int.from_bytes(data[:3], "little")}


def _flag(name: str) -> Callable[[bytes], dict[str, Any]]:
    return lambda data: {name: data[0] != 0}


def _opened(states: dict[int, bool]) -> Callable[[bytes], dict[str, Any]]:
    """A door sends other octets, too: when it was reset, or taken off."""
    return lambda data: {"open": states[data[0]]} if data[0] in states else {}


def _both(data: bytes) -> dict[str, Any]:
    temperature, humidity = unpack_from("<hH", data)
    return {"temperature": temperature / 10, "humidity": humidity / 10}


def _motion_and_light(data: bytes) -> dict[str, Any]:
    return {"motion": True, **_real("illuminance")(data)}


def _no_motion(data: bytes) -> dict[str, Any]:
    return {"motion": unpack_from("<H", data)[0] == 0}


def _scale(data: bytes) -> dict[str, Any]:
    """The S400 sends two packets for a weighing: weight 0 = the second, with the impedance at the higher frequency."""
    profile, packed, seconds = _S400.unpack_from(data)
    weight, rate, impedance = packed & 0x7FF, packed >> 11 & 0x7F, packed >> 18
    found: dict[str, Any] = {"profile": profile, "unix": seconds}
    weighed = weight not in _NO_WEIGHT
    found["weight"] = weight / 10 if weighed else None
    found["heart_rate"] = None if rate in _NO_RATE else rate + 50
    found["impedance" if weighed else "impedance_2"] = impedance / 10 if impedance else None
    return found


OBJECTS: dict[int, tuple[int, Callable[[bytes], dict[str, Any]]]] = {  # type -> least octets, reader
    0x0003: (1, lambda data: {"motion": True}),
    0x1004: (2, _number("temperature", "h", 10)),
    0x1006: (2, _number("humidity", "H", 10)),
    0x1007: (3, _u24("illuminance")),
    0x1008: (1, _number("moisture", "B")),
    0x1009: (2, _number("conductivity", "H")),
    0x100A: (1, _number("battery", "B")),
    0x100D: (4, _both),
    0x1010: (2, _number("formaldehyde", "H", 100)),
    0x1014: (1, _flag("wet")),
    0x1015: (1, _flag("smoke")),
    0x1018: (1, _flag("light_detected")),
    0x1019: (1, _opened({0: True, 1: False, 2: True})),  # 2: left open
    0x4802: (1, _number("humidity", "B")),
    0x4803: (1, _number("battery", "B")),
    0x4804: (1, _opened({1: True, 2: False})),
    0x4805: (4, _real("illuminance")),
    0x4806: (1, _flag("wet")),
    0x4818: (2, _no_motion),
    0x484E: (1, lambda data: {"occupied": data[0] not in (0, 2)}),  # 2: nobody any more
    0x4A08: (4, _motion_and_light),
    0x4A12: (1, _opened({1: True, 2: False})),
    0x4C01: (4, _real("temperature")),
    0x4C02: (1, _number("humidity", "B")),
    0x4C03: (1, _number("battery", "B")),
    0x4C08: (4, _real("humidity")),
    0x5403: (1, _number("battery", "B")),
    0x6E16: (9, _scale),
}


class MiBeaconFrame(msgspec.Struct, frozen=True):
    """One frame. `values` by name; objects that nobody knows stand there as `object_TYPE` in hex digits. `counter` has
    the extended octets too, where there are any."""

    version: int
    device: int
    counter: int
    encrypted: bool
    values: dict[str, Any]
    address: bytes | None = None


def decode(data: bytes, cipher: AdvertCipher | None = None, mac: bytes | None = None) -> MiBeaconFrame:
    """FrameError truncated, no_key, no_address, decrypt_failed."""
    if len(data) < _HEAD.size:
        raise FrameError("truncated")
    control, device, counter = _HEAD.unpack_from(data)
    own = data[_HEAD.size : _HEAD.size + ADDRESS][::-1] if control & WITH_ADDRESS else None
    at = _body_at(data)
    if len(data) < at:
        raise FrameError("truncated")
    version, sealed = control >> 12, bool(control & ENCRYPTED)
    if not control & WITH_OBJECT:
        return MiBeaconFrame(version, device, counter, sealed, {}, own)
    body = data[at:]
    if sealed:
        body, extended = _open(data, body, version, cipher, own or mac)
        counter += extended << 8
    return MiBeaconFrame(version, device, counter, sealed, _values(body, sealed), own)


def _body_at(data: bytes) -> int:
    """Where what follows the head begins."""
    at = _HEAD.size + (ADDRESS if data[0] & WITH_ADDRESS else 0)
    if data[0] & WITH_CAPABILITY:
        at += 2 if data[at : at + 1] and data[at] & _CAPABILITY_IO else 1
    return at


def _open(data: bytes, body: bytes, version: int, cipher: AdvertCipher | None, mac: bytes | None) -> tuple[bytes, int]:
    """The objects, and the extended counter."""
    if cipher is None:
        raise FrameError("no_key")
    if mac is None:
        raise FrameError("no_address")
    if version < _FIRST_WITH_TAG:  # no tag: what comes out must make sense
        if len(body) < _EXTENDED + 1:
            raise FrameError("truncated")
        extended = body[-_EXTENDED - 1 : -1]
        plain = cipher.stream_of_ccm(data[:5] + extended + mac[::-1][:5], body[: -_EXTENDED - 1])
        return plain, int.from_bytes(extended, "little")
    if len(body) < _EXTENDED + TAG_SIZE:
        raise FrameError("truncated")
    sealed, extended, tag = body[: -_EXTENDED - TAG_SIZE], body[-_EXTENDED - TAG_SIZE : -TAG_SIZE], body[-TAG_SIZE:]
    plain = cipher.open(mac[::-1] + data[2:5] + extended, sealed + tag, _ASSOCIATED)
    return plain, int.from_bytes(extended, "little")


def _values(body: bytes, sealed: bool) -> dict[str, Any]:
    """Of all objects; one that is cut short ends them."""
    values: dict[str, Any] = {}
    at = 0
    while at + 3 <= len(body):
        kind, size = int.from_bytes(body[at : at + 2], "little"), body[at + 2]
        value = body[at + 3 : at + 3 + size]
        if len(value) < size:
            raise FrameError("decrypt_failed" if sealed and not values else "truncated")
        least, read = OBJECTS.get(kind, (0, None))
        if read is None or size < least:
            values[f"object_{kind:04x}"] = value.hex()
        else:
            values.update(read(value))
        at += 3 + size
    return values


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    """Readings of the metrics environment, body_weight, body_composition and heart_rate; states."""
    frame = decode(data, sender.cipher, sender.mac)
    values = frame.values
    if frame.device in _ONLY_LIGHT and "illuminance" in values:
        values["light_detected"] = values.pop("illuminance") == 100
    states = {name: value for name, value in values.items() if name in STATES}
    air = {
        name: value
        for name, value in values.items()
        if name not in STATES and name not in _APART and not name.startswith("object_")
    }
    battery = values.get("battery")
    if battery is not None and battery > 100:
        raise FrameError("out_of_range")
    if air and battery is not None:
        air["battery"] = battery
    readings: tuple[Reading, ...] = (measured("environment", air, UNITS),) if air else ()
    if "unix" in values:
        readings += _weighing(values, frame.address or sender.mac)
    status = {} if battery is None else {"battery": battery}
    unknown = any(name.startswith("object_") for name in values)
    fault = "unknown_object" if unknown else ""
    if frame.encrypted:
        return DecodedAdvert(readings, status, counter=frame.counter, span=SPAN, states=states, fault=fault)
    return DecodedAdvert(readings, status, frame.counter, states=states, fault=fault)


def _weighing(values: dict[str, Any], mac: bytes | None) -> tuple[Reading, ...]:
    """Each reading once: it is sent for a while."""
    time = datetime.fromtimestamp(values["unix"], UTC).replace(tzinfo=None).isoformat() if values["unix"] else None
    whose = f"{mac_text(mac) if mac else ''}/{values['profile']}"
    wanted = {
        "body_weight": ("weight",),
        "body_composition": ("weight", "impedance") if "impedance" in values else ("impedance_2",),
        "heart_rate": ("heart_rate",),
    }
    readings = []
    for metric, names in wanted.items():
        there = {name: values[name] for name in names if values.get(name) is not None}
        if there and (metric != "body_composition" or "impedance" in there or "impedance_2" in there):
            mark = (f"{metric}:{names[-1]}:{whose}", values["unix"])
            units = {name: UNITS[name] for name in there}
            readings.append(Reading(metric, there, units, device_time=time, bookmark=mark))
    return tuple(readings)


def fits(data: bytes) -> bool:
    """Versions before 2, and frames without an object, say nothing here."""
    return _is_whole(data) and bool(data[0] & WITH_OBJECT)


def is_idle(data: bytes) -> bool:
    """A thermometer sends a frame without an object between two with one."""
    return _is_whole(data) and not data[0] & WITH_OBJECT


def _is_whole(data: bytes) -> bool:
    return len(data) >= _HEAD.size and 2 <= data[1] >> 4 <= 5


def sealed(data: bytes) -> bool:
    return bool(data and data[0] & ENCRYPTED)


def variant(data: bytes) -> int:
    """A plain sensor sends its objects in turn: the type of the first tells them apart."""
    if sealed(data):
        return 0
    at = _body_at(data)
    return int.from_bytes(data[at : at + 2], "little")
