"""Values of NMEA 0183 sentences: weather and water (MTW, MDA, MMB, MWV, XDR) and position (GGA, RMC), units as sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading, iso_time, measured

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)", re.ASCII)
_DEGREES = re.compile(r"(\d{2,3})(\d\d(?:\.\d*)?)", re.ASCII)
SPEEDS = {"N": "[kn_i]", "M": "m/s", "K": "km/h", "S": "[mi_i]/h"}
KNOTS = "[kn_i]"
MERCURY = "[in_i'Hg]"
FIXES = {2: "dgps", 3: "pps", 4: "rtk", 5: "rtk-float", 6: "dead-reckoning", 7: "manual", 8: "simulated"}

# type and unit of an XDR transducer -> what it is called when it has no name of its own, and its unit in UCUM
XDR: dict[tuple[str, str], tuple[str, str]] = {
    ("C", "C"): ("temperature", "Cel"), ("C", "F"): ("temperature", "[degF]"), ("C", "K"): ("temperature", "K"),
    ("H", "P"): ("humidity", "%"), ("P", "B"): ("pressure", "bar"), ("P", "P"): ("pressure", "Pa"),
    ("P", "H"): ("pressure", "hPa"), ("A", "D"): ("angle", "deg"), ("D", "M"): ("distance", "m"),
    ("F", "H"): ("frequency", "Hz"), ("N", "N"): ("force", "N"), ("R", "L"): ("flow", "L/s"),
    ("T", "R"): ("speed", "{rev}/min"), ("V", "M"): ("volume", "m3"), ("U", "V"): ("voltage", "V"),
    ("I", "A"): ("current", "A"), ("L", "S"): ("salinity", "[ppth]"), ("G", ""): ("value", ""),
    ("S", ""): ("switch", ""),
}  # fmt: skip
KINDS = {key[0]: name for key, (name, _) in reversed(XDR.items())}


class NmeaValue(NamedTuple):
    """A name, its value (None = the device has none) and its unit."""

    name: str
    value: Any
    unit: str = ""


Names = Mapping[str, str]
Reader = Callable[[tuple[str, ...], str, Names], Reading | None]


def number(text: str) -> float | int | None:
    """None for an empty field; FrameError bad_format for anything that is no number."""
    text = text.strip()
    if not text:
        return None
    if len(text) > 20 or not _NUMBER.fullmatch(text):
        raise FrameError("bad_format")
    return float(text) if "." in text else int(text)


def degrees(text: str, side: str) -> float | None:
    """Degrees and minutes (4807.038 N) as signed degrees, exact to 1e-7."""
    if not text and not side:
        return None
    found = _DEGREES.fullmatch(text)
    if found is None or side not in ("N", "S", "E", "W") or Decimal(found[2]) >= 60:
        raise FrameError("bad_format")
    value = Decimal(found[1]) + Decimal(found[2]) / 60
    if value > (90 if side in ("N", "S") else 180):
        raise FrameError("bad_format")
    return float(round(-value if side in ("S", "W") else value, 7))


def mtw(fields: tuple[str, ...], metric: str, names: Names) -> Reading | None:
    return _reading(metric, [NmeaValue("water_temperature", _with(fields, 0, "C"), "Cel")])


def mmb(fields: tuple[str, ...], metric: str, names: Names) -> Reading | None:
    return _reading(metric, [_pressure(fields)])


def mda(fields: tuple[str, ...], metric: str, names: Names) -> Reading | None:
    found = [
        _pressure(fields),
        NmeaValue("temperature", _with(fields, 4, "C"), "Cel"),
        NmeaValue("water_temperature", _with(fields, 6, "C"), "Cel"),
        NmeaValue("humidity", number(_at(fields, 8)), "%"),
        NmeaValue("absolute_humidity", number(_at(fields, 9)), "%"),
        NmeaValue("dew_point", _with(fields, 10, "C"), "Cel"),
        NmeaValue("wind_direction", _with(fields, 12, "T"), "deg"),
        NmeaValue("wind_direction_magnetic", _with(fields, 14, "M"), "deg"),
        _speed(fields),
    ]
    present = [each for each in found if each.value is not None]  # a station fills in what it has
    return _reading(metric, present) if present else None


def mwv(fields: tuple[str, ...], metric: str, names: Names) -> Reading | None:
    """The angle is from the bow or mark of the instrument; R is the wind as felt there, T the wind over ground."""
    which = {"R": "apparent_wind", "T": "wind"}.get(_at(fields, 1))
    unit = SPEEDS.get(_at(fields, 3))
    if which is None or unit is None:
        raise FrameError("bad_format")
    found = [
        NmeaValue(f"{which}_angle", number(_at(fields, 0)), "deg"),
        NmeaValue(f"{which}_speed", number(_at(fields, 2)), unit),
    ]
    if _at(fields, 4) == "A":
        return _reading(metric, found)
    return _reading(metric, [each._replace(value=None) for each in found], (), "invalid")


def xdr(fields: tuple[str, ...], metric: str, names: Names) -> Reading | None:
    """Any number of transducers: type, value, unit, name."""
    if len(fields) % 4 or not fields:
        raise FrameError("bad_format")
    found: dict[str, NmeaValue] = {}
    for i in range(0, len(fields), 4):
        kind, text, unit, own = (field.strip() for field in fields[i : i + 4])
        known = XDR.get((kind, unit))
        name = names.get(own) or slug(own) or (known[0] if known else KINDS.get(kind, "value"))
        base, count = name, 2
        while name in found:
            name, count = f"{base}_{count}", count + 1
        found[name] = NmeaValue(name, number(text), known[1] if known else unit)
    return _reading(metric, list(found.values()))


def gga(fields: tuple[str, ...], metric: str, names: Names) -> Reading | None:
    quality = number(_at(fields, 5)) or 0
    fixed = quality != 0
    found = [
        NmeaValue("latitude", degrees(_at(fields, 1), _at(fields, 2)) if fixed else None, "deg"),
        NmeaValue("longitude", degrees(_at(fields, 3), _at(fields, 4)) if fixed else None, "deg"),
    ]
    extra = [NmeaValue("satellites", number(_at(fields, 6)))]
    if fixed:
        extra += [NmeaValue("altitude", _with(fields, 8, "M"), "m"), NmeaValue("hdop", number(_at(fields, 7)))]
    found += [each for each in extra if each.value is not None]
    fix = FIXES.get(int(quality))
    return _reading("position", found, (f"fix-{fix}",) if fix else (), "no-fix")


def rmc(fields: tuple[str, ...], metric: str, names: Names) -> Reading | None:
    fixed = _at(fields, 1) == "A"
    found = [
        NmeaValue("latitude", degrees(_at(fields, 2), _at(fields, 3)) if fixed else None, "deg"),
        NmeaValue("longitude", degrees(_at(fields, 4), _at(fields, 5)) if fixed else None, "deg"),
    ]
    if fixed:
        extra = (NmeaValue("speed", number(_at(fields, 6)), KNOTS), NmeaValue("course", number(_at(fields, 7)), "deg"))
        found += [each for each in extra if each.value is not None]
    reading = _reading("position", found, (), "no-fix")
    reading.device_time = _utc(_at(fields, 8), _at(fields, 0))
    return reading


READERS: Mapping[str, Reader] = {"MTW": mtw, "MMB": mmb, "MDA": mda, "MWV": mwv, "XDR": xdr, "GGA": gga, "RMC": rmc}


def slug(text: str) -> str:
    """A transducer's own name as the name of a value."""
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")[:64]


