"""`gatepost formats`: the payload formats that brokers can be given, and their messages without a broker."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import Annotated, Any

import orjson
import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, configured_device, load_settings, valid_settings
from gatepost.agent.cli.support.option_help import options
from gatepost.agent.cli.support.output import say, say_as_is, say_json, table
from gatepost.agent.cli.support.sample_reading import sample_commands, sample_reading
from gatepost.agent.commands.authorization import permitted
from gatepost.agent.core.errors import NotFound
from gatepost.agent.device_profiles import set_limits
from gatepost.agent.settings.problem import perhaps
from gatepost.agent.settings.topic_templates import DEFAULTS, own_templates
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import OutgoingMessage, PayloadFormat
from gatepost.agent.uplink.topics import BrokerTopics
from gatepost.drivers.installed import version

SAMPLE: dict[str, Any] = {
    "id": "my-gateway:6f2c9a1b:1042",
    "schema": 1,
    "gateway_id": "my-gateway",
    "device_id": "cuff-3",
    "metric_type": "blood_pressure",
    "systolic": 120,
    "diastolic": 80,
    "heart_rate": 72,
    "units": {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "heart_rate": "/min"},
    "timestamp": "2026-11-20T10:30:00.123456Z",
    "clock": "synchronised",
    "urgent": False,
    "replayed": False,
    "quality": "good",
    "flags": [],
}


def formats_verb(
    name: Annotated[str | None, typer.Argument(help="Explain only this one.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Print the messages of a reading.")] = False,
    device: Annotated[str | None, typer.Option("--device", "-d", help="With --sample: a configured device.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the payload formats, or explain one.

    Options, topics, and with --sample the messages of a reading, as the settings have the device, and the broker with
    this format where there is one: of the device that is named, else of the first one; without settings of a blood
    pressure monitor.

    Needs no agent and no broker.

    \b
    Example:
      gatepost formats homeassistant --sample --device cuff-3
    """
    if name is None:
        rows = [(each, _summary(each)) for each in catalogue.names()]
        if json:
            say_json({"formats": [{"name": each, "summary": summary} for each, summary in rows]})
        else:
            table(("format", "for"), rows, below=("for",))
        return
    if name not in catalogue.names():
        hint = perhaps(name, catalogue.names()) or "`gatepost formats` lists them"
        raise NotFound(f"there is no format {name}", hint)
    explained = _explained(name)
    if sample:
        where = config or default_config()
        shown = device or _first_device(name, where)
        explained["sample"] = _sample(name) if shown is None else _configured(name, shown, where)
    if json:
        say_json(explained)
    else:
        _print(explained)


def _summary(name: str) -> str:
    return catalogue.DEVICES_SUMMARY if name == catalogue.DEVICES else catalogue.load(name).summary


def _explained(name: str) -> dict[str, Any]:
    if name == catalogue.DEVICES:
        told: dict[str, Any] = {"name": name, "summary": catalogue.DEVICES_SUMMARY, "batches": True, "waveforms": True}
        return {**told, "topics": {"batch": DEFAULTS["batch"], "data": DEFAULTS["data"]}, "options": []}
    kind = catalogue.load(name)
    return {
        "name": name,
        "summary": kind.summary,
        "batches": kind.batches,
        "waveforms": kind.waveforms,
        "topics": {
            key: kind.default_topics.get(key, "") for key in sorted(kind.topic_keys) if key in kind.default_topics
        },
        "options": options(kind.options_type),
    }


def _sample(name: str) -> list[dict[str, Any]]:
    """The messages of connecting and of one reading, decoded where they are text."""
    broker: dict[str, Any] = {"format": name, "qos": 1, "options": {}}
    if name == "datastream":
        broker["options"] = {"telemetry": {"systolic": 11, "diastolic": 12}}
    profile = {"driver": "ble-blood-pressure", "commands": ["read_now"]}
    return _played(name, broker, profile, SAMPLE)


def _first_device(name: str, config: Path) -> str | None:
    """The first device of the settings, best one that reports to a broker with this format."""
    settings = load_settings(config).settings if config.exists() else None
    if settings is None:
        return None
    brokers = {each for each, broker in settings.brokers.items() if broker.format == name}
    devices = settings.devices
    there = [each for each, one in devices.items() if one.brokers is None or brokers.intersection(one.brokers)]
    return next(iter([*(there if brokers else ()), *devices]), None)


