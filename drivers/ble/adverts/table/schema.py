"""Schema of a format of advertisements: one object for each format, in data/*.json or in a file of the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

Hex = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2}){1,8}$", description="hex digits, in quotes")]
NumberId = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{4}$", description="four hex digits, in quotes")]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,47}$")]
ServiceId = Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$")]
Scale = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?(/\d+)?$", description="a number or a fraction, 0.1 or 175/65535")]
Place = Annotated[int, Meta(ge=-64, le=255, description="octet from 0 on; negative: from the end")]
NumberType = Literal[
    "u8",
    "s8",
    "u16le",
    "u16be",
    "s16le",
    "s16be",
    "u24le",
    "u24be",
    "s24le",
    "s24be",
    "u32le",
    "u32be",
    "s32le",
    "s32be",
    "u40le",
    "u40be",
    "u64le",
    "u64be",
    "f32le",
]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Part of a format; an unknown key is a mistake."""


class MatchCondition(_Part, frozen=True, rename={"one_of": "is"}):
    """Condition on the octets: the number there, masked, is one of these."""

    at: Place
    one_of: Annotated[list[Hex], Meta(min_length=1)]
    type: NumberType = "u8"
    mask: Hex | None = None


Conditions = list[MatchCondition]


class BitRange(_Part, frozen=True):
    """Bits of the payload, counted from the low bit of its first octet."""

    at: Annotated[int, Meta(ge=0, le=511)]
    size: Annotated[int, Meta(ge=1, le=64)]


class NumberSpec(_Part, frozen=True):
    """Number in the payload. Done in this order: no value, mask, shift, mod, div, map or flag, scale, offset, plus,
    negative."""

    at: Place = 0
    type: NumberType = "u8"
    bits: BitRange | None = None
    none: list[int] = []
    none_from: int | None = None
    none_above: int | None = None
    mask: Hex | None = None
    shift: Annotated[int, Meta(ge=0, le=63)] = 0
    mod: Annotated[int, Meta(ge=1)] | None = None
    div: Annotated[int, Meta(ge=1)] | None = None
    map: dict[str, str | bool | int | float] | None = None
    flag: Literal["zero", "nonzero"] | None = None
    scale: Scale = "1"
    offset: float = 0
    plus: list[NumberSpec] = []
    negative: Conditions = []
    when: Conditions = []


class FieldSpec(NumberSpec, frozen=True, kw_only=True):
    """Value of the reading. `unit`: UCUM, where the name does not say it."""

    name: Name
    unit: str | None = None


class LengthRange(_Part, frozen=True):
    """Least number of octets."""

    min: Annotated[int, Meta(ge=1, le=255)]


class OwnAddress(_Part, frozen=True):
    """Place where the address of the sender must stand."""

    at: Place
    order: Literal["plain", "reversed"] = "plain"


class MatchSpec(_Part, frozen=True):
    """Match keys; all of them must hold. `id` absent: any, as of makers that use the company id for data."""

    carrier: Literal["manufacturer", "service"]
    id: list[NumberId] = []
    length: list[int] | LengthRange | None = None
    when: Conditions = []
    local_name: list[str] = []
    service_uuid: list[ServiceId] = []
    address: OwnAddress | None = None

    @property
    def keys(self) -> int:
        """How many there are."""
        parts = (self.id, self.length, self.when, self.local_name, self.service_uuid, self.address)
        return sum(bool(part) for part in parts)


class ChecksumSpec(_Part, frozen=True):
    """Exclusive or of the octets `first` to `last`, which stands at `at`."""

    first: Annotated[int, Meta(ge=0, le=255)]
    last: Annotated[int, Meta(ge=0, le=255)]
    at: Annotated[int, Meta(ge=0, le=255)]


class ExamplePayload(_Part, frozen=True):
    """Payload that was captured. `id`: its company id or 16-bit service."""

    data: Annotated[str, Meta(pattern=r"^([0-9A-Fa-f]{2})+$")]
    id: NumberId
    local_name: str = ""


class FieldCase(_Part, frozen=True):
    """Fields of one kind of payload; the first case that fits counts."""

    when: Conditions
    fields: list[FieldSpec]


