"""Formatting of figures for people: ages, sizes, rates, times of day."""

from __future__ import annotations

import re
from datetime import UTC, datetime

UNITS = {"Cel": "°C", "[degF]": "°F", "[in_i'Hg]": "inHg"}
_UCUM_MARKS = re.compile(r"\[|\]|_(?:av|i)\b|\{[^}]*\}")
STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def size(octets: float | None) -> str:
    """1536 -> `1.5 kB`."""
    if octets is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(octets) < 1000:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= 1000
    return f"{octets:.1f} TB"


def span(seconds: float | None) -> str:
    """7384 -> `2 h 3 min`; the two largest units."""
    if seconds is None:
        return "-"
    rest = max(0, round(seconds))
    parts: list[str] = []
    for length, unit in STEPS:
        count, rest = divmod(rest, length)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def ago(moment: str | None, now: datetime | None = None) -> str:
    """RFC 3339 -> `3 min ago`; a moment to come is told as it is."""
    if not moment:
        return "-"
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    passed = ((now or datetime.now(UTC)) - then).total_seconds()
    return moment if passed < -1 else f"{span(passed)} ago"


def since(moment: str | None, now: datetime | None = None) -> str:
    """RFC 3339 -> `for 8 s`; nothing where it is not known."""
    told = ago(moment, now)
    return "" if told == "-" else f"for {told.removesuffix(' ago')}" if told.endswith(" ago") else f"since {told}"


def clock_time(moment: str, now: datetime | None = None) -> str:
    """RFC 3339 in UTC -> `10:30:00.123Z` of today, `2026-11-20 10:30:00Z` of another day."""
    day, _, time = moment.partition("T")
    if day == f"{now or datetime.now(UTC):%Y-%m-%d}":
        return f"{time[:12].rstrip('Z')}Z"
    return f"{day} {time[:8]}Z" if time else moment


def unit(code: str | None) -> str:
    """A UCUM code as people write it: `mm[Hg]` -> mmHg, `[lb_av]` -> lb, `Cel` -> °C."""
    if not code or code == "1":
        return ""
    return UNITS.get(code) or _UCUM_MARKS.sub("", code)


def quantity(name: str, value: object, code: str | None) -> str:
    """`spo2 97 %`."""
    return " ".join(part for part in (name, plain(value), unit(code)) if part)


def plain(value: object) -> str:
    """A JSON value for people: `yes`, `-` for nothing, `a, b` for a list, `name value` for each member of an object."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(plain, value)) or "none"
        case dict():
            return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items()) or "none"
    return str(value)


def count(number: int | None, thing: str = "") -> str:
    """12345 -> `12,345`, with a thing `1 reading`, `2 readings`."""
    if number is None:
        return "-"
    plain = f"{number:,}"
    return plain if not thing else f"{plain} {thing}{'' if number == 1 else 's'}"
