"""`gatepost formats`: the payload formats that brokers can be given, and their messages without a broker."""

from __future__ import annotations

from textwrap import indent
from typing import Annotated, Any

import orjson
import typer

from gatepost.agent.cli.support.agent_access import Json, new
from gatepost.agent.cli.support.option_help import options
from gatepost.agent.cli.support.output import say, say_as_is, say_json, table
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import OutgoingMessage, PayloadFormat

SAMPLE = {
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

verb = new()


@verb.command("formats")
def show(
    name: Annotated[str | None, typer.Argument(help="Explain this one.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Print the messages of a blood pressure reading.")] = False,
    json: Json = False,
) -> None:
    """List the payload formats, or explain one.

    Options, topics, and with --sample the messages of a reading.

    Needs no agent and no broker.

    \b
    Example:
      gatepost formats homeassistant --sample
    """
    if name is None:
        rows = [(each, _summary(each)) for each in catalogue.names()]
        if json:
            say_json({"formats": [{"name": each, "summary": summary} for each, summary in rows]})
        else:
            table(("format", "for"), rows, below=("for",))
        return
    explained = _explained(name)
    if sample:
        explained["sample"] = _sample(name)
    if json:
        say_json(explained)
    else:
        _print(explained)


def _summary(name: str) -> str:
    return catalogue.DEVICES_SUMMARY if name == catalogue.DEVICES else catalogue.load(name).summary


def _explained(name: str) -> dict[str, Any]:
    if name == catalogue.DEVICES:
        return {"name": name, "summary": catalogue.DEVICES_SUMMARY, "batches": True, "waveforms": True, "options": []}
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
    if name == catalogue.DEVICES:
        return [{"topic": "devices/cuff-3/data", "qos": 1, "retain": False, "payload": SAMPLE}]
    from gatepost.agent.uplink.format_kit import play

    broker: dict[str, Any] = {"format": name, "qos": 1, "options": {}}
    if name == "datastream":
        broker["options"] = {"telemetry": {"systolic": 11, "diastolic": 12}}
    settings = {
        "gateway": {"id": SAMPLE["gateway_id"]},
        "version": "1.0.0",
        "broker": broker,
        "devices": {"cuff-3": {"driver": "ble-blood-pressure", "commands": ["read_now"]}},
    }
    steps = [{"connected": True, "at": SAMPLE["timestamp"]}, {"reading": SAMPLE, "at": SAMPLE["timestamp"]}]
    kind: type[PayloadFormat] = catalogue.load(name)
    will, messages = play(kind, {"settings": settings, "steps": steps})
    return [_shown(message) for message in ([will] if will else []) + messages]


def _shown(message: OutgoingMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {"topic": message.topic, "qos": message.qos, "retain": message.retain}
    try:
        shown["payload"] = orjson.loads(message.payload)
    except orjson.JSONDecodeError:
        shown["hex"] = message.payload.hex()
    return shown


def _print(explained: dict[str, Any]) -> None:
    say(f"{explained['name']}: {explained['summary']}")
    say(f"batches: {'yes' if explained['batches'] else 'no'}; waveforms: {'yes' if explained['waveforms'] else 'no'}")
    for key, topic in explained.get("topics", {}).items():
        say(f"topic {key}: {topic}")
    rows = [(one["name"], one["type"], one["default"], one["description"]) for one in explained["options"]]
    if rows:
        say()
        table(("option", "type", "default", "what"), rows, below=("what",))
    for message in explained.get("sample", ()):
        say()
        say_as_is(f"{message['topic']}  QoS {message['qos']}{'  retained' if message['retain'] else ''}")
        if "hex" in message:
            say_as_is(f"  {message['hex']}")
        else:
            text = orjson.dumps(message["payload"], option=orjson.OPT_INDENT_2).decode()
            say_as_is(indent(text, "  "))
