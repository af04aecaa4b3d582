"""IntelliVue messages under the names of the vectors."""

from __future__ import annotations

from typing import Any

from gatepost.drivers.ble.gatt.medfloat import MissingNumber, Number, decode_float
from gatepost.drivers.network.intellivue import attributes as values
from gatepost.drivers.network.intellivue import codes, requests
from gatepost.drivers.network.intellivue.decoder import model_parts
from gatepost.drivers.network.intellivue.frames import decode_frame, encode_frame, encode_payload
from gatepost.drivers.network.intellivue.messages import ExportMessage, OctetCursor, PolledObject, decode_message
from gatepost.drivers.testing.vectors.gatt_fields import WORDS
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def _number(number: Number) -> float | None:
    return None if isinstance(number, MissingNumber) else float(number)


def _object(item: PolledObject) -> Fields:
    told = item.attributes
    fields: Fields = {"context": item.context, "handle": item.handle}
    observed = [
        {
            "physio_id": value.physio_id,
            "state": codes.state_words(value.state),
            "unit": value.unit,
            "value": None if value.state & (codes.INVALID | codes.UNAVAILABLE) else _number(value.value),
        }
        for value in values.observed_values(told)
    ]
    blocks = [
        {"physio_id": block.physio_id, "state": codes.state_words(block.state), "data": block.data.hex()}
        for block in values.sample_blocks(told)
    ]
    array, scale = values.array_spec(told), values.scale_spec(told)
    named: dict[str, Any] = {
        "values": observed or None,
        "waves": blocks or None,
        "array": None if array is None else array._asdict(),
        "period_ms": values.period_ms(told),
        "label": values.number_of(told, values.LABEL, 4),
        "label_string": values.label_text(told),
        "unit": values.number_of(told, values.UNIT, 2),
        "time": values.own_time(told),
    }
    if scale is not None:
        named["scale"] = {**scale._asdict(), "lower": _number(scale.lower), "upper": _number(scale.upper)}
    return fields | {name: value for name, value in named.items() if value is not None}


def _connect(message: ExportMessage) -> Fields:
    told = message.attributes or {}
    fields: Fields = {}
    if values.MAC_ADDRESS in told:
        address = told[values.MAC_ADDRESS]
        fields["mac"] = address[:6].hex(":")
        fields["ip"] = ".".join(str(octet) for octet in address[6:10])
    if values.PROTOCOLS in told:
        cursor = OctetCursor(told[values.PROTOCOLS])
        count, inner = cursor.number(), cursor.part()
        names = ("application", "transport", "port", "options")
        fields["protocols"] = [{name: inner.number() for name in names} for _ in range(count)]
    return fields | dict(zip(("manufacturer", "model"), model_parts(message), strict=False))


def payload(octets: bytes) -> Fields:
    message = decode_message(octets)
    fields: Fields = {"message": message.kind, "invoke_id": message.invoke_id}
    if message.linked:
        fields |= {"linked": message.linked, "linked_count": message.linked_count}
    if message.event_type:
        fields |= {"event_time": message.event_time, "event_type": message.event_type, **_connect(message)}
    poll = message.poll
    if poll is None:
        return fields
    return fields | {
        "action": message.action,
        "sequence_no": poll.sequence,
        "poll_number": poll.number,
        "relative_time_ms": poll.ticks / 8,
        "absolute_time": poll.time,
        "class": poll.object_class,
        "objects": [_object(item) for item in poll.objects],
    }


def request(asked: Fields) -> bytes:
    invoke = asked.get("invoke_id", 0)
    match asked["message"]:
        case "association-request":
            return requests.association_request()
        case "release-request":
            return requests.release_request()
        case "association-abort" | "abort":
            return requests.abort()
        case "event-result":
            return requests.event_result(invoke, asked["event_type"])
        case "poll-request":
            group, period = asked.get("attribute_group", 0), asked.get("period_ms")
            return requests.poll_request(invoke, asked["poll_number"], asked["class"], group, period)
        case "get-request" | "get-priority-list" | "get":
            return requests.get_priorities(invoke, asked.get("attribute", requests.WAVE_PRIORITIES))
        case "set-request" | "set-priority-list" | "set":
            which = asked.get("attribute", requests.WAVE_PRIORITIES)
            return requests.set_priorities(invoke, tuple(asked["labels"]), which)
        case other:
            raise ValueError(f"{other} is never sent")


def serial(octets: bytes) -> Fields:
    return {"payload_hex": decode_frame(octets).hex()}


def serial_request(asked: Fields) -> bytes:
    if "payload_hex" in asked:
        return encode_payload(bytes.fromhex(asked["payload_hex"]))
    return encode_frame(bytes.fromhex(asked["body_hex"]))


def number(octets: bytes) -> Fields:
    found = decode_float(int.from_bytes(octets, "big"))
    return {"value": WORDS[found] if isinstance(found, MissingNumber) else float(found)}


TABLE: Table = {
    "serial-frame": {
        "philips-intellivue": payload,
        "philips-intellivue-serial": serial,
        "philips-intellivue-float": number,
    },
    "encode": {"philips-intellivue": request, "philips-intellivue-serial": serial_request},
}
