"""BTHome v2 (bthome.io/format, bthome.io/encryption): service data FCD2, a list of objects, plain or encrypted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from gatepost.drivers.ble.adverts.bthome_objects import (
    AIR,
    BUTTON,
    DIMMER,
    EVENT,
    KINDS,
    OTHER,
    RAW,
    STATE,
    STATUS,
    TEXT,
    TIME,
    VERSION,
    BtHomeKind,
)
from gatepost.drivers.ble.adverts.cipher import TAG_SIZE, AdvertCipher
from gatepost.drivers.ble.adverts.decoded_advert import AdvertSender, DecodedAdvert, mac_text
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading

SERVICE = 0xFCD2
ENCRYPTED, WITH_MAC, TRIGGERED = 0x01, 0x02, 0x04
MAC, COUNTER = 6, 4


class BtHomeObject(msgspec.Struct, frozen=True, gc=False):
    """BTHome object; the number as its factor makes it, text, or octets as hex digits."""

    id: int
    name: str
    value: int | float | str


class BtHomePacket(msgspec.Struct, frozen=True):
    """One payload. `cut` says why objects at its end are missing: unknown_object, truncated, or nothing."""

    encrypted: bool
    trigger_based: bool
    objects: tuple[BtHomeObject, ...]
    counter: int | None = None
    mac: str | None = None
    cut: str = ""


def decode(data: bytes, cipher: AdvertCipher | None = None, mac: bytes | None = None) -> BtHomePacket:
    """One payload. FrameError bad_version, truncated, no_key, no_address or decrypt_failed.

    `mac` in the order in which it is written; one in the payload goes before it.
    """
    if not data:
        raise FrameError("truncated")
    info, at, own = data[0], 1, None
    if info >> 5 != 2:
        raise FrameError("bad_version")
    if info & WITH_MAC:
        own, at = data[MAC:0:-1], 1 + MAC
        if len(data) < at:
            raise FrameError("truncated")
    body, counter = data[at:], None
    if info & ENCRYPTED:
        body, counter = _open(body, info, cipher, own or mac)
    objects, cut = _objects(body)
    return BtHomePacket(
        bool(info & ENCRYPTED), bool(info & TRIGGERED), objects, counter, mac_text(own) if own else None, cut
    )


def _open(body: bytes, info: int, cipher: AdvertCipher | None, mac: bytes | None) -> tuple[bytes, int]:
    if len(body) < COUNTER + TAG_SIZE:
        raise FrameError("truncated")
    if cipher is None:
        raise FrameError("no_key")
    if mac is None:
        raise FrameError("no_address")
    sealed, counter, tag = body[: -COUNTER - TAG_SIZE], body[-COUNTER - TAG_SIZE : -TAG_SIZE], body[-TAG_SIZE:]
    nonce = mac + SERVICE.to_bytes(2, "little") + bytes((info,)) + counter
    return cipher.open(nonce, sealed + tag), int.from_bytes(counter, "little")


def _objects(body: bytes) -> tuple[tuple[BtHomeObject, ...], str]:
    """Up to the first id that is unknown, since its length is, or the first object that is cut short."""
    objects: list[BtHomeObject] = []
    at, end = 0, len(body)
    while at < end:
        number = body[at]
        kind = KINDS.get(number)
        if kind is None:
            return tuple(objects), "unknown_object"
        at += 1
        size = kind.size
        if not size:
            if at >= end:
                return tuple(objects), "truncated"
            size = body[at]
            at += 1
        if at + size > end:
            return tuple(objects), "truncated"
        objects.append(BtHomeObject(number, kind.name, _value(kind, body[at : at + size])))
        at += size
    return tuple(objects), ""


def _value(kind: BtHomeKind, data: bytes) -> int | float | str:
    match kind.form:
        case "":
            raw = int.from_bytes(data, "little", signed=kind.signed)
            return raw if kind.per == 1 else raw * kind.times / kind.per
        case _ if kind.form == TEXT:
            return data.decode("utf-8", "replace")
        case _ if kind.form == RAW:
            return data.hex()
        case _:
            assert kind.form == VERSION
            return ".".join(map(str, reversed(data)))


def event(item: BtHomeObject) -> dict[str, Any]:
    """Event of a button or dimmer: its name, steps of a dimmer; empty when it did nothing."""
    assert isinstance(item.value, int)
    code, steps = item.value & 0xFF, item.value >> 8
    if not code:
        return {}
    if item.id == 0x3C:
        return {"dimmer": DIMMER.get(code, f"event-{code}"), "dimmer_steps": steps}
    return {"button": BUTTON.get(code, f"event-{code}")}


def interpret(data: bytes, sender: AdvertSender) -> DecodedAdvert:
    """Readings of the metrics environment, reading and event; states; battery and firmware for the status."""
    packet = decode(data, sender.cipher, sender.mac)
    values: dict[str, dict[str, Any]] = {AIR: {}, OTHER: {}, EVENT: {}}
    units: dict[str, dict[str, str]] = {AIR: {}, OTHER: {}, EVENT: {}}
    states: dict[str, bool] = {}
    status: dict[str, Any] = {}
    stamp, time = None, None
    buttons: dict[str, int] = {}
    for item in packet.objects:
        kind = KINDS[item.id]
        place = kind.place
        if place == STATE:
            states[_free(kind.value, states)] = bool(item.value)
        elif place == TIME:
            time = _time(int(item.value))
        elif place == EVENT:
            number = buttons[kind.name] = buttons.get(kind.name, 0) + 1  # the second object is the second button
            for name, value in event(item).items():
                values[EVENT][name if number == 1 else f"{name}_{number}"] = value
        elif item.id == 0x00:
            stamp = int(item.value)
        elif place == STATUS:
            status.setdefault(kind.value, item.value)
        else:
            name = _free(kind.value, values[place])
            values[place][name] = item.value
            if kind.unit:
                units[place][name] = kind.unit
    if values[AIR] and "battery" in status:
        values[AIR]["battery"], units[AIR]["battery"] = status["battery"], "%"
    if values[EVENT] and "channel" in values[OTHER]:
        values[EVENT]["channel"] = values[OTHER].pop("channel")
    readings = tuple(Reading(place, values[place], units[place], device_time=time) for place in values if values[place])
    return DecodedAdvert(
        readings, status, stamp, packet.counter, states=states, sleepy=packet.trigger_based, fault=packet.cut
    )


def _time(seconds: int) -> str | None:
    """0 is a clock that was never set."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat() if seconds else None


def _free(name: str, taken: dict[str, Any]) -> str:
    """`temperature`, then `temperature_2`: a packet may hold a quantity more than once."""
    if name not in taken:
        return name
    return next(f"{name}_{number}" for number in range(2, 256) if f"{name}_{number}" not in taken)


def fits(data: bytes) -> bool:
    return len(data) > 1 and data[0] >> 5 == 2


def sealed(data: bytes) -> bool:
    return bool(data and data[0] & ENCRYPTED)


def variant(data: bytes) -> int:
    """A sensor may send its objects in several packets: the first id tells them apart, where it can be read."""
    return data[1] if len(data) > 1 and not data[0] & (ENCRYPTED | WITH_MAC) else 0