def _reading(metric: str, found: list[NmeaValue], flags: tuple[str, ...] = (), why: str = "no-value") -> Reading:
    units = {each.name: each.unit for each in found if each.unit}
    return measured(metric, {each.name: each.value for each in found}, units, why, flags)


def _pressure(fields: tuple[str, ...]) -> NmeaValue:
    """Bar where it is given, else inches of mercury."""
    bar = _with(fields, 2, "B")
    if bar is not None:
        return NmeaValue("pressure", bar, "bar")
    return NmeaValue("pressure", _with(fields, 0, "I"), MERCURY)


def _speed(fields: tuple[str, ...]) -> NmeaValue:
    metres = _with(fields, 18, "M")
    if metres is not None:
        return NmeaValue("wind_speed", metres, "m/s")
    return NmeaValue("wind_speed", _with(fields, 16, "N"), KNOTS)


def _with(fields: tuple[str, ...], index: int, unit: str) -> float | int | None:
    """The number at `index`, which has its unit after it; none when that is another or missing."""
    value = number(_at(fields, index))
    return value if _at(fields, index + 1) == unit else None


def _utc(date: str, time: str) -> str | None:
    """ddmmyy and hhmmss[.ss] in ISO 8601 without zone (they are UTC)."""
    if not re.fullmatch(r"\d{6}", date, re.ASCII) or not re.fullmatch(r"\d{6}(?:\.\d+)?", time, re.ASCII):
        return None
    year = int(date[4:])
    clock = (int(time[:2]), int(time[2:4]), int(time[4:6]))
    moment = iso_time((2000 + year if year < 80 else 1900 + year, int(date[2:4]), int(date[:2]), *clock))
    return None if moment is None else moment + time[6:10].rstrip(".")


def _at(fields: tuple[str, ...], index: int) -> str:
    return fields[index].strip() if index < len(fields) else ""
