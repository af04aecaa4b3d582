"""Format `senml`: SenML packs (RFC 8428) in JSON or CBOR, units from the IANA registry."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import orjson
from msgspec.structs import replace

from gatepost.agent.uplink.formats.interface import (
    COMMAND_TOPICS,
    STATUS_TOPICS,
    DeviceProfile,
    FormatChannel,
    FormatContext,
    OutgoingMessage,
    PayloadFormat,
    contract_channels,
)
from gatepost.agent.uplink.formats.stored_reading import StoredReading

Described = msgspec.Meta
_FILLED = r"\{gateway\}|\{device\}"
BASE_NAME = rf"^([A-Za-z0-9]|{_FILLED})([-A-Za-z0-9:./_]|{_FILLED})*$"  # RFC 8428, section 4.5.1
Records = list[dict[str, Any]]

# UCUM -> (registered primary unit, factor, what is subtracted first); RFC 8428, section 12.1 and the IANA registry.
UNITS: dict[str, tuple[str, str, str]] = {
    "mm[Hg]": ("Pa", "133.322387415", "0"),
    "kPa": ("Pa", "1000", "0"),
    "hPa": ("Pa", "100", "0"),
    "Pa": ("Pa", "1", "0"),
    "%": ("/", "0.01", "0"),
    "[ppm]": ("/", "0.000001", "0"),
    "[ppb]": ("/", "0.000000001", "0"),
    "Cel": ("Cel", "1", "0"),
    "[degF]": ("Cel", "1.8", "32"),  # divided: (F - 32) / 1.8
    "mg/dL": ("kg/m3", "0.01", "0"),
    "ug/m3": ("kg/m3", "0.000000001", "0"),
    "kg": ("kg", "1", "0"),
    "g": ("kg", "0.001", "0"),
    "[lb_av]": ("kg", "0.45359237", "0"),
    "[oz_av]": ("kg", "0.028349523125", "0"),
    "m": ("m", "1", "0"),
    "cm": ("m", "0.01", "0"),
    "mm": ("m", "0.001", "0"),
    "[in_i]": ("m", "0.0254", "0"),
    "Ohm": ("Ohm", "1", "0"),
    "lx": ("lx", "1", "0"),
    "V": ("V", "1", "0"),
    "mV": ("V", "0.001", "0"),
    "uV": ("V", "0.000001", "0"),
    "A": ("A", "1", "0"),
    "mA": ("A", "0.001", "0"),
    "W": ("W", "1", "0"),
    "dB[mW]": ("dBW", "", "30"),  # only subtracted: 0 dBm = -30 dBW
    "[g]": ("m/s2", "9.80665", "0"),
    "m/s2": ("m/s2", "1", "0"),
    "s": ("s", "1", "0"),
    "ms": ("s", "0.001", "0"),
    "Hz": ("Hz", "1", "0"),
    "/min": ("1/min", "1", "0"),
    "bar": ("Pa", "100000", "0"),
    "mbar": ("Pa", "100", "0"),
    "cm[H2O]": ("Pa", "98.0665", "0"),
    "[in_i'Hg]": ("Pa", "3386.38815789", "0"),
    "L": ("m3", "0.001", "0"),
    "mL": ("m3", "0.000001", "0"),
    "L/min": ("m3/s", "0.00001666666666666666666666667", "0"),
    "mL/min": ("m3/s", "0.00000001666666666666666666666667", "0"),
    "mg": ("kg", "0.000001", "0"),
    "min": ("s", "60", "0"),
    "m/s": ("m/s", "1", "0"),
    "km/h": ("m/s", "0.2777777777777777777777777778", "0"),
    "[mi_i]/h": ("m/s", "0.44704", "0"),
    "[kn_i]": ("m/s", "0.5144444444444444444444444444", "0"),
    "m[g]": ("m/s2", "0.00980665", "0"),
    "kJ": ("J", "1000", "0"),
    "kcal": ("J", "4184", "0"),
    "W/m2": ("W/m2", "1", "0"),
    "uS/cm": ("S/m", "0.0001", "0"),
}
BY_NAME = {  # where the value decides
    ("heart_rate", "/min"): ("beat/min", "1", "0"),
    ("humidity", "%"): ("%RH", "1", "0"),
    ("battery", "%"): ("%EL", "1", "0"),
    ("latitude", "deg"): ("lat", "1", "0"),
    ("longitude", "deg"): ("lon", "1", "0"),
}
EXACT = Context(prec=28)
SHOWN = Context(prec=12)
LABELS = {"bn": -2, "bt": -3, "bu": -4, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "t": 6}  # RFC 8428, section 6


class SenmlOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of format `senml`."""

    encoding: Annotated[Literal["json", "cbor"], Described(description="how packs are written")] = "json"
    base_name: Annotated[str, Described(pattern=BASE_NAME, description="begins each name; {gateway}, {device}")] = (
        "urn:gatepost:{gateway}:{device}:"
    )