class TlvSpec(_Part, frozen=True):
    """Objects from `at` on: tag u8, length u8, value. One that is cut short ends it; unknown tags are passed over."""

    at: Place
    fields: dict[Annotated[str, Meta(pattern=r"^[0-9A-Fa-f]{2}$")], list[FieldSpec]]


class MakerDevices(_Part, frozen=True):
    """Devices of one maker, as sold."""

    maker: str
    models: list[str]
    kind: str


class FormatSpec(_Part, frozen=True):
    """Format of the advertisements of some devices. `evidence`: captured by others, from documents, or not seen.
    `final`: the field that must be true before a weighing counts. `repeat`: the field that numbers the measurements.
    `untold`: fields that are no part of the reading."""

    name: Name
    title: str
    match: MatchSpec
    source: str = ""
    evidence: Literal["captured", "documents", "not seen"] = "not seen"
    devices: list[MakerDevices] = []
    metric: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "environment"
    data: Literal["payload", "with-id"] = "payload"
    fields: list[FieldSpec] = []
    cases: list[FieldCase] = []
    tlv: TlvSpec | None = None
    repeat: str = "octets"
    final: str = ""
    state: list[Name] = []
    untold: list[Name] = []
    checksum: ChecksumSpec | None = None
    example: ExamplePayload | None = None

    def every_field(self) -> Iterator[tuple[tuple[Any, ...], FieldSpec]]:
        """All fields, each with the keys that lead to it."""
        for index, field in enumerate(self.fields):
            yield ("fields", index), field
        for number, case in enumerate(self.cases):
            for index, field in enumerate(case.fields):
                yield ("cases", number, "fields", index), field
        if self.tlv is not None:
            for tag, fields in self.tlv.fields.items():
                for index, field in enumerate(fields):
                    yield ("tlv", "fields", tag, index), field


class FormatMistake(NamedTuple):
    """Mistake in a format that its types do not show; `path`: the keys that lead to it."""

    path: tuple[Any, ...]
    key: str
    message: str
    hint: str = ""


FEWEST_KEYS = 2


def mistakes(spec: FormatSpec) -> list[FormatMistake]:
    """All of them; empty for a format that can be used."""
    found = []
    if spec.match.keys < FEWEST_KEYS:
        hint = "two of id, length, when, local_name, service_uuid, address: one alone takes other devices' data for its"
        found.append(FormatMistake(("match",), "too-few-match-keys", "a format needs two match keys", hint))
    if spec.data == "with-id" and spec.match.carrier != "manufacturer":
        found.append(FormatMistake(("data",), "no-company-id", "only manufacturer data has an id before it"))
    fields = dict(spec.every_field())
    names = {field.name for field in fields.values()}
    if not names:
        found.append(FormatMistake((), "no-fields", "a format without fields says nothing"))
    for key, wanted in (("repeat", {"octets", *names}), ("final", {"", *names})):
        if getattr(spec, key) not in wanted:
            found.append(FormatMistake((key,), "unknown-field", f"there is no field {getattr(spec, key)}"))
    for key in ("state", "untold"):
        for index, name in enumerate(getattr(spec, key)):
            if name not in names:
                found.append(FormatMistake((key, index), "unknown-field", f"there is no field {name}"))
    if spec.checksum is not None:
        least = spec.match.length.min if isinstance(spec.match.length, LengthRange) else min(spec.match.length or [0])
        if not spec.checksum.first <= spec.checksum.last < least or spec.checksum.at >= least:
            hint = "`length` must say that the octets are there"
            found.append(FormatMistake(("checksum",), "out-of-range", "the checksum is outside of the payload", hint))
    for path, field in fields.items():
        if "/" in field.scale and not int(field.scale.rpartition("/")[2]):
            found.append(FormatMistake((*path, "scale"), "no-number", "nothing is divided by zero"))
        if field.map is not None and not all(_is_number(key) for key in field.map):
            found.append(FormatMistake((*path, "map"), "no-number", "the keys of a map are whole numbers"))
        if (field.flag or field.map) and (field.scale != "1" or field.offset or field.plus):
            hint = "`flag` and `map` give the value themselves"
            found.append(FormatMistake(path, "no-effect", "scale, offset and plus have no effect here", hint))
    return found


def _is_number(text: str) -> bool:
    try:
        int(text, 0)
    except ValueError:
        return False
    return True
