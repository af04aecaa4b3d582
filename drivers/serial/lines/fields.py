"""Members of a line -> a Reading: names, units, scales and validity as the settings map them, compiled once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Meta

from gatepost.drivers.exact_json import LARGE, OversizeNumber
from gatepost.drivers.reading import BAD, GOOD, Reading
from gatepost.drivers.serial.lines.formats import VALUE, is_nothing, number
from gatepost.drivers.serial.lines.patterns import compile_pattern

Convert = Callable[[dict[str, Any]], Reading | None]
Step = Callable[[Any], Any]

PLAIN = frozenset({int, float, bool})
NAN = "nan"
_FLAGGED = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./ -]{0,63}")


class LineField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of one member: value * scale + offset, in `unit`, under `name`; not at all when it is invalid."""

    name: Annotated[str | None, Meta(description="its name upstream (default its own; of a pointer the last part)")] = (
        None
    )
    unit: Annotated[str | None, Meta(description="unit in UCUM: Cel, %, hPa, V, mm[Hg]")] = None
    scale: Annotated[float | None, Meta(description="value * scale + offset, in decimal arithmetic")] = None
    offset: Annotated[float | None, Meta(description="value * scale + offset, in decimal arithmetic")] = None
    invalid: Annotated[list[str | int | float], Meta(description='values that mean "no value": [-127, "err"]')] = []
    invalid_pattern: Annotated[
        str | None, Meta(description='regular expression of whole texts that mean "no value"')
    ] = None
    invalid_means: Annotated[
        str, Meta(pattern="^[a-z0-9-]{1,32}$", description="what the flag says of such a value: lead-off")
    ] = "invalid"

    def __post_init__(self) -> None:
        if not all(math.isfinite(factor) for factor in (self.scale or 0, self.offset or 0)):
            raise ValueError("`scale` and `offset` are finite numbers")


class MissingField(Exception):
    """The member has no value; the text says why, as in `<name>:<why>`."""


def compile_fields(
    metric: str,
    fields: Mapping[str, LineField],
    keep_others: bool,
    device_time: str | None = None,
    time_format: str | None = None,
) -> Convert:
    """The conversion of one line's members. None = the line held nothing that is wanted."""
    careful = _mapped(metric, fields, keep_others, device_time, time_format)
    if fields or not keep_others or device_time:
        return careful

    units: dict[str, str] = {}  # one for all readings

    def direct(members: dict[str, Any]) -> Reading | None:
        for value in members.values():
            if value.__class__ not in PLAIN:
                return careful(members)
        if "" in members:
            return careful(members)
        return Reading(metric, members, units) if members else None

    return direct


def plain_objects(metric: str) -> Callable[[bytes], Reading | None]:
    """Reading of a JSON line whose members are numbers, as they are: the common case in the fewest steps. None = the
    line needs more care."""
    loads, least, most = orjson.loads, -LARGE, LARGE
    units: dict[str, str] = {}  # one for all readings

    def reading(line: bytes) -> Reading | None:
        try:
            members = loads(line)
        except ValueError:
            return None
        if members.__class__ is not dict:
            return None
        for value in members.values():
            kind = value.__class__
            if kind is float:
                if not least < value < most:  # it may have been rounded
                    return None
            elif kind is not int and kind is not bool:
                return None
        return Reading(metric, members, units) if members and "" not in members else None

    return reading


def _mapped(
    metric: str, fields: Mapping[str, LineField], keep_others: bool, device_time: str | None, time_format: str | None
) -> Convert:
    names = {source: target_name(source, field) for source, field in fields.items()}
    rules = {source: (names[source], _step(field)) for source, field in fields.items()}
    pointers = [(tokens(source), *rules[source]) for source in fields if source.startswith("/")]
    taken = frozenset(names.values())
    all_units = {names[source]: field.unit for source, field in fields.items() if field.unit}
    time_tokens = tokens(device_time) if device_time and device_time.startswith("/") else None

    def convert(members: dict[str, Any]) -> Reading | None:
        values: dict[str, Any] = {}
        flags: list[str] = []
        moment = None
        if time_tokens is not None:
            moment = read_time(follow(members, time_tokens), time_format, flags)
        for source, value in members.items():
            rule = rules.get(source)
            if rule is not None:
                name, step = rule
            elif source == device_time:
                moment = read_time(value, time_format, flags)
                continue
            elif keep_others and source and source not in taken and value.__class__ is not dict:
                name, step = source, plain
            else:
                continue
            try:
                values[name] = step(value)
            except MissingField as why:
                if str(why):
                    flags.append(f"{word_of(name)}:{why}")
        for path, name, step in pointers:
            try:
                values[name] = step(follow(members, path))
            except MissingField as why:
                if str(why):
                    flags.append(f"{word_of(name)}:{why}")
        if not values and not flags:
            return None
        units = all_units
        if not all_units.keys() <= values.keys():
            units = {name: unit for name, unit in all_units.items() if name in values}
        return Reading(metric, values, units, tuple(flags), GOOD if values else BAD, moment)

    return convert