class SenmlFormat(PayloadFormat):
    """One pack a reading; a waveform follows its reading's values as a pack of its own in the same array."""

    name: ClassVar[str] = "senml"
    summary: ClassVar[str] = "SenML packs (RFC 8428) in JSON or CBOR: IETF stacks, LwM2M, Magistrala"
    options_type: ClassVar[type[msgspec.Struct]] = SenmlOptions
    topic_keys: ClassVar[frozenset[str]] = STATUS_TOPICS | COMMAND_TOPICS | {"data"}
    default_topics: ClassVar[Mapping[str, str]] = {"data": "senml/{gateway}/{device}"}
    batches: ClassVar[bool] = True

    def __init__(self, context: FormatContext) -> None:
        super().__init__(context)
        self._cbor = context.options.encoding == "cbor"
        self._content_type = f"application/senml+{context.options.encoding}"
        self._bases: dict[str, str] = {}  # base name by device

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        return self.batch([reading], now)

    def batch(self, readings: Sequence[StoredReading], now: int) -> Sequence[OutgoingMessage]:
        packs: list[tuple[OutgoingMessage, Records]] = []
        joined: dict[str, Records] = {}  # by topic: the array that further packs go into
        for reading in readings:
            records = self._records(reading)
            if not records:
                continue
            head = self.message(reading, b"", self._content_type)
            if reading.samples:  # the base unit of a waveform holds for all that follows in the array: nothing does
                packs.append((head, records))
                joined.pop(head.topic, None)  # or later readings would overtake it
            elif head.topic in joined:
                joined[head.topic].extend(records)
            else:
                joined[head.topic] = records
                packs.append((head, records))
        encode = encode_cbor if self._cbor else orjson.dumps
        return [replace(head, payload=encode(records)) for head, records in packs]

    def _records(self, reading: StoredReading) -> Records:
        base, units = self._base(reading), reading.units
        records: Records = []
        for name, value in reading.values.items():
            record: dict[str, Any] = {"n": _name(f"{reading.metric}/{name}")}
            if isinstance(value, bool):
                record["vb"] = value
            elif isinstance(value, str):
                record["vs"] = value
            elif isinstance(value, int | float):
                record |= _quantity(name, value, units.get(name))
            else:
                continue  # a list is no single value
            records.append(record)
        if records:
            records[0] = {"bn": base, "bt": reading.time / 1e6, **records[0]}
        samples = reading.samples
        return records + self._wave(reading, base, samples) if samples else records

    def _wave(self, reading: StoredReading, base: str, samples: list[int]) -> Records:
        members = reading.members
        rate, scale, offset = members["rate_hz"], members.get("scale", 1.0), members.get("offset", 0.0)
        unit = _rule("", members.get("unit"))
        start = round(reading.time / 1e6 - (len(samples) - 1) / rate, 6)
        head: dict[str, Any] = {"bn": base + _name(f"{reading.metric}/{reading.channel}"), "bt": start}
        if unit is not None:
            head["bu"] = unit[0]
        step, shift = Decimal(repr(scale)), Decimal(repr(offset))
        records: Records = []
        for number, sample in enumerate(samples):
            value = EXACT.add(EXACT.multiply(Decimal(sample), step), shift)
            time = {"t": round(number / rate, 6)} if number else {}
            records.append({**time, "v": _convert(value, unit)})
        records[0] = {**head, **records[0]}
        return records

    def _base(self, reading: StoredReading) -> str:
        base = self._bases.get(reading.device)
        if base is None:
            base = str(self.context.options.base_name)
            for mark, name in (("{gateway}", reading.gateway), ("{device}", reading.device)):
                base = base.replace(mark, _name(name))
            self._bases[reading.device] = base
        return base

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        kind = f"application/senml+{options.encoding}"
        schema = {"type": "array", "items": {"type": "object"}} if options.encoding == "json" else {}
        yield FormatChannel("data", topics["data"], "send", "A SenML pack", qos, False, kind, schema)
        yield from contract_channels(topics)

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        yield "format", "senml carries no flags, quality or patient", "choose another format where they matter"


@lru_cache(maxsize=4096)
def _name(text: str) -> str:
    """Only what a SenML name may hold (RFC 8428, section 4.5.1)."""
    return re.sub(r"[^-A-Za-z0-9:./_]", "_", text)


def _rule(name: str, unit: str | None) -> tuple[str, str, str] | None:
    return None if unit is None else BY_NAME.get((name, unit)) or UNITS.get(unit)


def _quantity(name: str, value: float, unit: str | None) -> dict[str, Any]:
    rule = _rule(name, unit)
    if rule is None:
        return {"v": value}
    return {"u": rule[0], "v": value if rule[1:] == ("1", "0") else _converted(value, rule)}


@lru_cache(maxsize=4096)
def _converted(value: float, rule: tuple[str, str, str]) -> float:
    """Readings move among few values; decimal arithmetic is slow."""
    return _convert(Decimal(repr(value)), rule)


def _convert(value: Decimal, rule: tuple[str, str, str] | None) -> float:
    """Exact decimal arithmetic, 12 significant digits in the result."""
    if rule is not None:
        unit, factor, less = rule
        value = EXACT.subtract(value, Decimal(less))
        if factor:
            both = Decimal(factor)
            value = EXACT.divide(value, both) if unit == "Cel" else EXACT.multiply(value, both)
    number = float(SHOWN.plus(value))
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def encode_cbor(value: Any) -> bytes:
    """Deterministic CBOR (RFC 8949) of records: arrays, maps of SenML labels, numbers, texts, booleans."""
    match value:
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            octets = value.encode()
            return _head(3, len(octets)) + octets
        case list():
            return _head(4, len(value)) + b"".join(map(encode_cbor, value))
        case _:
            pairs = (encode_cbor(LABELS[key]) + encode_cbor(member) for key, member in value.items())
            return _head(5, len(value)) + b"".join(pairs)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for extra, form in ((24, ">BB"), (25, ">BH"), (26, ">BI"), (27, ">BQ")):
        if number < 1 << 8 * (struct.calcsize(form) - 1):
            return struct.pack(form, major << 5 | extra, number)
    raise OverflowError("an integer of more than 64 bits")
