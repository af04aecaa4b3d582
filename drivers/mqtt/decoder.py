"""Messages of a device -> readings, its status, its answers. Nothing that a device sends raises or is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gatepost.drivers.exact_json import load_json
from gatepost.drivers.mqtt.message import MqttMessage
from gatepost.drivers.mqtt.options import MqttOptions, TopicMapping
from gatepost.drivers.options import METRIC_PATTERN
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply
from gatepost.drivers.serial.lines.fields import MissingField, compile_fields, plain, read_time, word_of
from gatepost.drivers.serial.lines.formats import (
    VALUE,
    BadLine,
    csv_lines,
    json_lines,
    keyvalue_lines,
    number,
    regex_lines,
    scalar,
)

MOST_READINGS = 1000  # of one message
MOST_MEMBERS = 64
DEEPEST = 8
LONGEST_TEXT = 256
DEFAULT_METRIC = "reading"
STREAM_METRIC = "datastream"
TOKEN = "token"  # noqa: S105 - a member's name

# Members with a meaning of their own; most of them are the gateway's alone to set, and are left out.
SPECIAL = frozenset(
    [
        "metric_type",
        "units",
        "timestamp",
        "device_timestamp",
        "token",
        "device_id",
        "urgent",
        "metadata",
        "id",
        "gateway_id",
        "schema",
        "clock",
        "replayed",
        "quality",
        "flags",
        "patient_id",
    ]
)
_PLAIN = frozenset({int, float, bool})
_NAME = re.compile(METRIC_PATTERN)
_WORDS = ("online", "offline", "error")


class RefusedPayload(Exception):
    """The message is not taken; the text is a stable key."""


class MqttDecoder:
    """One message at a time. `faults` counts refusals by their key."""

    __slots__ = ("_kinds", "_streams", "faults")

    def __init__(self, options: MqttOptions) -> None:
        self.faults = Faults()
        self._streams = options.streams
        self._kinds: dict[str, Callable[[MqttMessage], list[Reading | Reply]]] = {
            "data": self._data,
            "datastream": self._datastream,
            "status": self._status,
            "responses": self._response,
        }
        for pattern, mapping in options.topics.items():
            self._kinds[pattern] = mapped_topic(mapping, self.faults)

    def feed(self, message: MqttMessage) -> list[Reading | Reply]:
        message.refusal = "malformed"  # what stays of it if this raises
        try:
            items = self._kinds[message.kind](message)
            message.refusal = ""
            return items
        except RefusedPayload as refused:
            message.refusal = str(refused)
        except BadLine as bad:
            message.refusal = "not-json" if str(bad) == "not-json" else "no-values"
        self.faults.add(message.refusal)
        return []

    def _data(self, message: MqttMessage) -> list[Reading | Reply]:
        found = parse_json(message.payload)
        if found.__class__ is dict:
            return [self._reading(found, message)]
        if found.__class__ is not list or not all(each.__class__ is dict for each in found):
            raise RefusedPayload("no-values")
        if len(found) > MOST_READINGS:
            raise RefusedPayload("too-large")
        if not found:
            raise RefusedPayload("no-values")
        return [self._reading(each, message) for each in found]

    def _reading(self, members: dict[str, Any], message: MqttMessage) -> Reading:
        """Every scalar is a value, but for the members with a meaning of their own."""
        _check_names(members)
        values: dict[str, Any] = {}
        flags: list[str] = []
        special = False
        for name, value in members.items():
            if name in SPECIAL:
                special = True
            elif value.__class__ in _PLAIN:
                values[name] = value
            elif name:
                _careful(name, value, values, flags)
        values.pop("", None)
        reading = Reading(DEFAULT_METRIC, values)
        if special:
            self._specials(reading, members, message, flags)
        if not values:
            if not flags:
                raise RefusedPayload("no-values")
            reading.quality = BAD
        if flags:
            reading.flags = tuple(flags)
        return reading

    def _specials(self, reading: Reading, members: Mapping[str, Any], message: MqttMessage, flags: list[str]) -> None:
        check_identity(members, message)
        metric = members.get("metric_type")
        if metric is not None:
            if isinstance(metric, str) and _NAME.match(metric):
                reading.metric = metric
            else:
                flags.append("metric_type:invalid")
        units = members.get("units")
        if isinstance(units, dict):
            reading.units = {
                name: unit
                for name, unit in units.items()
                if name in reading.values and isinstance(unit, str) and 0 < len(unit) <= LONGEST_TEXT
            }
        moment = members.get("timestamp", members.get("device_timestamp"))
        if moment is not None:
            reading.device_time = read_time(moment, None, flags)
        reading.urgent = members.get("urgent") is True

    def _datastream(self, message: MqttMessage) -> list[Reading | Reply]:
        members = parse_object(message.payload)
        check_identity(members, message)
        flags: list[str] = []
        value, ident = members.get("value"), members.get("telemetryDataId")
        if isinstance(value, str):
            found = number(value)
            value = value if found is None else found
        values: dict[str, Any] = {}
        if "value" in members:
            _careful("value", value, values, flags)
        rule = self._streams.get(str(ident)) if isinstance(ident, str | int) else None
        if rule is None:
            reading = Reading(STREAM_METRIC, values)
            if "telemetryDataId" in members:
                _careful("telemetryDataId", ident, values, flags)
        else:
            reading = Reading(rule.metric, {rule.name: values["value"]} if values else {})
            flags = [f"{rule.name}:{flag.partition(':')[2]}" for flag in flags]
            reading.units = {rule.name: rule.unit} if rule.unit and values else {}
        if not values and not flags:
            raise RefusedPayload("no-values")
        if members.get("timestamp") is not None:
            reading.device_time = read_time(members["timestamp"], None, flags)
        reading.quality = GOOD if reading.values else BAD
        reading.flags = tuple(flags)
        reading.urgent = members.get("urgent") is True or _outside(value, members.get("thresholds"))
        return [reading]

    def _status(self, message: MqttMessage) -> list[Reading | Reply]:
        """{"status", "battery", "signal_strength", "reason"}, or the bare word; nothing clears what was retained."""
        if not message.payload:
            return []
        word = message.payload[:LONGEST_TEXT].decode("utf-8", "replace").strip().lower()
        if word in _WORDS:
            message.status = (word, "")
            return []
        members = parse_object(message.payload)
        check_identity(members, message)
        inner = members.get("metadata")
        metadata: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
        told = {
            "battery": members.get("battery", metadata.get("battery")),
            "signal_strength": members.get("signal_strength", metadata.get("signal")),
        }
        known = {name: value for name, value in told.items() if value.__class__ in (int, float)}
        said = members.get("status")
        if isinstance(said, str):
            reason = members.get("reason")
            message.status = (said[:64].lower(), reason[:LONGEST_TEXT] if isinstance(reason, str) else "")
        elif not known:
            raise RefusedPayload("no-values")
        return [Reply("status", known)] if known else []

    def _response(self, message: MqttMessage) -> list[Reading | Reply]:
        members = parse_object(message.payload)
        check_identity(members, message)
        if not isinstance(members.get("id"), str):
            raise RefusedPayload("no-values")
        response = {name: members.get(name) for name in ("id", "status", "result", "error")}
        message.response = orjson.loads(orjson.dumps(response, default=str))  # numbers that are too large as text
        return []


def mapped_topic(mapping: TopicMapping, faults: Faults) -> Callable[[MqttMessage], list[Reading | Reply]]:
    """What a topic of `options.topics` carries."""
    if mapping.status is not None:
        online, offline = mapping.status.online, mapping.status.offline

        def status(message: MqttMessage) -> list[Reading | Reply]:
            word = _state_word(message.payload)
            if word not in (online, offline):
                raise RefusedPayload("no-values")
            message.status = ("online" if word == online else "offline", "")
            return []

        return status
    parse = _parser(mapping, faults)
    convert = compile_fields(
        mapping.metric, mapping.fields, mapping.others == "keep", mapping.device_time, mapping.device_time_format
    )

    def reading(message: MqttMessage) -> list[Reading | Reply]:
        members = parse(message.payload)
        _check_size(members)
        if TOKEN in members and TOKEN not in mapping.fields:
            _check_token(members.pop(TOKEN), message)
        found = convert(members)
        if found is None:
            raise RefusedPayload("no-values")
        metric, name = message.captures.get("metric", ""), message.captures.get("value", "")
        if _NAME.match(metric):
            found.metric = metric
        if _NAME.match(name) and VALUE not in mapping.fields:
            found.values = {name if each == VALUE else each: value for each, value in found.values.items()}
            found.flags = tuple(
                flag.replace(VALUE, name, 1) if flag.startswith(f"{VALUE}:") else flag for flag in found.flags
            )
        return [found]

    return reading


def _parser(mapping: TopicMapping, faults: Faults) -> Callable[[bytes], dict[str, Any]]:
    def decode(payload: bytes) -> str:
        return payload.decode("utf-8", "replace").strip()

    def value(payload: bytes) -> dict[str, Any]:
        return {VALUE: scalar(decode(payload))}

    match mapping.format:
        case "json":
            return json_lines("utf-8", faults)
        case "value":
            return value
        case "keyvalue":
            return keyvalue_lines(decode, mapping.delimiter, mapping.separator)
        case "csv":
            return csv_lines(decode, mapping.columns, mapping.delimiter)
    return regex_lines(decode, mapping.pattern)


def parse_json(payload: bytes) -> Any:
    try:
        return load_json(payload)
    except ValueError:
        raise RefusedPayload("not-json") from None


def parse_object(payload: bytes) -> dict[str, Any]:
    found = parse_json(payload)
    if not isinstance(found, dict):
        raise RefusedPayload("no-values")
    _check_size(found)
    return found


def check_identity(members: Mapping[str, Any], message: MqttMessage) -> None:
    """A token must be a valid one of this device, a device id its own. Neither goes any further."""
    _check_token(members.get(TOKEN), message)
    device = members.get("device_id")
    if device is not None and message.device and device != message.device:
        raise RefusedPayload("wrong-device")


def _check_token(token: Any, message: MqttMessage) -> None:
    if token is not None and not (isinstance(token, str) and message.holds_token(message.device, token)):
        raise RefusedPayload("wrong-token")


def _careful(name: str, value: Any, values: dict[str, Any], flags: list[str]) -> None:
    """A member that is no plain number: a text, a list of numbers, nothing; an object is no value."""
    if value.__class__ is dict:
        _check_depth(value, DEEPEST - 1)
        return
    if value.__class__ in (str, list) and len(value) > LONGEST_TEXT:
        raise RefusedPayload("too-large")
    try:
        values[name] = plain(value)
    except MissingField as why:
        if str(why):
            flags.append(f"{word_of(name)}:{why}")


def _check_names(members: dict[str, Any]) -> None:
    """Names are kept: by the log, and by formats that tell of each value once."""
    if len(members) > MOST_MEMBERS or max(map(len, members), default=0) > LONGEST_TEXT:
        raise RefusedPayload("too-large")


def _check_size(members: dict[str, Any]) -> None:
    _check_names(members)
    for value in members.values():
        if value.__class__ is str and len(value) > LONGEST_TEXT:
            raise RefusedPayload("too-large")
        _check_depth(value, DEEPEST - 1)


def _check_depth(value: Any, left: int) -> None:
    if value.__class__ not in (dict, list):
        return
    if not left:
        raise RefusedPayload("too-large")
    for each in value.values() if isinstance(value, dict) else value:
        _check_depth(each, left - 1)


def _outside(value: Any, thresholds: Any) -> bool:
    if value.__class__ not in (int, float) or not isinstance(thresholds, dict):
        return False
    low, high = (
        number(limit) if isinstance(limit, str) else limit for limit in (thresholds.get("min"), thresholds.get("max"))
    )
    return (low.__class__ in (int, float) and value < low) or (high.__class__ in (int, float) and value > high)


def _state_word(payload: bytes) -> str:
    """The text of a status topic: bare, quoted, true or false, or the member `state` or `status` of an object."""
    text = payload[:4096].decode("utf-8", "replace").strip()
    if text[:1] in ("{", '"'):
        found = parse_json(payload)
        if isinstance(found, dict):
            found = found.get("state", found.get("status"))
        text = found if isinstance(found, str) else ""
    return text
