"""Victron instant readout: manufacturer data 02E1 that begins with 10, encrypted (Victron, "Extra manufacturer data").

Model u16 at 2, record type u8 at 4, counter u16 at 5, first octet of the key at 7, then AES-128-CTR over bit fields
from the low end; all little-endian.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import measured

PREFIX = 0x10
SOLAR, BATTERY_MONITOR = 0x01, 0x02
_HEAD = 8
SPAN = 1 << 16

UNITS = {
    "voltage": "V",
    "current": "A",
    "consumed": "A.h",
    "state_of_charge": "%",
    "time_to_go": "min",
    "solar_power": "W",
    "yield_today": "W.h",
    "load_current": "A",
}


class VictronRecord(msgspec.Struct, frozen=True):
    """One record; None = no value."""

    model: int
    record: int
    counter: int
    values: dict[str, Any]


class _BitReader:
    """Takes bit fields from the low end."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, bits: int, none: int | None = None, signed: bool = False) -> int | None:
        raw, self._left = self._left & (1 << bits) - 1, self._left >> bits
        if raw == none:
            return None
        return raw - (1 << bits) if signed and raw >> bits - 1 else raw


def decode(data: bytes, cipher: AdvertCipher | None = None) -> VictronRecord:
    """FrameError truncated, unsupported, no_key, decrypt_failed."""
    if len(data) <= _HEAD:
        raise FrameError("truncated")
    if data[0] != PREFIX or data[4] not in LAYOUTS:
        raise FrameError("unsupported")
    if cipher is None:
        raise FrameError("no_key")
    if not cipher.begins_with(data[7]):
        raise FrameError("decrypt_failed")
    read, size = LAYOUTS[data[4]]
    if len(data) - _HEAD < size:
        raise FrameError("truncated")
    counter = int.from_bytes(data[5:7], "little")
    values = read(_BitReader(cipher.counter_mode(counter, data[_HEAD:])))
    return VictronRecord(int.from_bytes(data[2:4], "little"), data[4], counter, values)


def _scaled(raw: int | None, per: int, times: int = 1) -> float | None:
    return None if raw is None else raw * times / per


def _battery_monitor(bits: _BitReader) -> dict[str, Any]:
    found: dict[str, Any] = {"time_to_go": bits.take(16, 0xFFFF), "voltage": _scaled(bits.take(16, 0x7FFF, True), 100)}
    found["alarm"], _, found["aux"] = bits.take(16), bits.take(16), bits.take(2)
    found["current"] = _scaled(bits.take(22, 0x3FFFFF, True), 1000)
    found["consumed"] = _scaled(bits.take(20, 0xFFFFF), 10, -1)
    found["state_of_charge"] = _scaled(bits.take(10, 0x3FF), 10)
    return found


def _solar(bits: _BitReader) -> dict[str, Any]:
    found: dict[str, Any] = {"state": bits.take(8), "error": bits.take(8)}
    found["voltage"] = _scaled(bits.take(16, 0x7FFF, True), 100)
    found["current"] = _scaled(bits.take(16, 0x7FFF, True), 10)
    found["yield_today"] = _scaled(bits.take(16, 0xFFFF), 1, 10)
    found["solar_power"] = bits.take(16, 0xFFFF)
    found["load_current"] = _scaled(bits.take(9, 0x1FF), 10)
    return found


LAYOUTS = {SOLAR: (_solar, 12), BATTERY_MONITOR: (_battery_monitor, 15)}  # record type -> reader, octets


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    """A reading of the metric `reading`."""
    record = decode(data, sender.cipher)
    values = {name: value for name, value in record.values.items() if name in UNITS}
    return DecodedAdvert((measured("reading", values, UNITS),), counter=record.counter, span=SPAN)


def fits(data: bytes) -> bool:
    return len(data) > _HEAD and data[0] == PREFIX and data[4] in LAYOUTS


def sealed(data: bytes) -> bool:
    return True
