"""Decoded payload of an advertisement, and its sender."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from gatepost.drivers.ble.adverts.cipher import AdvertCipher
from gatepost.drivers.reading import Reading

_MAC = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")


class AdvertSender(NamedTuple):
    """Sender of an advertisement. `mac` is None where the platform hides it; `cipher` is None without a key."""

    mac: bytes | None = None
    name: str = ""
    rssi: int | None = None
    cipher: AdvertCipher | None = None


class DecodedAdvert(msgspec.Struct, frozen=True):
    """Decoded payload: its readings and what else it says.

    `status`: parts of the device's status: battery (%), firmware. `stamp`: packet id, sequence or measurement number;
    the same one again is a repetition. `counter`: of an encrypted payload, which must increase modulo `span`.
    `states`: on or off, by name. `sleepy`: it speaks only when something happens. `fault`: what was wrong with a part
    of it."""

    readings: tuple[Reading, ...] = ()
    status: dict[str, Any] = {}
    stamp: int | None = None
    counter: int | None = None
    span: int = 1 << 32
    states: dict[str, bool] = {}
    sleepy: bool = False
    fault: str = ""


def mac_of(address: str) -> bytes | None:
    """The six octets of `AA:BB:CC:DD:EE:FF`; None for anything else."""
    return bytes.fromhex(address.replace(":", "")) if _MAC.fullmatch(address) else None


def mac_text(mac: bytes) -> str:
    return mac.hex(":").upper()