def word_of(name: str) -> str:
    """The name of a member as flags have it; `value` for one that is no word."""
    return name if _FLAGGED.fullmatch(name) else VALUE


def plain(value: Any) -> Any:
    """A scalar or a list of numbers as it is; Missing for what says "no value", with an empty reason for the rest."""
    kind = value.__class__
    if kind is float:
        if not math.isfinite(value):
            raise MissingField(NAN)
        return value
    if kind is int or kind is bool:
        return value
    if kind is str:
        if is_nothing(value):
            raise MissingField(NAN)
        return value
    if value is None:
        raise MissingField(NAN)
    if kind is list and value and all(item.__class__ in (int, float) for item in value):
        return value
    for item in value if kind is list else (value,):
        if item.__class__ is OversizeNumber:
            raise MissingField(_beyond(str(item).startswith("-")))
    raise MissingField


def _beyond(negative: bool) -> str:
    return "under-range" if negative else "over-range"


def read_time(value: Any, time_format: str | None, flags: list[str]) -> str | None:
    """The device's own clock as ISO 8601 without a zone; numbers are seconds (or milliseconds) since 1970."""
    if isinstance(value, AbsentMember):
        return None
    try:
        if isinstance(value, str) and time_format:
            moment = datetime.strptime(value.strip(), time_format)  # noqa: DTZ007  # a device's clock has no zone
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value / 1000 if abs(value) >= 1e11 else value, UTC)
        else:
            raise ValueError
        if moment.tzinfo is not None:  # the first and last day of the calendar have no hour before or after them
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        flags.append("device_time:unreadable")
        return None
    return moment.isoformat()


def _step(field: LineField) -> Step:
    """The way of one member, without what its field does not ask for."""
    is_invalid = invalidity(field)
    numeric = field.scale is not None or field.offset is not None
    scale = _scaler(field.scale if field.scale is not None else 1.0, field.offset or 0.0) if numeric else None
    as_number = numeric or field.unit is not None

    def step(value: Any) -> Any:
        if is_invalid is not None and is_invalid(value):
            raise MissingField(field.invalid_means)
        value = plain(value)
        if as_number and value.__class__ is str:
            found = number(value)
            if found is not None:
                value = found
        if scale is None:
            return value
        if value.__class__ is list:
            return [scale(item) for item in value]
        if value.__class__ not in (int, float):
            raise MissingField("not-a-number")
        return scale(value)

    return step


def invalidity(field: LineField) -> Callable[[Any], bool] | None:
    """Whether a value is one that the field calls invalid; None when it calls none so."""
    invalid = {item for item in field.invalid if not isinstance(item, str)}
    invalid_text = {item for item in field.invalid if isinstance(item, str)}
    pattern = compile_pattern(field.invalid_pattern) if field.invalid_pattern else None
    if not field.invalid and pattern is None:
        return None

    def is_invalid(value: Any) -> bool:
        if value.__class__ not in (int, float, str, bool):
            return False
        text = value if value.__class__ is str else str(value)
        if value in invalid or text in invalid_text or (pattern is not None and pattern.fullmatch(text) is not None):
            return True
        return value.__class__ is str and bool(invalid) and number(value) in invalid

    return is_invalid


def _scaler(scale: float, offset: float) -> Callable[[int | float], int | float]:
    """value * scale + offset without the noise of binary fractions: 235 * 0.1 is 23.5."""
    scale, offset = float(scale), float(offset)
    exact_scale, exact_offset = Decimal(repr(scale)), Decimal(repr(offset))
    whole = scale.is_integer() and offset.is_integer()
    whole_scale, whole_offset = (int(scale), int(offset)) if whole else (0, 0)
    places = max(_places(exact_scale), _places(exact_offset))

    def apply(value: int | float) -> int | float:
        if value.__class__ is int:
            if whole:
                return value * whole_scale + whole_offset
            return round(value * scale + offset, places)
        result = float(Decimal(repr(value)) * exact_scale + exact_offset)
        if not math.isfinite(result):
            raise MissingField(NAN)
        return result

    def bounded(value: int | float) -> int | float:
        result = apply(value)
        if result.__class__ is int and not -(1 << 63) <= result < 1 << 64:
            raise MissingField(_beyond(result < 0))
        return result

    return bounded


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


class AbsentMember:
    """What a pointer to a member that the line does not have leads to."""


ABSENT = AbsentMember()


def tokens(pointer: str) -> list[str]:
    """The parts of a JSON pointer, RFC 6901."""
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def target_name(source: str, field: LineField) -> str:
    """What a member is called upstream: the field's name, else its own (of a pointer: the last part)."""
    return field.name or (tokens(source)[-1] if source.startswith("/") else source)


def first_token(source: str) -> str:
    """The member of the line that a name or a pointer begins with."""
    return (tokens(source) or [""])[0] if source.startswith("/") else source


def follow(members: Any, path: list[str]) -> Any:
    found = members
    for token in path:
        if isinstance(found, dict) and token in found:
            found = found[token]
        elif isinstance(found, list) and token.isdecimal() and int(token) < len(found):
            found = found[int(token)]
        else:
            return ABSENT
    return found
