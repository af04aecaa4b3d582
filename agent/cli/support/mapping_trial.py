"""Trial of the mappings of devices that speak MQTT: what the settings make of one message; needs no agent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import orjson

from gatepost.agent.settings.model import Settings
from gatepost.drivers.mqtt.decoder import MqttDecoder
from gatepost.drivers.mqtt.message import MqttMessage
from gatepost.drivers.mqtt.options import MqttOptions
from gatepost.drivers.mqtt.topics import TopicPattern, own_topics
from gatepost.drivers.reading import Reading

MOST_PLACES = 40
DEEPEST = 8


def try_message(settings: Settings, topic: str, payload: bytes) -> list[dict[str, Any]]:
    """What each device makes of it whose topic this is: `readings`, a `status`, or why it is `refused`."""
    return list(_tried(settings, topic, payload))


def _tried(settings: Settings, topic: str, payload: bytes) -> Iterator[dict[str, Any]]:
    for name, device in settings.devices.items():
        if device.driver != "mqtt":
            continue
        given = {key: value for key, value in device.options.items() if key != "password"}  # it may be a reference
        options = msgspec.convert(given, MqttOptions)
        found = _route(name, options, topic)
        if found is None:
            continue
        kind, captures = found
        message = MqttMessage(kind, payload, name, captures, lambda device, text: True)
        readings = [item for item in MqttDecoder(options).feed(message) if isinstance(item, Reading)]
        yield {
            "device": name,
            "mapping": kind,
            "readings": [_shown(reading) for reading in readings],
            "status": message.status[0] if message.status else None,
            "refused": message.refusal or None,
            "places": _places(payload) if message.refusal else [],
        }


def _route(name: str, options: MqttOptions, topic: str) -> tuple[str, dict[str, str]] | None:
    own = own_topics(name) if options.source == "listener" else {}
    if topic in own:
        return own[topic], {}
    for pattern in options.topics:
        captures = TopicPattern(pattern, name).match(topic)
        if captures is not None:
            return pattern, captures
    return None


def _shown(reading: Reading) -> dict[str, Any]:
    return {
        "metric_type": reading.metric,
        **reading.values,
        "units": reading.units,
        "flags": list(reading.flags),
        "device_timestamp": reading.device_time,
    }


def _places(payload: bytes) -> list[str]:
    """JSON pointers to the values of a message, for `fields`."""
    try:
        found = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return []
    return list(dict.fromkeys(_pointers(found, "", 0)))[:MOST_PLACES]


def _pointers(value: Any, place: str, depth: int) -> Iterator[str]:
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _pointers(member, f"{place}/{name.replace('~', '~0').replace('/', '~1')}", depth + 1)
    elif isinstance(value, list):
        for at, member in enumerate(value):
            yield from _pointers(member, f"{place}/{at}", depth + 1)
    elif place:
        yield place
