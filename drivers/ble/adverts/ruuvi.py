"""RuuviTag data formats 5 and 3 (github.com/ruuvi/ruuvi-sensor-protocols): manufacturer data 0499, big-endian."""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_text
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import measured

_RAW5 = Struct(">BhHH3hHBH6s")
_RAW3 = Struct(">BBBBH3hH")
_NONE_S16, _NONE_U16, _NONE_U8 = -0x8000, 0xFFFF, 0xFF
_NONE_VOLTAGE, _NONE_POWER = 2047, 31
_NO_MAC = b"\xff" * 6

UNITS = {
    "temperature": "Cel",
    "humidity": "%",
    "pressure": "Pa",
    "acceleration_x": "m[g]",
    "acceleration_y": "m[g]",
    "acceleration_z": "m[g]",
    "battery_voltage": "V",
}


class RuuviMeasurement(msgspec.Struct, frozen=True, gc=False):
    """One measurement; None = the tag has no such value."""

    temperature_c: float | None
    humidity_pct: float | None
    pressure_pa: int | None
    accel_mg: tuple[int | None, int | None, int | None]
    battery_v: float | None
    tx_dbm: int | None = None
    movement: int | None = None
    sequence: int | None = None
    mac: str | None = None


def decode5(data: bytes) -> RuuviMeasurement:
    """Data format 5 (RAWv2); FrameError bad_format or truncated."""
    _expect(data, 5, _RAW5.size)
    _, temperature, humidity, pressure, x, y, z, power, movement, sequence, mac = _RAW5.unpack_from(data)
    voltage, radio = power >> 5, power & 0x1F
    return RuuviMeasurement(
        None if temperature == _NONE_S16 else temperature / 200,
        None if humidity == _NONE_U16 else humidity / 400,
        None if pressure == _NONE_U16 else pressure + 50_000,
        (_axis(x), _axis(y), _axis(z)),
        None if voltage == _NONE_VOLTAGE else (voltage + 1600) / 1000,
        None if radio == _NONE_POWER else radio * 2 - 40,
        None if movement == _NONE_U8 else movement,
        None if sequence == _NONE_U16 else sequence,
        None if mac == _NO_MAC else mac_text(mac),
    )


def decode3(data: bytes) -> RuuviMeasurement:
    """Data format 3 (RAWv1), which has no mark for a missing value; FrameError bad_format or truncated."""
    _expect(data, 3, _RAW3.size)
    _, humidity, whole, hundredths, pressure, x, y, z, battery = _RAW3.unpack_from(data)
    temperature = (whole & 0x7F) * 100 + hundredths
    return RuuviMeasurement(
        (-temperature if whole & 0x80 else temperature) / 100,
        humidity / 2,
        pressure + 50_000,
        (x, y, z),
        battery / 1000,
    )


def _expect(data: bytes, version: int, size: int) -> None:
    if data and data[0] != version:
        raise FrameError("bad_format")
    if len(data) < size:
        raise FrameError("truncated")


def _axis(raw: int) -> int | None:
    return None if raw == _NONE_S16 else raw


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    """A reading of the metric environment."""
    tag = decode3(data) if data[:1] == b"\x03" else decode5(data)
    values: dict[str, Any] = {
        "temperature": tag.temperature_c,
        "humidity": tag.humidity_pct,
        "pressure": tag.pressure_pa,
        "acceleration_x": tag.accel_mg[0],
        "acceleration_y": tag.accel_mg[1],
        "acceleration_z": tag.accel_mg[2],
        "battery_voltage": tag.battery_v,
    }
    if data[0] == 5:
        values |= {"movement": tag.movement, "sequence": tag.sequence}
    return DecodedAdvert((measured("environment", values, UNITS),), stamp=tag.sequence)


def fits(data: bytes) -> bool:
    return data[:1] in (b"\x05", b"\x03")
