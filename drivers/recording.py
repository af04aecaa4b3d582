"""Recording of the octets in both directions of a link, with times, one JSON object a line.

The first line says what it is of. `gatepost record` writes it, `gatepost replay` plays it through the driver: a fault
seen in the field can be sent to a developer. It holds what the device measured; it never holds secrets of the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from gatepost.drivers.ble.peripheral import GattValue, ReceivedAdvert
from gatepost.drivers.mqtt.message import MqttMessage, without_token
from gatepost.drivers.network.datagram import Datagram

FORMAT = "gatepost-recording"
VERSION = 1
LONGEST = 1 << 20  # characters of a line


class RecordingHeader(msgspec.Struct, frozen=True):
    """What a recording is of; `started` is RFC 3339, `options` are the driver's without its secrets."""

    driver: str
    device: str = ""
    started: str = ""
    gateway_version: str = ""
    options: dict[str, Any] = {}
    bookmarks: dict[str, Any] = {}

    def line(self) -> bytes:
        return _line({"format": FORMAT, "version": VERSION, **msgspec.to_builtins(self)})


class RecordedMoment(NamedTuple):
    """`at`: seconds since the start. `heard` is what the decoder was given; None where something was `said`, or where
    there is a `note` (the link opened, was lost, ...)."""

    at: float
    heard: bytes | GattValue | ReceivedAdvert | MqttMessage | None = None
    said: bytes | None = None
    characteristic: str = ""
    note: str = ""


class RecordingWrong(ValueError):
    """That is no recording, or a line of it is none: the text says which and why."""


def line(moment: RecordedMoment) -> bytes:
    """One moment as a line."""
    at: dict[str, Any] = {"t": round(moment.at, 6)}
    match moment.heard:
        case Datagram() as data:
            return _line({**at, "heard": data.hex(), "datagram": True})
        case bytes() as data:
            return _line({**at, "heard": data.hex()})
        case GattValue() as value:
            known = {"uuid": value.uuid, "handle": value.handle, "service": value.service}
            return _line({**at, "heard": value.data.hex(), **known})
        case MqttMessage() as message:
            there = {"topic": message.kind, **({"captures": dict(message.captures)} if message.captures else {})}
            return _line({**at, "heard": without_token(message.payload).hex(), **there})
        case ReceivedAdvert() as advert:
            return _line({**at, "advert": _advert_out(advert)})
    if moment.said is not None:
        where = {"uuid": moment.characteristic} if moment.characteristic else {}
        return _line({**at, "said": moment.said.hex(), **where})
    return _line({**at, "note": moment.note})


def read(lines: Iterable[bytes]) -> tuple[RecordingHeader, Iterator[RecordedMoment]]:
    """The header, and the moments as they are asked for; raises RecordingWrong, also while they are. A last line that
    was cut off is left out."""
    numbered = enumerate(lines, 1)
    _, first = next(numbered, (0, b""))
    told = _object(first, 1)
    if told.get("format") != FORMAT:
        raise RecordingWrong("line 1: this is no recording of gatepost")
    if told.get("version") != VERSION:
        raise RecordingWrong(f"line 1: a recording of version {told.get('version')!r}; this gatepost reads {VERSION}")
    try:
        header = msgspec.convert(told, RecordingHeader)
    except msgspec.ValidationError as wrong:
        raise RecordingWrong(f"line 1: {wrong}") from None
    return header, _moments(numbered)


def _moments(numbered: Iterable[tuple[int, bytes]]) -> Iterator[RecordedMoment]:
    for number, text in numbered:
        if not text.strip():
            continue
        if not text.endswith(b"\n"):
            return
        try:
            yield _moment(_object(text, number))
        except (KeyError, TypeError, ValueError, msgspec.ValidationError) as wrong:
            if isinstance(wrong, RecordingWrong):
                raise
            why = f"{wrong} is missing" if isinstance(wrong, KeyError) else wrong
            raise RecordingWrong(f"line {number} is none of a recording: {why}") from None


def _moment(told: Mapping[str, Any]) -> RecordedMoment:
    at = float(told["t"])
    if "advert" in told:
        return RecordedMoment(at, _advert_in(told["advert"]))
    if "heard" in told:
        data = bytes.fromhex(told["heard"])
        if "topic" in told:
            return RecordedMoment(at, MqttMessage(str(told["topic"]), data, captures=dict(told.get("captures", {}))))
        if "uuid" not in told:
            return RecordedMoment(at, Datagram(data) if told.get("datagram") is True else data)
        return RecordedMoment(
            at, GattValue(str(told["uuid"]), data, int(told.get("handle", 0)), str(told.get("service", "")))
        )
    if "said" in told:
        return RecordedMoment(at, said=bytes.fromhex(told["said"]), characteristic=str(told.get("uuid", "")))
    return RecordedMoment(at, note=str(told["note"]))


def _advert_out(advert: ReceivedAdvert) -> dict[str, Any]:
    return {
        "address": advert.address,
        "name": advert.name,
        "rssi": advert.rssi,
        "service_data": {uuid: data.hex() for uuid, data in advert.service_data.items()},
        "manufacturer_data": {str(company): data.hex() for company, data in advert.manufacturer_data.items()},
        "services": advert.services,
    }


def _advert_in(told: Mapping[str, Any]) -> ReceivedAdvert:
    return ReceivedAdvert(
        str(told["address"]),
        str(told.get("name", "")),
        told.get("rssi"),
        {uuid: bytes.fromhex(data) for uuid, data in told.get("service_data", {}).items()},
        {int(company): bytes.fromhex(data) for company, data in told.get("manufacturer_data", {}).items()},
        tuple(told.get("services", ())),
    )


def _object(text: bytes, number: int) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise RecordingWrong(f"line {number}: longer than {LONGEST} characters")
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError as wrong:
        what = "this is no recording, or cut off" if number == 1 else f"no JSON: {wrong}"
        raise RecordingWrong(f"line {number}: {what}") from None
    if not isinstance(told, dict):
        raise RecordingWrong(f"line {number}: not a JSON object")
    return told


def _line(told: dict[str, Any]) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
