"""Values of Airthings monitors: Wave Plus, Wave (second generation), Wave Mini, and the newer ones with CBOR; sans-I/O.

Made from captures in the maker's own repository (Airthings/airthings-ble). Numbers are little-endian.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

from gatepost.drivers.ble.airthings import cbor
from gatepost.drivers.checksums import FrameError

Fields = dict[str, Any]

VERSION = 1
NONE, NO_HUMIDITY = 0xFFFF, 0xFF
MOST_RADON = 16383  # Bq/m3; more is no value
ASK_BATTERY = b"\x6d"
LATEST = "29999/0/31012"  # path of the latest values

_WAVE = Struct("<4B8H")
_MINI = Struct("<2B4H")
_ANSWER = b"\x10\x01\x00\x03\x45"
_REQUEST = b"\x03\x01"
ZERO_CELSIUS = 273.15


def decode_plus(data: bytes) -> Fields:
    """Wave Plus; None = no value yet. FrameError truncated or bad_version."""
    fields = decode_radon(data)
    pressure, co2, voc = _WAVE.unpack_from(data)[7:10]
    fields["pressure"] = None if pressure == NONE else pressure / 50
    fields["co2"] = None if co2 == NONE else co2
    fields["voc"] = None if voc == NONE else voc
    return fields


def decode_radon(data: bytes) -> Fields:
    """Wave, second generation. Its radon averages are empty for a day after new batteries."""
    if len(data) < _WAVE.size:
        raise FrameError("truncated")
    version, humidity, light, _, day, longterm, temperature, *_ = _WAVE.unpack_from(data)
    if version != VERSION:
        raise FrameError("bad_version")
    return {
        "humidity": None if humidity == NO_HUMIDITY else humidity / 2,
        "illuminance_raw": light,
        "radon_1day": None if day > MOST_RADON else day,
        "radon_longterm": None if longterm > MOST_RADON else longterm,
        "temperature": None if temperature == NONE else temperature / 100,
    }


def decode_mini(data: bytes) -> Fields:
    """Wave Mini; FrameError truncated."""
    if len(data) < _MINI.size:
        raise FrameError("truncated")
    light, _, temperature, pressure, humidity, voc = _MINI.unpack_from(data)
    return {
        "illuminance_raw": light,
        "temperature": None if temperature == NONE else round(temperature / 100 - ZERO_CELSIUS, 2),
        "pressure": None if pressure == NONE else pressure / 50,
        "humidity": None if humidity == NONE else humidity / 100,
        "voc": None if voc == NONE else voc,
    }


def decode_battery(data: bytes, at: int) -> Fields:
    """Answer to ASK_BATTERY; `at`: where the millivolts stand, from the end. FrameError truncated, unsupported."""
    if data[:1] != ASK_BATTERY:
        raise FrameError("unsupported")
    if len(data) < at + 4:
        raise FrameError("truncated")
    place = len(data) - at
    return {"battery_voltage": int.from_bytes(data[place : place + 2], "little")}


def request_latest(token: bytes) -> bytes:
    """Request for the latest values of a newer monitor; `token`: two octets that come back."""
    return _REQUEST + token + b"\x81\xa1\x00" + bytes((0x60 | len(LATEST),)) + LATEST.encode()


def decode_latest(data: bytes) -> Fields:
    """Its answer; FrameError truncated, unsupported."""
    if not data.startswith(_ANSWER[: len(data)]):
        raise FrameError("unsupported")
    if len(data) < len(_ANSWER) + 2:
        raise FrameError("truncated")
    outer = cbor.decode(data[len(_ANSWER) + 2 :])
    first = outer[0] if isinstance(outer, list) and outer else None
    if not isinstance(first, dict) or not isinstance(first.get(2), bytes):
        raise FrameError("unsupported")
    raw = cbor.decode(first[2])
    if not isinstance(raw, dict):
        raise FrameError("unsupported")
    numbers = {name: value for name, value in raw.items() if isinstance(value, int) and not isinstance(value, bool)}
    out: Fields = {"token": data[len(_ANSWER) : len(_ANSWER) + 2].hex(), "path": first.get(0), "values": raw}
    if "TMP" in numbers:
        out["temperature"] = round(numbers["TMP"] / 100 - ZERO_CELSIUS, 2)
    if "HUM" in numbers:
        out["humidity"] = numbers["HUM"] / 100
    if "PRS" in numbers:
        out["pressure"] = round(numbers["PRS"] / 6400, 2)
    for name, key in (("co2", "CO2"), ("voc", "VOC"), ("battery_voltage", "BAT")):
        if key in numbers:
            out[name] = numbers[key]
    return out
