"""Engine of the formats that are data: compiled once into closures, so that an advertisement costs microseconds.

Sans-I/O; never raises on what a device sends but FrameError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from operator import xor
from typing import Any
from zlib import crc32

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_of
from gatepost.drivers.ble.adverts.table.schema import Conditions, FieldSpec, FormatSpec, NumberSpec, NumberType
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading, measured

ABSENT: Any = object()  # a field past the end of the payload, or of another kind of payload
LONGEST = 255  # octets of a payload
MOST_PERCENT = 100
DIGITS = 9  # of a value, which removes what binary fractions add
ONCE = frozenset({"body_weight", "body_composition"})  # metrics whose readings are repeated for minutes

UNITS = {
    **dict.fromkeys(("temperature", "temperature_probe", "temperature_ambient", "dew_point"), "Cel"),
    **{f"temperature_probe_{number}": "Cel" for number in range(1, 7)},
    **dict.fromkeys(("humidity", "moisture", "battery"), "%"),
    **dict.fromkeys(("pm25", "pm10", "tvoc"), "ug/m3"),
    **dict.fromkeys(("radon", "radon_1day", "radon_longterm"), "Bq/m3"),
    **dict.fromkeys(("acceleration_x", "acceleration_y", "acceleration_z"), "m[g]"),
    **dict.fromkeys(("age", "interval", "radiation_duration"), "s"),
    **dict.fromkeys(("impedance", "impedance_2"), "Ohm"),
    "pressure": "hPa",
    "illuminance": "lx",
    "co2": "[ppm]",
    "conductivity": "uS/cm",
    "battery_voltage": "mV",
    "formaldehyde": "mg/m3",
    "radiation_rate": "nSv/h",
    "radiation_total": "nSv",
    "heart_rate": "/min",
    "weight": "kg",
}

Reader = Callable[[bytes], Any]
Check = Callable[[bytes], bool]

_STRUCTS = {"u8": "B", "s8": "b", "u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q", "f32": "f"}


def raw_reader(kind: NumberType, at: int) -> Reader:
    """Reads one number; None where the payload ends before it."""
    name, order = kind.removesuffix("le").removesuffix("be"), "<" if kind.endswith("le") else ">"
    size, signed = int(name[1:]) // 8, name[0] == "s"
    if at >= 0 and name == "u8":
        return lambda data: data[at] if at < len(data) else None
    if at >= 0 and name in _STRUCTS:
        unpack = struct.Struct(order + _STRUCTS[name]).unpack_from
        return lambda data: unpack(data, at)[0] if at + size <= len(data) else None
    endian: Any = "little" if order == "<" else "big"

    def read(data: bytes) -> int | float | None:
        begin = at if at >= 0 else len(data) + at
        if begin < 0 or begin + size > len(data):
            return None
        if name == "f32":
            return float(struct.unpack_from(order + "f", data, begin)[0])
        return int.from_bytes(data[begin : begin + size], endian, signed=signed)

    return read


def check_of(conditions: Conditions) -> Check | None:
    """True if all of them hold; None where there are none."""
    parts = []
    for each in conditions:
        mask = -1 if each.mask is None else int(each.mask, 16)
        wanted = frozenset(int(text, 16) for text in each.one_of)
        parts.append((raw_reader(each.type, each.at), mask, wanted))
    if not parts:
        return None

    def check(data: bytes) -> bool:
        for read, mask, wanted in parts:
            raw = read(data)
            if raw is None or (raw & mask) not in wanted:
                return False
        return True

    return check


def value_reader(spec: NumberSpec) -> Reader:
    """Reads one value: ABSENT, None = no value, or what it is."""
    read = _bits(spec.bits.at, spec.bits.size) if spec.bits is not None else raw_reader(spec.type, spec.at)
    when, negative = check_of(spec.when), check_of(spec.negative)
    missing, least, most = frozenset(spec.none), spec.none_from, spec.none_above
    some_missing = bool(missing) or least is not None or most is not None
    mask, shift, mod, div = None if spec.mask is None else int(spec.mask, 16), spec.shift, spec.mod, spec.div
    mapping = None if spec.map is None else {int(key, 0): value for key, value in spec.map.items()}
    zero = spec.flag == "zero"
    scale = Fraction(spec.scale)
    times, per, offset = scale.numerator, scale.denominator, spec.offset
    offset = int(offset) if offset == int(offset) else offset
    plus = [value_reader(each) for each in spec.plus]

    def value(data: bytes) -> Any:
        if when is not None and not when(data):
            return ABSENT
        raw = read(data)
        if raw is None or raw - raw != 0:  # a float that is no number, or infinite
            return ABSENT if raw is None else None
        if some_missing and (
            raw in missing or (least is not None and raw >= least) or (most is not None and raw > most)
        ):
            return None
        if mask is not None:
            raw &= mask
        if shift:
            raw >>= shift
        if mod is not None:
            raw %= mod
        if div is not None:
            raw //= div
        if mapping is not None:
            return mapping.get(raw)
        if spec.flag is not None:
            return (raw == 0) is zero
        number = raw * times / per + offset if per != 1 else raw * times + offset
        for other in plus:
            more = other(data)
            if more is ABSENT or more is None:
                return more
            number += more
        if negative is not None and negative(data):
            number = -number
        return round(number, DIGITS) if isinstance(number, float) else number

    return value


def _bits(at: int, size: int) -> Reader:
    last, mask = (at + size + 7) // 8, (1 << size) - 1
    return lambda data: int.from_bytes(data[:last], "little") >> at & mask if last <= len(data) else None


class CompiledFields:
    """Fields of a payload, in order."""

    def __init__(self, specs: list[FieldSpec]) -> None:
        self._readers = [(spec.name, value_reader(spec)) for spec in specs]

    def into(self, out: dict[str, Any], data: bytes) -> None:
        for name, read in self._readers:
            value = read(data)
            if value is not ABSENT:
                out[name] = value


class TableFormat:
    """Format that is data, ready for use. `payload` is the match, `decode` gives the fields, `interpret` readings."""

    presence = False
    seals = False

    def __init__(self, spec: FormatSpec) -> None:
        self.spec = spec
        self.name, self.title = spec.name, spec.title
        self.key = spec.name  # its place in the history of a device
        match = spec.match
        self.company_ids = tuple(int(text, 16) for text in match.id) if match.carrier == "manufacturer" else ()
        self.services = tuple(uuid(int(text, 16)) for text in match.id) if match.carrier == "service" else ()
        self._with_id = spec.data == "with-id"
        self._lengths = frozenset(match.length) if isinstance(match.length, list) else None
        self._least = 0 if match.length is None or isinstance(match.length, list) else match.length.min
        self._when = check_of(match.when)
        self._names = frozenset(name for name in match.local_name if not name.endswith("*"))
        self._prefixes = tuple(name[:-1] for name in match.local_name if name.endswith("*"))
        beside = match.service_uuid
        self._beside = frozenset(uuid(int(text, 16)) if len(text) == 4 else text.lower() for text in beside)
        self._address = match.address
        self._fields = CompiledFields(spec.fields)
        self._cases = [(check_of(case.when), CompiledFields(case.fields)) for case in spec.cases]
        tlv = spec.tlv
        self._tlv_at = 0 if tlv is None else tlv.at
        self._tlv = {} if tlv is None else {int(tag, 16): CompiledFields(each) for tag, each in tlv.fields.items()}
        fields = dict(spec.every_field()).values()
        units = {field.name: field.unit or UNITS.get(field.name, "") for field in fields}
        self._units = {name: unit for name, unit in units.items() if unit}
        self._apart = frozenset(
            (*spec.state, *spec.untold, spec.final, *(() if spec.repeat == "octets" else (spec.repeat,)))
        )

    # -- the match

    def payload(self, data: bytes, company: int | None, advert: ReceivedAdvert) -> bytes | None:
        """The payload as the fields count it; None where it is another format."""
        if self._with_id and company is not None:
            data = company.to_bytes(2, "little") + data
        size = len(data)
        if (self._lengths is not None and size not in self._lengths) or size < self._least:
            return None
        if self._names or self._prefixes:
            name = advert.name
            if name not in self._names and not (self._prefixes and name.startswith(self._prefixes)):
                return None
        if self._when is not None and not self._when(data):
            return None
        if self._beside and self._beside.isdisjoint(advert.services):
            return None
        if self._address is not None and not self._is_own(data, advert.address):
            return None
        return data

    def _is_own(self, data: bytes, address: str) -> bool:
        mac, place = mac_of(address), self._address
        if mac is None or place is None:
            return False
        return data[place.at : place.at + 6] == (mac[::-1] if place.order == "reversed" else mac)

    def lengths(self) -> range | list[int]:
        """Octets that the payload may have, without its company id."""
        less = 2 if self._with_id else 0
        if self._lengths is not None:
            return sorted(length - less for length in self._lengths)
        return range(max(0, self._least - less), LONGEST + 1)

    # -- its content

    def decode(self, data: bytes) -> dict[str, Any]:
        """The fields that are there; None = the device says that it has no value."""
        out: dict[str, Any] = {}
        self._fields.into(out, data)
        for check, fields in self._cases:
            if check is None or check(data):
                fields.into(out, data)
                break
        if self._tlv:
            self._objects(out, data)
        return out

    def _objects(self, out: dict[str, Any], data: bytes) -> None:
        at = self._tlv_at
        while at + 2 <= len(data):
            end = at + 2 + data[at + 1]
            if end > len(data):
                return
            fields = self._tlv.get(data[at])
            if fields is not None:
                fields.into(out, data[at + 2 : end])
            at = end

    def check(self, data: bytes) -> None:
        """FrameError bad_checksum, where the format has a checksum."""
        rule = self.spec.checksum
        if rule is not None and reduce(xor, data[rule.first : rule.last + 1], 0) != data[rule.at]:
            raise FrameError("bad_checksum")

    def interpret(self, data: bytes, sender: AdvertSender) -> DecodedAdvert:
        """FrameError unsupported (nothing in it), bad_checksum, out_of_range."""
        spec = self.spec
        self.check(data)
        found = self.decode(data)
        battery = found.get("battery")
        if battery is not None and not 0 <= battery <= MOST_PERCENT:
            raise FrameError("out_of_range")
        if not found:
            raise FrameError("unsupported")
        stamp = crc32(data) if spec.metric in ONCE else None
        if spec.repeat != "octets":
            stamp = found.get(spec.repeat)
        if spec.final and found.get(spec.final) is not True:
            return DecodedAdvert(sleepy=True)
        values = {name: value for name, value in found.items() if name not in self._apart}
        readings: tuple[Reading, ...] = ()
        if values:
            readings = (measured(spec.metric, values, self._units),)
        states = {name: bool(found[name]) for name in spec.state if found.get(name) is not None}
        status = {} if battery is None else {"battery": battery}
        return DecodedAdvert(readings, status, stamp, states=states, sleepy=bool(spec.final))

    def fits(self, data: bytes, name: str = "") -> bool:
        """It was matched already."""
        return True

    def sealed(self, data: bytes) -> bool:
        return False

    def variant(self, data: bytes) -> int:
        """Payloads with other objects take turns; each is repeated on its own."""
        return data[self._tlv_at] if self._tlv and self._tlv_at < len(data) else 0
