"""Govee thermometers and hygrometers: manufacturer data EC88, 0001 or 8801 (no published specification).

Two layouts: temperature and humidity packed into 24 bits (H5072, H5075, H5100 to H5105, H5174, H5177, H5178), and two
little-endian numbers (H5051, H5052, H5071, H5074, H5179). Company and length tell which, but for six octets of company
0001: the H5106 has other numbers there (table/data/govee.json), so that the name must be known.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import measured

COMPANY, NEWER, H5179 = 0xEC88, 0x0001, 0x8801
COMPANIES = (COMPANY, NEWER, H5179)

PADDING = b"INTELLI_ROCKS"  # rides along, sometimes glued to the end
_GLUED = 25

_PLAIN = Struct("<hHB")
_PACKED_SIZE = 4
_NONE = 0x7FFFFF
_MOST_PERCENT = 100
_PACKED_MODELS = ("H5100", "H5101", "H5102", "H5103", "H5104", "H5105", "H5174", "H5177")  # of company 0001, 6 octets
_PLAIN_MODELS = ("H5051", "H5052", "H5071", "H5074")  # of company EC88

# (company, length) -> (packed, offset of the numbers)
_LAYOUTS = {
    (COMPANY, 6): (True, 1),
    (COMPANY, 7): (False, 1),
    (COMPANY, 9): (False, 1),
    (NEWER, 6): (True, 2),
    (NEWER, 8): (True, 2),
    (NEWER, 9): (True, 3),
    (H5179, 9): (False, 4),
}
_AMBIGUOUS = (NEWER, 6)
_OUTDOOR = (NEWER, 9)  # H5178: the octet before the numbers says which of its two sensors

UNITS = {"temperature": "Cel", "humidity": "%", "battery": "%"}


class GoveeMeasurement(msgspec.Struct, frozen=True, gc=False):
    """One measurement; None where the sensor reports an error. `sensor`: 0 the station itself, 1 its remote one."""

    temperature_c: float | None
    humidity_pct: float | None
    battery_pct: int
    error: bool = False
    sensor: int = 0


def decode(data: bytes, company: int = COMPANY, name: str = "") -> GoveeMeasurement:
    """FrameError truncated, unsupported, unnamed (the name of the device must be known) or out_of_range. `name` tells
    models apart that share company and length."""
    data = _unglued(data)
    if (company, len(data)) == _AMBIGUOUS and not any(model in name for model in _PACKED_MODELS):
        raise FrameError("unsupported" if name else "unnamed")
    packed, at = _layout(company, len(data), name)
    if packed:
        measurement = decode_packed(data[at : at + _PACKED_SIZE])
        outdoor = (company, len(data)) == _OUTDOOR
        return msgspec.structs.replace(measurement, sensor=data[at - 1]) if outdoor else measurement
    return decode_plain(data[at : at + _PLAIN.size])


def _layout(company: int, length: int, name: str) -> tuple[bool, int]:
    if company == COMPANY and length == 6 and any(model in name for model in _PLAIN_MODELS):
        return False, 1
    layout = _LAYOUTS.get((company, length))
    if layout is None:
        raise FrameError("truncated" if company in COMPANIES and length < 6 else "unsupported")
    return layout


def _unglued(data: bytes) -> bytes:
    return data[:-_GLUED] if len(data) > _GLUED and PADDING in data else data


def decode_packed(data: bytes) -> GoveeMeasurement:
    """Three octets, big-endian: bit 23 is the sign, the rest temperature in tenths * 1000 + humidity in tenths of a
    percent; then the battery with the error in bit 7. FrameError truncated or out_of_range."""
    if len(data) < _PACKED_SIZE:
        raise FrameError("truncated")
    number = int.from_bytes(data[:3], "big")
    error, battery = bool(data[3] & 0x80), data[3] & 0x7F
    tenths, humidity = divmod(number & _NONE, 1000)
    if battery > _MOST_PERCENT:
        raise FrameError("out_of_range")
    if error or number & _NONE == _NONE:
        return GoveeMeasurement(None, None, battery, True)
    return GoveeMeasurement((-tenths if number >> 23 else tenths) / 10, humidity / 10, battery)


def decode_plain(data: bytes) -> GoveeMeasurement:
    """Temperature s16 and humidity u16 in hundredths, little-endian, battery u8. FrameError truncated, out_of_range."""
    if len(data) < _PLAIN.size:
        raise FrameError("truncated")
    temperature, humidity, battery = _PLAIN.unpack_from(data)
    if battery > _MOST_PERCENT:
        raise FrameError("out_of_range")
    return GoveeMeasurement(temperature / 100, humidity / 100, battery)


def interpret(data: bytes, sender: AdvertSender, company: int = COMPANY) -> DecodedAdvert:
    """A reading of the metric environment; the battery also for the status."""
    measurement = decode(data, company, sender.name)
    suffix = "_remote" if measurement.sensor else ""
    values: dict[str, Any] = {
        f"temperature{suffix}": measurement.temperature_c,
        f"humidity{suffix}": measurement.humidity_pct,
    }
    if not measurement.error:
        values[f"battery{suffix}"] = measurement.battery_pct
    units = {f"{name}{suffix}": unit for name, unit in UNITS.items()}
    status = {} if measurement.sensor else {"battery": measurement.battery_pct}
    return DecodedAdvert((measured("environment", values, units, "sensor-fault"),), status)


def fits(data: bytes, company: int = COMPANY, name: str = "") -> bool:
    """A device without a name may still be one."""
    place = (company, len(_unglued(data)))
    if place == _AMBIGUOUS and name:
        return any(model in name for model in _PACKED_MODELS)
    return place in _LAYOUTS


def variant(data: bytes) -> int:
    """The two sensors of an H5178 take turns."""
    return data[2] if len(_unglued(data)) == _OUTDOOR[1] else 0
