"""AsyncAPI 3.0 document of the configured brokers: servers, topics, payloads, both directions seen from the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gatepost.agent.settings.model import BrokerSettings, Settings, client_id_of
from gatepost.agent.settings.topic_templates import DEFAULTS, own_templates
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import (
    COMMAND_SCHEMA,
    JSON,
    READING_SCHEMA,
    ContractFormat,
    FormatChannel,
    PayloadFormat,
)
from gatepost.agent.uplink.mqtt.endpoint import PORTS

MQTT_BINDING = "0.2.0"
BATCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["gateway_id", "schema", "readings"],
    "properties": {
        "gateway_id": {"type": "string"},
        "schema": {"type": "integer"},
        "readings": {"type": "array", "items": READING_SCHEMA},
    },
}
MEANINGS = {
    "gateway": "id of the gateway",
    "device": "id of the device",
    "metric": "metric type",
    "value": "name of the value",
    "room": "room of the device",
    "org": "organization",
    "object_id": "gateway and device, as Home Assistant takes ids",
    "request": "number of the request",
}


def document(settings: Settings, version: str) -> dict[str, Any]:
    """One server for each broker; channels are named `<broker>_<name>`."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    servers = _identifiers(settings.brokers)
    described = {name: _channels(settings, name) for name in settings.brokers}
    for name in settings.brokers:
        server = servers[name]
        for channel in described[name]:
            key = f"{server}_{channel.name}"
            channels[key] = _channel(server, key, channel)
            operations[key] = _operation(key, channel)
            messages[key] = _message(channel)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Gatepost {settings.gateway.id}",
            "version": version,
            "description": "Topics and payloads of this gateway; `send` and `receive` are seen from the gateway.",
        },
        "defaultContentType": "application/json",
        "servers": {
            servers[name]: _server(broker, settings.gateway.id, described[name])
            for name, broker in settings.brokers.items()
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _identifiers(names: Iterable[str]) -> dict[str, str]:
    """Names of brokers as AsyncAPI takes keys: letters, digits, `_` and `-`; none of them twice."""
    found: dict[str, str] = {}
    for name in names:
        plain = identifier = re.sub(r"[^A-Za-z0-9_-]", "_", name)
        number = 2
        while identifier in found.values():
            identifier, number = f"{plain}-{number}", number + 1
        found[name] = identifier
    return found


def _channels(settings: Settings, name: str) -> list[FormatChannel]:
    broker = settings.brokers[name]
    kind: type[PayloadFormat] = ContractFormat
    if broker.format != catalogue.DEVICES:
        kind = catalogue.load(broker.format)
    options = msgspec.convert(broker.options, kind.options_type)
    topics: Mapping[str, str] = {**DEFAULTS, **own_templates(broker.layout, kind.default_topics, broker.topics)}
    channels = list(kind.channels(options, topics, broker.qos))
    channels += _other_ways(broker, topics, next((each for each in channels if each.name == "data"), None))
    if settings.gateway.organization and kind.contract_commands:
        title = "A command for every gateway of the organization"
        channels.append(
            FormatChannel("broadcast", topics["broadcast"], "receive", title, 1, False, JSON, COMMAND_SCHEMA, True)
        )
    if not broker.commands:
        channels = [each for each in channels if not each.command]
    elif kind.contract_commands:
        qos = broker.command_qos
        channels = [each._replace(qos=qos) if each.command and each.action == "receive" else each for each in channels]
    if settings.fleet.broker == name:
        channels += _fleet_channels(topics, broker.command_qos)
    return channels


def _other_ways(
    broker: BrokerSettings, topics: Mapping[str, str], data: FormatChannel | None
) -> Iterator[FormatChannel]:
    """Readings in batches, and those that a rule of the routes sends to a topic of its own."""
    if data is None:
        return
    batch = broker.batch
    if batch.readings > 1 and broker.format == catalogue.DEVICES:
        kind, schema = (JSON, BATCH_SCHEMA) if batch.compress == "none" else (f"{JSON}+{batch.compress}", {})
        yield FormatChannel("batch", topics["batch"], "send", "Readings in a batch", broker.qos, False, kind, schema)
    for number, rule in enumerate(broker.routes):
        if rule.topic is not None and not rule.drop:
            qos = data.qos if rule.qos is None else rule.qos
            retain = data.retain if rule.retain is None else rule.retain
            yield data._replace(name=f"data_{number}", address=rule.topic, qos=qos, retain=retain)


def _fleet_channels(topics: Mapping[str, str], command_qos: int) -> Iterator[FormatChannel]:
    """Desired state and accounts (docs/fleet.md)."""
    for key, action, title, retain, members in (
        ("desired", "receive", "Desired state, signed", False, "schema:integer payload key_id signature"),
        ("desired_confirm", "receive", "Confirmation of a version that waits for one", False, "version:integer"),
        ("desired_get", "send", "Question for a newer version", False, "have:integer hash"),
        ("reported", "send", "Report on a version", True,
         "gateway_id version:integer|null status previous:integer hash"),
        ("account", "send", "Account of acknowledged readings of one start", False,
         "gateway_id epoch broker from_seq:integer upto_seq:integer sent:integer skipped:integer gaps:integer "
         "owed:integer"),
    ):  # fmt: skip
        parts = [member.partition(":") for member in members.split()]
        kinds = {name: kind.split("|") if "|" in kind else kind or "string" for name, _, kind in parts}
        properties = {name: {"type": kind} for name, kind in kinds.items()}
        schema = {"type": "object", "required": list(properties), "properties": properties}
        qos = 1 if action == "send" else command_qos
        yield FormatChannel(key, topics[key], action, title, qos, retain, schema=schema)


def _server(broker: BrokerSettings, gateway: str, channels: Iterable[FormatChannel]) -> dict[str, Any]:
    binding: dict[str, Any] = {
        "clientId": client_id_of(broker, gateway),
        "cleanSession": broker.session == "clean",
        "keepAlive": round(broker.keepalive),
        "bindingVersion": MQTT_BINDING,
    }
    for each in channels:
        if each.will:
            topic = each.address.replace("{gateway}", gateway)
            binding["lastWill"] = {"topic": topic, "qos": each.qos, "retain": each.retain, "message": each.title}
    parts = urlsplit(broker.url)
    port = parts.port or PORTS.get(parts.scheme, 1883)
    server: dict[str, Any] = {
        "host": f"{parts.hostname}:{port}",
        "protocol": parts.scheme,
        "description": f"format {broker.format}",
        "bindings": {"mqtt": binding},
    }
    if broker.protocol != "auto":
        server["protocolVersion"] = broker.protocol
    return server


def _channel(server: str, key: str, channel: FormatChannel) -> dict[str, Any]:
    names = dict.fromkeys(re.findall(r"{(\w+)}", channel.address))
    described: dict[str, Any] = {
        "address": channel.address,
        "title": channel.title,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {"message": {"$ref": f"#/components/messages/{key}"}},
    }
    if names:
        described["parameters"] = {name: {"description": MEANINGS.get(name, name)} for name in names}
    return described


def _operation(key: str, channel: FormatChannel) -> dict[str, Any]:
    binding = {"qos": int(channel.qos), "retain": channel.retain, "bindingVersion": MQTT_BINDING}
    return {
        "action": channel.action,
        "title": channel.title,
        "channel": {"$ref": f"#/channels/{key}"},
        "bindings": {"mqtt": binding},
    }


def _message(channel: FormatChannel) -> dict[str, Any]:
    message: dict[str, Any] = {"title": channel.title, "contentType": channel.content_type}
    if channel.schema:
        message["payload"] = dict(channel.schema)
    return message
