"""Rules for payload formats: the format of a broker, its options, topics, batches, and what it will not carry."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect as types

from gatepost.agent.core.errors import NotFound
from gatepost.agent.settings.model import RouteRule, is_loopback
from gatepost.agent.settings.problem import Path, quoted, suggestion
from gatepost.agent.settings.route_rules import may_send
from gatepost.agent.settings.rules.base import RuleContext
from gatepost.agent.settings.topic_templates import HEARS_ITSELF, all_templates, meeting, template_fault
from gatepost.agent.settings.yaml.nodes import MapNode
from gatepost.agent.settings.yaml.scalars import WRONG
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import ContractFormat, DeviceProfile, PayloadFormat

EXPLAINED = "`gatepost formats NAME` explains the options"
WAVEFORM_METRICS = frozenset({"ecg", "acceleration"})
NAME_PATIENTS = frozenset({"devices", "homeassistant", "fhir", "scalar"})  # formats whose readings do


def format_of(rules: RuleContext, path: Path) -> type[PayloadFormat] | None:
    """The format of a broker; None when it is reported."""
    name = rules.section(*path).get("format", catalogue.DEVICES)
    if name == catalogue.DEVICES:
        return ContractFormat
    try:
        return catalogue.load(name)
    except NotFound:
        hint = suggestion(name, catalogue.names(), f"known: {', '.join(catalogue.names())}")
        rules.error((*path, "format"), "unknown-format", f"there is no format {quoted(name)}", hint)
    except Exception as error:  # a format of another package may fail in any way
        message = f"the format {name} cannot be loaded: {type(error).__name__}: {error}"
        rules.error((*path, "format"), "format-broken", message, "reinstall the package that brings it")
    return None


def check_format(rules: RuleContext, path: Path, written: MapNode | None) -> None:
    """`written`: the options as they stand in the files."""
    kind = format_of(rules, path)
    if kind is None:
        return
    options = _options(rules, path, kind, written)
    _check_batch(rules, path, kind)
    _check_session(rules, path, kind)
    _check_data_topic(rules, path, kind, options)
    _check_routes(rules, path, kind)
    _check_retained(rules, path, kind, options)
    if options is not None:
        for key, message, hint in kind.warnings(options, _profiles(rules, path)):
            rules.warn((*path, *key.split(".")), "format-limit", message, hint)
        _check_tokens(rules, path, kind, options)
    if not carries_waveforms(kind, options):
        for name, driver in rules.drivers.items():
            curves = sorted(set(driver.metrics) & WAVEFORM_METRICS)
            if curves and _reports(rules, name, path[1]):
                message = f"format {kind.name} carries no waveforms: {curves[0]} of {name} is not sent"
                hint = "give the waveforms to another broker"
                if kind.waveforms:
                    message = f"{curves[0]} of {name} is not sent without options.waveforms"
                    hint = f"options: {{waveforms: true}}, or {hint}"
                rules.warn((*path, "format"), "format-limit", message, hint)
                break


def carries_waveforms(kind: type[PayloadFormat], options: Any) -> bool:
    """Some formats do only where their option `waveforms` says so."""
    return kind.waveforms and bool(getattr(options, "waveforms", True))


def _check_tokens(rules: RuleContext, path: Path, kind: type[PayloadFormat], options: Any) -> None:
    """Tokens of devices that stand in the messages of format `datastream`."""
    if kind.name != "datastream" or not options.token:
        return
    parts = urlsplit(str(rules.section(*path).get("url", "")))
    devices = rules.section("devices")
    shown = any(_reports(rules, name, path[1]) and devices[name].get("token") for name in devices)
    if shown and parts.scheme in ("mqtt", "ws") and not is_loopback(parts.hostname or ""):
        message = "the tokens of devices stand in the messages, which go without TLS"
        rules.warn((*path, "options", "token"), "plain-token", message, "mqtts:// or wss://, or token: false")


def _options(
    rules: RuleContext, path: Path, kind: type[PayloadFormat], written: MapNode | None
) -> msgspec.Struct | None:
    here = (*path, "options")
    before = len(rules.report.problems)
    tree = written or MapNode({}, rules.where(path))
    values = rules.checker.check(tree, types.type_info(kind.options_type), here)
    if written is None:
        rules.checker.origins.pop(here, None)
    if values is WRONG or len(rules.report.problems) > before:
        return None
    try:
        options = msgspec.convert(values, kind.options_type)
    except msgspec.ValidationError as error:
        message, _, spot = str(error).partition(" - at `$")
        inner = tuple(part for part in spot.rstrip("`").split(".") if part)
        rules.error((*here, *inner), "bad-option", message, EXPLAINED)
        return None
    if written is not None:
        rules.section(*path)["options"] = values
    return options


def _check_session(rules: RuleContext, path: Path, kind: type[PayloadFormat]) -> None:
    broker = rules.section(*path)
    if broker.get("session", "clean") != "kept":
        return
    here = (*path, "session")
    rules_qos = [route.get("qos") for route in broker.get("routes") or [] if isinstance(route, dict)]
    if 2 in (broker.get("qos", 1), *rules_qos):
        # A message that is sent anew would meet the broker's memory of the old packet id, and be taken for a repeat.
        message = "a session cannot be kept where readings go at QoS 2"
        rules.error(here, "bad-session", message, "write session: clean, or QoS 1")
    elif kind.name == "sparkplug":
        rules.error(here, "bad-session", "Sparkplug prescribes a clean session", "write session: clean")


def _check_batch(rules: RuleContext, path: Path, kind: type[PayloadFormat]) -> None:
    batch = rules.section(*path, "batch")
    here = (*path, "batch")
    several = batch.get("readings", 1) > 1
    if several and not kind.batches:
        hint = "write 1, or choose devices, senml, thingsboard or sparkplug"
        rules.warn((*here, "readings"), "no-effect", f"format {kind.name} sends each reading by itself", hint)
    if batch.get("compress", "none") != "none" and (kind is not ContractFormat or not several):
        message = "has an effect on batches of format devices only"
        rules.warn((*here, "compress"), "no-effect", message, "write none")
    if batch.get("delay", 0) > 0 and not (several and kind.batches):
        rules.warn((*here, "delay"), "no-effect", "has no effect without batches", "remove it")


def _check_data_topic(rules: RuleContext, path: Path, kind: type[PayloadFormat], options: Any) -> None:
    """Topic of readings that are told apart by their topic only."""
    needed: tuple[str, ...] = ()
    if kind.name == "homeassistant":
        needed = ("device", "metric")
    elif kind.name == "scalar" and options is not None and (options.payload == "bare" or options.retain):
        needed = ("device", "metric", "value")
    text = rules.section(*path, "topics").get("data")
    missing = [f"{{{name}}}" for name in needed if isinstance(text, str) and f"{{{name}}}" not in text]
    if missing:
        message = f"without {missing[0]} readings take each other's place on the topic"
        rules.warn((*path, "topics", "data"), "format-limit", message, f"default: {kind.default_topics['data']}")


def _check_routes(rules: RuleContext, path: Path, kind: type[PayloadFormat]) -> None:
    broker, gateway = rules.section(*path), rules.section("gateway")
    templates = all_templates(broker.get("layout", ""), kind.default_topics, rules.section(*path, "topics"))
    for index, route in enumerate(broker.get("routes") or []):
        here = (*path, "routes", str(index))
        for key in ("qos", "retain") if kind.reading_qos is not None and isinstance(route, dict) else ():
            if route.get(key) is not None:
                rules.warn((*here, key), "no-effect", f"format {kind.name} fixes QoS and retain", f"remove {key}")
        topic = route.get("topic") if isinstance(route, dict) else None
        if topic is None:
            continue
        if "data" not in kind.topic_keys or kind.name == "homeassistant":
            message = f"format {kind.name} fixes the topics of readings"
            rules.error((*here, "topic"), "bad-topic", message, "remove the topic")
            continue
        if wrong := template_fault("data", topic, gateway):
            rules.error((*here, "topic"), "bad-topic", *wrong)
        elif not route.get("drop") and (other := meeting("data", topic, templates, gateway)):
            rules.error((*here, "topic"), "bad-topic", f"the same topic as {other}", HEARS_ITSELF)


def _check_retained(rules: RuleContext, path: Path, kind: type[PayloadFormat], options: Any) -> None:
    """Rules that leave readings with a patient's reference at the broker."""
    bare = kind.name == "scalar" and options is not None and options.payload == "bare"
    if kind.name not in NAME_PATIENTS or bare:
        return
    if not any(profile.has_patient for profile in _profiles(rules, path).values()):
        return
    for index, route in enumerate(rules.section(*path).get("routes") or []):
        if isinstance(route, dict) and route.get("retain") and not route.get("drop"):
            message = "the last readings, patient references included, stay at the broker"
            rules.warn((*path, "routes", str(index), "retain"), "format-limit", message, "retain: false")


def _profiles(rules: RuleContext, path: Path) -> dict[str, DeviceProfile]:
    devices = rules.section("devices")
    return {
        name: DeviceProfile(
            str(device.get("driver", "")),
            device.get("label") or "",
            has_patient=bool(device.get("patient")),
            values=tuple(rules.drivers[name].value_names(rules.built.get(name))) if name in rules.drivers else (),
        )
        for name, device in devices.items()
        if isinstance(device, dict) and _reports(rules, name, path[1]) and _routed(rules, name, path[1])
    }


def _routed(rules: RuleContext, device: str, broker: str) -> bool:
    """Whether any of its readings may reach the broker, as far as the routes are right."""
    routes = []
    for route in rules.section("brokers", broker).get("routes") or []:
        with suppress(msgspec.ValidationError):
            routes.append(msgspec.convert(route, RouteRule))
    return may_send(routes, device, rules.section("devices", device).get("room") or "")


def _reports(rules: RuleContext, device: str, broker: str) -> bool:
    named: Any = rules.section("devices", device).get("brokers")
    return named is None or broker in named
