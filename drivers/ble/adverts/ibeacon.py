"""iBeacon (Apple, "Proximity Beacon Specification"): manufacturer data 004C that begins with 02 15, big-endian."""

from __future__ import annotations

from struct import Struct
from uuid import UUID

import msgspec

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert
from gatepost.drivers.ble.adverts.eddystone import presence
from gatepost.drivers.ble.adverts.govee import PADDING
from gatepost.drivers.checksums import FrameError

_BEACON = Struct(">2s16sHHb")
_KIND = b"\x02\x15"


class IBeaconAdvert(msgspec.Struct, frozen=True, gc=False):
    """iBeacon payload. `tx_power_1m`: dBm, measured at one metre."""

    uuid: str
    major: int
    minor: int
    tx_power_1m: int


def decode(data: bytes) -> IBeaconAdvert:
    """FrameError unsupported (another message of Apple's) or truncated."""
    if data[:2] != _KIND[: len(data)]:
        raise FrameError("unsupported")
    if len(data) < _BEACON.size:
        raise FrameError("truncated")
    _, uuid, major, minor, power = _BEACON.unpack_from(data)
    return IBeaconAdvert(str(UUID(bytes=uuid)), major, minor, power)


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    beacon = decode(data)
    identity = {"uuid": beacon.uuid, "major": beacon.major, "minor": beacon.minor}
    return DecodedAdvert((presence(identity, beacon.tx_power_1m, sender.rssi),))


def fits(data: bytes) -> bool:
    """Padding of Govee thermometers looks like a beacon, but is none."""
    return len(data) >= _BEACON.size and data.startswith(_KIND) and PADDING not in data