def _configured(name: str, device: str, config: Path) -> list[dict[str, Any]]:
    """As `_sample`, of a device of the settings, and for the first broker that has the format."""
    settings = valid_settings(config)
    one = configured_device(settings, device)
    broker: dict[str, Any] = {"format": name, "qos": 1, "options": {}}
    for each in settings.brokers.values():
        if each.format == name:
            defaults = {} if name == catalogue.DEVICES else catalogue.load(name).default_topics
            topics = own_templates(each.layout, defaults, each.topics)
            broker = {"format": name, "qos": each.qos, "options": dict(each.options), "topics": topics}
            break
    common = {key: value for key, value in SAMPLE.items() if key not in SAMPLE["units"]}
    reading = {**common, "gateway_id": settings.gateway.id, "device_id": device, **sample_reading(one)}
    reading["id"] = f"{settings.gateway.id}:6f2c9a1b:1042"
    if name == "datastream" and "topics" not in broker:  # no broker says which id a value has
        broker["options"] = {"telemetry": {value: number for number, value in enumerate(reading["units"], 11)}}
    if one.patient:
        reading["patient_id"] = one.patient
    profile: dict[str, Any] = {"driver": one.driver, "name": one.label or "", "address": one.address}
    profile["thresholds"] = {value: set_limits(limits) for value, limits in (one.thresholds or {}).items()}
    if one.room:
        profile["room"] = one.room
    if one.token:
        profile["token"] = "(the token)"  # noqa: S105  # a sample says no secret
    if not one.token and not settings.commands.signing.required:
        allowed = sample_commands(one.driver, lambda command: permitted(settings.commands.allow, device, command))
        profile |= {"commands": list(allowed), "parameters": allowed}
    return _played(name, broker, profile, reading)


def _played(
    name: str, broker: dict[str, Any], profile: dict[str, Any], reading: dict[str, Any]
) -> list[dict[str, Any]]:
    if name == catalogue.DEVICES:
        rooms = {reading["device_id"]: profile.get("room", "")}
        topics = BrokerTopics(broker.get("topics", {}), reading["gateway_id"], None, rooms)
        topic = topics("data", reading["device_id"], reading["metric_type"])
        return [{"topic": topic, "qos": broker["qos"], "retain": False, "payload": reading}]
    from gatepost.agent.uplink.format_kit import play

    settings = {
        "gateway": {"id": reading["gateway_id"]},
        "version": version("gatepost") or "0",
        "broker": broker,
        "devices": {reading["device_id"]: profile},
    }
    steps: list[dict[str, Any]] = [{"connected": True}, {"reading": reading}]
    host = broker["options"].get("primary_host")
    if host:  # or nothing would be said
        online = {"online": True, "timestamp": 0}
        steps.insert(1, {"incoming": {"topic": f"spBv1.0/STATE/{host}", "payload": online}})
    steps = [{**step, "at": reading["timestamp"]} for step in steps]
    kind: type[PayloadFormat] = catalogue.load(name)
    will, messages = play(kind, {"settings": settings, "steps": steps})
    return [_shown(message) for message in ([will] if will else []) + messages]


def _shown(message: OutgoingMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {"topic": message.topic, "qos": message.qos, "retain": message.retain}
    try:
        shown["payload"] = orjson.loads(message.payload)
    except orjson.JSONDecodeError:
        shown["hex"] = message.payload.hex()
        if message.topic.startswith("spBv1.0/"):
            shown["metrics"] = _metrics(message.payload)
    return shown


def _metrics(payload: bytes) -> dict[str, Any]:
    """Names and values of a Sparkplug payload."""
    from gatepost.agent.uplink.formats.sparkplug_payload import decode_payload

    _, metrics = decode_payload(payload) or (None, [])
    return {str(each.alias) if each.name is None else each.name: each.value for each in metrics}


def _written(default: Any) -> str | None:
    """As one writes it in the settings."""
    return default if default is None or isinstance(default, str) else orjson.dumps(default).decode()


def _print(explained: dict[str, Any]) -> None:
    say(f"{explained['name']}: {explained['summary']}")
    say(f"batches: {'yes' if explained['batches'] else 'no'}; waveforms: {'yes' if explained['waveforms'] else 'no'}")
    for key, topic in explained.get("topics", {}).items():
        say(f"topic {key}: {topic}")
    rows = [(one["name"], one["type"], _written(one["default"]), one["description"]) for one in explained["options"]]
    if rows:
        say()
        table(("option", "type", "default", "what"), rows, below=("what",))
    if "sample" not in explained:
        say()
        say(f"`gatepost formats {explained['name']} --sample` prints the messages of a reading")
    for message in explained.get("sample", ()):
        say()
        say_as_is(f"{message['topic']}  QoS {message['qos']}{'  retained' if message['retain'] else ''}")
        if "hex" in message:
            say_as_is(f"  {message['hex']}")
        readable = message.get("payload", message.get("metrics"))
        if readable is not None:
            text = orjson.dumps(readable, option=orjson.OPT_INDENT_2).decode()
            say_as_is(indent(text, "  "))
