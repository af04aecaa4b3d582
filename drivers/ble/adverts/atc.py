"""Xiaomi thermometers with custom firmware: service data 181A. The length tells the format, but 181A is everybody's
(Environmental Sensing): what cannot be is another device's.

ATC1441 (13 octets, big-endian) and pvvx (15, little-endian), and the encrypted forms of both (8 and 11 octets):
github.com/pvvx/ATC_MiThermometer, "Bluetooth Advertising Formats" and custom_beacon.c.
"""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.cipher import TAG_SIZE, AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_text
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import measured

SERVICE = 0x181A

_ATC = Struct(">6shBBHB")
_PVVX = Struct("<6shHHBBB")
_PVVX_INNER = Struct("<hHBB")
ATC_SEALED, PVVX_SEALED = 8, 11
_ASSOCIATED = b"\x11"
_SPAN = 256
ABSOLUTE_ZERO = -273.15

UNITS = {"temperature": "Cel", "humidity": "%", "battery": "%", "battery_voltage": "mV"}


class AtcMeasurement(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One measurement. `trigger` and `flags` are the states of the firmware's trigger output."""

    format: str
    temperature_c: float
    humidity_pct: int | float
    battery_pct: int
    counter: int
    mac: str | None = None
    battery_mv: int | None = None
    flags: int | None = None
    trigger: bool | None = None


def decode(data: bytes, cipher: AdvertCipher | None = None, mac: bytes | None = None) -> AtcMeasurement:
    """FrameError unsupported (another length), no_key, no_address or decrypt_failed."""
    match len(data):
        case _ATC.size:
            own, temperature, humidity, battery, millivolts, counter = _ATC.unpack(data)
            return AtcMeasurement("atc1441", temperature / 10, humidity, battery, counter, mac_text(own), millivolts)
        case _PVVX.size:
            own, temperature, humidity, millivolts, battery, counter, flags = _PVVX.unpack(data)
            who = mac_text(own[::-1])
            return AtcMeasurement("pvvx", temperature / 100, humidity / 100, battery, counter, who, millivolts, flags)
        case length if length == ATC_SEALED:
            temperature, humidity, battery = _open(data, cipher, mac)
            return AtcMeasurement(
                "atc1441-encrypted",
                (temperature - 80) / 2,
                humidity / 2,
                battery & 0x7F,
                data[0],
                trigger=bool(battery & 0x80),
            )
        case length if length == PVVX_SEALED:
            temperature, humidity, battery, flags = _PVVX_INNER.unpack(_open(data, cipher, mac))
            return AtcMeasurement("pvvx-encrypted", temperature / 100, humidity / 100, battery, data[0], flags=flags)
        case _:
            raise FrameError("unsupported")


def _open(data: bytes, cipher: AdvertCipher | None, mac: bytes | None) -> bytes:
    if cipher is None:
        raise FrameError("no_key")
    if mac is None:
        raise FrameError("no_address")
    # The nonce holds the head of the AD structure: its length, type 16, the UUID, and the counter.
    head = bytes((len(data) + 3, 0x16)) + SERVICE.to_bytes(2, "little") + data[:1]
    plain = cipher.open(mac[::-1] + head, data[1:], _ASSOCIATED)
    assert len(plain) == len(data) - 1 - TAG_SIZE
    return plain


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    """A reading of the metric environment; the battery also for the status."""
    measurement = decode(data, sender.cipher, sender.mac)
    if measurement.battery_pct > 100 or measurement.temperature_c < ABSOLUTE_ZERO:  # of another device under 181A
        raise FrameError("out_of_range")
    values: dict[str, Any] = {
        "temperature": measurement.temperature_c,
        "humidity": measurement.humidity_pct,
        "battery": measurement.battery_pct,
    }
    if measurement.battery_mv is not None:
        values["battery_voltage"] = measurement.battery_mv
    readings, status = (measured("environment", values, UNITS),), {"battery": measurement.battery_pct}
    if sealed(data):
        return DecodedAdvert(readings, status, counter=measurement.counter, span=_SPAN)
    return DecodedAdvert(readings, status, measurement.counter)


def fits(data: bytes) -> bool:
    return len(data) in (_ATC.size, _PVVX.size, ATC_SEALED, PVVX_SEALED)


def sealed(data: bytes) -> bool:
    return len(data) in (ATC_SEALED, PVVX_SEALED)
