"""Rules for devices that speak MQTT: where the listener listens, and that each topic has one meaning."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from itertools import combinations
from typing import Any, NamedTuple

import msgspec

from gatepost.agent.core.topic_filter import overlaps
from gatepost.agent.settings.model import split_address
from gatepost.agent.settings.problem import Path, dotted, listed, quoted, suggestion
from gatepost.agent.settings.rules.base import RuleContext, check_listening
from gatepost.agent.settings.rules.brokers import addresses
from gatepost.agent.settings.topic_templates import DEFAULTS, TOPICS, own_templates
from gatepost.agent.uplink.formats import catalogue
from gatepost.agent.uplink.formats.interface import FLEET_TOPICS, ContractFormat

DRIVER = "mqtt"
LISTENER = "listener"
PUBLISHED = tuple(key for key, topic in TOPICS.items() if not topic.subscribed)


class ClaimedTopic(NamedTuple):
    """A topic filter of a device: where it is written, and what carries it."""

    device: str
    path: Path
    topic_filter: str
    carrier: tuple[str, str]


def check_listener(rules: RuleContext) -> None:
    check_listening(rules, LISTENER, ("listen", "ws"), "0.0.0.0:8883, with tls")
    _check_apart(rules)
    claims = [claim for name in rules.section("devices") for claim in _check_device(rules, name)]
    for first, second in combinations(claims, 2):
        same = first.device != second.device and first.carrier == second.carrier
        if same and overlaps(first.topic_filter, second.topic_filter):
            message = f"devices.{first.device} has a topic that this one covers, too: {first.topic_filter}"
            rules.error(second.path, "same-topic", message, "a topic belongs to one device")
    sources: dict[str, Path] = {}  # brokers that carry devices, and where the first of them says so
    for claim in claims:
        if claim.carrier[0] != LISTENER:
            _check_loop(rules, claim)
            sources.setdefault(claim.carrier[0], ("devices", claim.device, "options", "from"))
    brokers = rules.section("brokers")
    for (name, _), (other, path) in combinations(sources.items(), 2):
        if not set(addresses(brokers.get(name) or {})).isdisjoint(addresses(brokers.get(other) or {})):
            message = f"brokers.{name} is the same broker, which has one client of this gateway for devices"
            rules.error(path, "same-client", message, f"write {name}")


def _check_apart(rules: RuleContext) -> None:
    """The API and the listener cannot share an address."""
    taken: list[tuple[str, int, Path]] = []
    for path in (("api", "listen"), (LISTENER, "listen"), (LISTENER, "ws")):
        try:
            host, port = split_address(rules.section(path[0]).get(path[1]) or "")
        except ValueError:  # none, or told already
            continue
        host = "127.0.0.1" if host.lower() == "localhost" else host
        for other, its, where in taken:
            if port == its and (host == other or _everywhere(host) or _everywhere(other)):
                message = f"{dotted(where)} listens at the same port"
                rules.warn(path, "same-address", message, "give one of them another port")
        taken.append((host, port, path))


def _everywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _check_device(rules: RuleContext, name: str) -> list[ClaimedTopic]:
    """What it claims, as far as its options are right."""
    options: Any = rules.built.get(name)
    if rules.section("devices", name).get("driver") != DRIVER or options is None:
        return []
    from gatepost.drivers.mqtt.topics import TopicPattern

    path = ("devices", name, "options")
    if options.source == LISTENER:
        listener = rules.section(LISTENER)
        if not (listener.get("listen") or listener.get("ws")) and rules.whole:
            message = "there is no listener that it could connect to"
            rules.warn(("devices", name), "no-listener", message, "add `listener: {listen: 127.0.0.1:1883}`")
        if options.via is not None:
            _check_carrier(rules, (*path, "via"), name, options.via)
    elif options.source not in rules.names("brokers") and rules.whole:
        known = rules.names("brokers")
        hint = suggestion(options.source, known, f"`listener`, or one of {listed(known)}")
        rules.error((*path, "from"), "unknown-broker", f"there is no broker {quoted(options.source)}", hint)
    carrier = (options.source, (options.via or name) if options.source == LISTENER else "")
    return [
        ClaimedTopic(name, (*path, "topics", pattern), TopicPattern(pattern, name).topic_filter, carrier)
        for pattern in options.topics
    ]


def _check_carrier(rules: RuleContext, path: Path, name: str, via: str) -> None:
    carrier: Any = rules.built.get(via)
    if via == name or via not in rules.names("devices"):
        rules.error(path, "unknown-device", f"there is no other device {quoted(via)}", "name the one that connects")
    elif rules.section("devices", via).get("driver") != DRIVER:
        rules.error(path, "bad-option", f"devices.{via} does not speak MQTT", "name the device that connects")
    elif carrier is not None and (carrier.source != LISTENER or carrier.via is not None):
        rules.error(path, "bad-option", f"devices.{via} does not connect itself", "name the device that connects")


def _check_loop(rules: RuleContext, claim: ClaimedTopic) -> None:
    """What the gateway publishes to a broker must not come back to it as a device's."""
    brokers, source = rules.section("brokers"), claim.carrier[0]
    here = set(addresses(brokers.get(source) or {}))
    for name, broker in brokers.items():
        if name == source or not here.isdisjoint(addresses(broker)):
            for what, template in published_topics(broker):
                if overlaps(claim.topic_filter, _filled(rules, template)):
                    where = what if name == source else f"brokers.{name}, {what}"
                    message = f"this gateway publishes there itself ({where}: {template}): a loop"
                    rules.error(claim.path, "topic-loop", message, "name the device's own topics")
                    return


def _filled(rules: RuleContext, template: str) -> str:
    gateway = str(rules.section("gateway").get("id", "+"))
    return "/".join(
        gateway if level == "{gateway}" else "+" if "{" in level else level for level in template.split("/")
    )


def published_topics(broker: Any) -> Iterator[tuple[str, str]]:
    """Key and template of each topic that the gateway publishes to at this broker, as far as its settings are right."""
    try:
        name = broker.get("format", catalogue.DEVICES)
        kind = ContractFormat if name == catalogue.DEVICES else catalogue.load(name)
        options = msgspec.convert(broker.get("options") or {}, kind.options_type)
        own = own_templates(broker.get("layout", ""), kind.default_topics, broker.get("topics") or {})
        topics = {**DEFAULTS, **own}
        channels = [*kind.channels(options, topics, 1)]
    except Exception:  # told already; a format of another package may fail in any way
        return
    yield from ((each.name, each.address) for each in channels if each.action == "send")
    yield from ((key, topics[key]) for key in PUBLISHED if kind is ContractFormat or key in FLEET_TOPICS)
    for rule in broker.get("routes") or []:
        if isinstance(rule, dict) and rule.get("topic") and not rule.get("drop"):
            yield "routes", rule["topic"]
