"""Xiaomi scales: Mi Smart Scale (service data 181D) and Mi Body Composition Scale (181B), little-endian.

No published specification. The result of a weighing is repeated for minutes; it is given exactly once, when it is
stabilised. Body fat and the like are the app's mathematics: only the impedance is measured.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_text
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading, iso_time

_V1 = Struct("<BHH5B")
_V2 = Struct("<BBH5BHH")
_STABLE, _REMOVED = 0x20, 0x80
_NO_IMPEDANCE = frozenset((0, 0xFFFE, 0xFFFF))

UCUM = {"kg": "kg", "lb": "[lb_av]", "jin": "{jin}"}  # a jin is half a kilogram; UCUM has no name for it
DIVISOR = {"kg": 200, "lb": 100, "jin": 100}


class MiScaleWeighing(msgspec.Struct, frozen=True):
    """Weighing of a scale; `timestamp` is its own clock, as sent."""

    unit: str
    stabilised: bool
    removed: bool
    weight: float
    timestamp: tuple[int, int, int, int, int, int]


class BodyWeighing(MiScaleWeighing, frozen=True):
    """Weighing with impedance, None where the scale has none (yet). `small`: a small object was weighed."""

    impedance_present: bool
    impedance_ohm: int | None
    small: bool = False


def decode(data: bytes) -> MiScaleWeighing:
    """Service data 181D; FrameError truncated."""
    if len(data) < _V1.size:
        raise FrameError("truncated")
    flags, raw, *time = _V1.unpack_from(data)
    unit = _unit(bool(flags & 0x01), bool(flags & 0x10))
    return MiScaleWeighing(unit, bool(flags & _STABLE), bool(flags & _REMOVED), raw / DIVISOR[unit], _six(time))


def decode_body(data: bytes) -> BodyWeighing:
    """Service data 181B; FrameError truncated."""
    if len(data) < _V2.size:
        raise FrameError("truncated")
    units, flags, *time, impedance, raw = _V2.unpack_from(data)
    unit = _unit(bool(units & 0x01), bool(flags & 0x40))
    present = bool(flags & 0x02)
    return BodyWeighing(
        unit,
        bool(flags & _STABLE),
        bool(flags & _REMOVED),
        raw / DIVISOR[unit],
        _six(time),
        present,
        impedance if present else None,
        bool(units & 0x04),
    )


def _unit(pounds: bool, jin: bool) -> str:
    return "lb" if pounds else "jin" if jin else "kg"


def _six(time: list[int]) -> tuple[int, int, int, int, int, int]:
    year, month, day, hour, minute, second = time
    return year, month, day, hour, minute, second


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    return _interpret(decode(data), sender)


def interpret_body(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    return _interpret(decode_body(data), sender)


def _interpret(seen: MiScaleWeighing, sender: AdvertSender) -> DecodedAdvert:
    """Each reading has a mark: what was weighed, and when by the scale's clock."""
    if not seen.stabilised or not seen.weight:
        return DecodedAdvert(sleepy=True)
    time = iso_time(seen.timestamp)
    weighing_id = f"{'-'.join(map(str, seen.timestamp))} {seen.weight} {seen.unit}"
    whose = mac_text(sender.mac) if sender.mac else sender.name
    flags = () if time else ("clock-not-set",)
    unit = UCUM[seen.unit]

    def reading(metric: str, values: dict[str, Any], units: dict[str, str], missing: tuple[str, ...] = ()) -> Reading:
        mark = (f"{metric}:{whose}", weighing_id)
        return Reading(metric, values, units, (*missing, *flags), device_time=time, bookmark=mark)

    if isinstance(seen, BodyWeighing) and seen.small:
        return DecodedAdvert((reading("reading", {"mass": seen.weight}, {"mass": unit}),), sleepy=True)
    readings = [reading("body_weight", {"weight": seen.weight}, {"weight": unit})]
    if isinstance(seen, BodyWeighing) and seen.impedance_present:
        units = {"weight": unit}
        if seen.impedance_ohm in _NO_IMPEDANCE:
            readings.append(reading("body_composition", {"weight": seen.weight}, units, ("impedance:not-available",)))
        else:
            values = {"weight": seen.weight, "impedance": seen.impedance_ohm}
            readings.append(reading("body_composition", values, {**units, "impedance": "Ohm"}))
    return DecodedAdvert(tuple(readings), sleepy=True)


def fits(data: bytes) -> bool:
    return len(data) == _V1.size


def fits_body(data: bytes) -> bool:
    return len(data) == _V2.size
