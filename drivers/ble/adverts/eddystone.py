"""Eddystone beacons (github.com/google/eddystone): service data FEAA; frames UID, URL and plain TLM, big-endian."""

from __future__ import annotations

from struct import Struct
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading, measured

DBM = "dB[mW]"

_UID = Struct(">Bb10s6s")
_TLM = Struct(">BBHhII")
_NO_TEMPERATURE = -0x8000
_SCHEMES = ("http://www.", "https://www.", "http://", "https://")
_ENDINGS = (".com", ".org", ".edu", ".net", ".info", ".biz", ".gov")

TLM_UNITS = {"temperature": "Cel", "battery_voltage": "mV", "uptime": "s"}


class EddystoneUid(msgspec.Struct, frozen=True, gc=False):
    """Frame UID."""

    frame: str
    tx_power_0m: int
    namespace: str
    instance: str


class EddystoneUrl(msgspec.Struct, frozen=True, gc=False):
    """Frame URL."""

    frame: str
    tx_power_0m: int
    url: str


class EddystoneTlm(msgspec.Struct, frozen=True, gc=False):
    """Frame TLM, unencrypted telemetry. None = the beacon does not measure it."""

    frame: str
    battery_mv: int | None
    temperature_c: float | None
    adv_count: int
    uptime_s: int | float


def decode(data: bytes) -> EddystoneUid | EddystoneUrl | EddystoneTlm:
    """FrameError truncated, bad_format, or unsupported: encrypted telemetry, ephemeral identifiers, other frames."""
    if not data:
        raise FrameError("truncated")
    match data[0]:
        case 0x00:
            return _uid(data)
        case 0x10:
            return _url(data)
        case 0x20:
            return _tlm(data)
        case _:
            raise FrameError("unsupported")


def _uid(data: bytes) -> EddystoneUid:
    if len(data) < _UID.size:
        raise FrameError("truncated")
    _, power, namespace, instance = _UID.unpack_from(data)
    return EddystoneUid("uid", power, namespace.hex(), instance.hex())


def _url(data: bytes) -> EddystoneUrl:
    if len(data) < 3:
        raise FrameError("truncated")
    if data[2] >= len(_SCHEMES):
        raise FrameError("bad_format")
    power = int.from_bytes(data[1:2], "big", signed=True)
    return EddystoneUrl("url", power, _SCHEMES[data[2]] + "".join(map(_character, data[3:])))


def _character(code: int) -> str:
    if code < 2 * len(_ENDINGS):
        return _ENDINGS[code % len(_ENDINGS)] + ("/" if code < len(_ENDINGS) else "")
    if not 0x20 < code < 0x7F:
        raise FrameError("bad_format")
    return chr(code)


def _tlm(data: bytes) -> EddystoneTlm:
    if len(data) > 1 and data[1]:
        raise FrameError("unsupported")  # version 1 is encrypted for its owner
    if len(data) < _TLM.size:
        raise FrameError("truncated")
    _, _, battery, temperature, count, uptime = _TLM.unpack_from(data)
    return EddystoneTlm(
        "tlm", battery or None, None if temperature == _NO_TEMPERATURE else temperature / 256, count, uptime / 10
    )


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    """UID and URL: presence. TLM: a reading of the metric environment."""
    frame = decode(data)
    if isinstance(frame, EddystoneTlm):
        values: dict[str, Any] = {
            "temperature": frame.temperature_c,
            "battery_voltage": frame.battery_mv,
            "adverts": frame.adv_count,
            "uptime": frame.uptime_s,
        }
        return DecodedAdvert((measured("environment", values, TLM_UNITS),))
    identity: dict[str, Any] = msgspec.structs.asdict(frame)
    del identity["frame"]
    return DecodedAdvert((presence(identity, identity.pop("tx_power_0m"), sender.rssi),))


def presence(identity: dict[str, Any], tx_power: int, rssi: int | None) -> Reading:
    """Presence reading: identity, TX power (dBm, at the reference distance of the format), RSSI."""
    values = {**identity, "tx_power": tx_power}
    units = {"tx_power": DBM}
    if rssi is not None:
        values["signal_strength"], units["signal_strength"] = rssi, DBM
    return Reading("presence", values, units)


def fits(data: bytes) -> bool:
    """A frame that somebody without a key can read."""
    return data[:1] in (b"\x00", b"\x10") or data[:2] == b"\x20\x00"


def variant(data: bytes) -> int:
    """Frames take turns."""
    return data[0] if data else 0
