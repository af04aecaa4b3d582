"""Test kit of payload formats: plays the steps of a vector through a format and compares what comes out.

Shipped for formats of other packages too. tests/vectors/upstream/README.md says what a vector is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from gatepost.agent.uplink.formats.interface import (
    DeviceProfile,
    FormatContext,
    IncomingCommand,
    LaterMessages,
    Outcome,
    OutgoingMessage,
    PayloadFormat,
)
from gatepost.agent.uplink.formats.stored_reading import StoredReading
from gatepost.agent.uplink.topics import BrokerTopics


def make(kind: type[PayloadFormat], settings: Mapping[str, Any]) -> PayloadFormat:
    """A format with the settings of a vector."""
    broker = settings["broker"]
    given = dict(broker.get("options", {}))
    state = {"bdseq": given.pop("_last_bdseq")} if "_last_bdseq" in given else {}
    devices = {}
    for name, device in settings.get("devices", {}).items():
        members = {key: value for key, value in device.items() if key in DeviceProfile.__struct_fields__}
        devices[name] = msgspec.convert({**members, "label": device.get("name", "")}, DeviceProfile)
    expire = {name: device["expire_after"] for name, device in settings["devices"].items() if "expire_after" in device}
    if expire:
        given["expire_after"] = expire
    rooms = {name: device["room"] for name, device in settings.get("devices", {}).items() if "room" in device}
    topics = BrokerTopics({**kind.default_topics, **broker.get("topics", {})}, settings["gateway"]["id"], None, rooms)
    return kind(
        FormatContext(
            gateway=settings["gateway"]["id"],
            version=settings["version"],
            qos=broker.get("qos", 1),
            options=msgspec.convert(given, kind.options_type),
            topics=topics,
            devices=devices,
            state=state,
        )
    )


def play(kind: type[PayloadFormat], vector: Mapping[str, Any]) -> tuple[OutgoingMessage | None, list[OutgoingMessage]]:
    """The will, and every message of the vector's steps, in order."""
    one = make(kind, vector["settings"])
    sent: list[OutgoingMessage] = []
    waiting: list[StoredReading] = []
    stored = 0
    one.context.head = lambda: stored
    replies: dict[str, Any] = {}
    will = one.will(StoredReading.time_of(vector["steps"][0].get("at", "1970-01-01T00:00:00Z")))

    def take(outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, LaterMessages):
                sent.extend(outcome.messages())
            elif isinstance(outcome, IncomingCommand):
                replies[orjson.dumps(orjson.loads(outcome.payload).get("id")).decode()] = outcome.reply_to
                replies["last"] = outcome.reply_to
            else:
                sent.append(outcome)

    for step in vector["steps"]:
        now = StoredReading.time_of(step["at"])
        match step:
            case {"connected": _}:
                take(one.connected(now))
            case {"reading": reading}:
                waiting.append(StoredReading.from_json(reading, stored))
                stored += 1
            case {"event": event}:
                take(one.event(event, now))
            case {"device_status": status}:
                take(one.device_status(status["device_id"], status, now))
            case {"incoming": message}:
                body = message.get("payload", "")
                octets = bytes.fromhex(message["hex"]) if "hex" in message else _octets(body)
                take(one.incoming(message["topic"], octets, bool(message.get("retain")), now))
            case {"response": response}:
                take(one.response(response, replies.get("last"), now))
            case {"removed": device}:
                take(one.removed(device, now))
            case {"disconnecting": _}:
                take(one.disconnecting(now))
        while waiting and one.ready:
            take(one.reading(waiting.pop(0), now))
    return will, sent


def _octets(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


def same_json(found: Any, wanted: Any) -> bool:
    """Equal as JSON: member order is free, numbers agree to 1e-9, texts that are numbers compare as numbers."""
    if isinstance(wanted, Mapping):
        return (
            isinstance(found, Mapping)
            and found.keys() == wanted.keys()
            and all(same_json(found[key], wanted[key]) for key in wanted)
        )
    if isinstance(wanted, list):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(same_json, found, wanted))
    if isinstance(wanted, bool) or wanted is None or isinstance(found, bool):
        return found is wanted
    if isinstance(wanted, int | float):
        return isinstance(found, int | float) and math.isclose(found, wanted, rel_tol=1e-9)
    if isinstance(wanted, str) and isinstance(found, str) and found != wanted:
        try:
            return math.isclose(float(found), float(wanted), rel_tol=1e-9)
        except ValueError:
            return False
    return bool(found == wanted)


def difference(kind: type[PayloadFormat], vector: Mapping[str, Any]) -> str:
    """What is wrong with the messages of a vector; "" = nothing."""
    will, messages = play(kind, vector)
    wanted = vector["expect"]["messages"]
    if [message.topic for message in messages] != [each["topic"] for each in wanted]:
        return f"topics {[message.topic for message in messages]}"
    pairs = [*zip(messages, wanted, strict=True)]
    if "will" in vector["expect"]:
        if will is None:
            return "no will"
        pairs.append((will, vector["expect"]["will"]))
    for message, each in pairs:
        if "hex" in each:
            same = message.payload.hex() == each["hex"]
        elif isinstance(each["payload"], str):
            same = message.payload == each["payload"].encode()
        else:
            same = same_json(orjson.loads(message.payload), each["payload"])
        if not same:
            return f"payload on {message.topic}: {message.payload[:300]!r}"
        kept = (message.qos, message.retain, message.expiry)
        if kept != (each["qos"], each["retain"], each.get("message_expiry")):
            return f"QoS, retain, expiry on {message.topic}: {kept}"
        if message.content_type != each.get("content_type", message.content_type):
            return f"content type on {message.topic}: {message.content_type}"
    return ""
