"""Topic templates by their keys (contract, section 2): defaults, those of the gateway's layout, and a broker's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from gatepost.agent.core.topic_filter import overlaps
from gatepost.agent.settings.problem import listed


class TopicDefault(NamedTuple):
    """A default topic with `{placeholders}`; `needs` must stand in every override."""

    default: str
    placeholders: frozenset[str]
    subscribed: bool = False
    needs: frozenset[str] = frozenset()


_GATEWAY = frozenset(("gateway", "org"))
_DEVICE = frozenset(("gateway", "org", "device"))
_DATA = frozenset(("gateway", "org", "device", "metric", "value", "room"))
_ONE = frozenset(("device",))

TOPICS = {
    "data": TopicDefault("devices/{device}/data", _DATA),
    "device_status": TopicDefault("devices/{device}/status", _DEVICE, needs=_ONE),
    "commands": TopicDefault("devices/{device}/commands", _DEVICE, subscribed=True, needs=_ONE),
    "responses": TopicDefault("devices/{device}/responses", _DEVICE),
    "gateway_status": TopicDefault("gateways/{gateway}/status", _GATEWAY),
    "gateway_events": TopicDefault("gateways/{gateway}/events", _GATEWAY),
    "gateway_commands": TopicDefault("gateways/{gateway}/commands", _GATEWAY, subscribed=True),
    "gateway_responses": TopicDefault("gateways/{gateway}/responses", _GATEWAY),
    "broadcast": TopicDefault("organizations/{org}/broadcast", _GATEWAY, subscribed=True),
    "batch": TopicDefault("gateways/{gateway}/data", _GATEWAY),
    "desired": TopicDefault("gateways/{gateway}/desired", _GATEWAY, subscribed=True),
    "desired_confirm": TopicDefault("gateways/{gateway}/desired/confirm", _GATEWAY, subscribed=True),
    "desired_get": TopicDefault("gateways/{gateway}/desired/get", _GATEWAY),
    "reported": TopicDefault("gateways/{gateway}/reported", _GATEWAY),
    "account": TopicDefault("gateways/{gateway}/account", _GATEWAY),
}

HEARS_ITSELF = "the gateway would hear itself; choose another topic"
DEFAULTS = {key: topic.default for key, topic in TOPICS.items()}
# Of `layout: gateway`: everything of a gateway below one root, so that an ACL can be one rule.
GATEWAY_LAYOUT: dict[str, str] = {
    key: f"gateways/{{gateway}}/{DEFAULTS[key]}" for key in ("data", "device_status", "commands", "responses")
}


def own_templates(layout: str, of_format: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What a broker has over the defaults: its layout's topics, those of its format over them, its own over both."""
    return {**(GATEWAY_LAYOUT if layout == "gateway" else {}), **of_format, **own}


def all_templates(layout: str, of_format: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Of every key of a broker, those that nothing changes included."""
    every = {**DEFAULTS, **own_templates(layout, of_format, own)}
    return {key: every[key] for key in TOPICS}


def template_fault(key: str, text: str, gateway: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with a template of one's own for this key, and what may stand there; `gateway`: its settings."""
    topic = TOPICS[key]
    used = re.findall(r"\{([^{}]*)\}", text)
    rest = re.sub(r"\{[^{}]*\}", "", text)
    unknown = [name for name in used if name not in topic.placeholders]
    if not text or len(text.encode("utf-8", "replace")) > 1024:
        return "a topic has 1 to 1024 octets", f"default: {topic.default}"
    if unknown or "{" in rest or "}" in rest:
        names = listed(f"{{{name}}}" for name in sorted(topic.placeholders))
        what = f"{{{unknown[0]}}}" if unknown else "a single brace"
        return f"{what} cannot be filled in", f"here: {names}"
    if missing := topic.needs - set(used):
        return f"{{{min(missing)}}} must stand in it", f"default: {topic.default}"
    if "org" in used and not gateway.get("organization") and key != "broadcast":
        return "{org} needs gateway.organization", "set it, or leave {org} out"
    if text.startswith("$"):
        return "a topic that starts with $ belongs to the broker", f"default: {topic.default}"
    if "+" in rest or "#" in rest:
        return "a topic has no wildcard", "leave + and # out; {device} stands for every device"
    if topic.subscribed and "device" in used and (text.split("/").count("{device}"), used.count("device")) != (1, 1):
        return "{device} must be a level of its own, once", f"default: {topic.default}"
    return None


def meeting(key: str, text: str, templates: Mapping[str, str], gateway: Mapping[str, Any]) -> str | None:
    """Key of `templates` by which the gateway would hear itself, with this text for `key`."""
    mine = _filled(text, TOPICS[key].subscribed, gateway)
    for other, template in templates.items():
        subscribed = TOPICS[other].subscribed
        if subscribed != TOPICS[key].subscribed and overlaps(mine, _filled(template, subscribed, gateway)):
            return other
    return None


def _filled(template: str, subscribed: bool, gateway: Mapping[str, Any]) -> str:
    """What is not known yet stays as it is, so that it meets itself and the wildcard of a subscription only."""
    for name, value in (("gateway", gateway.get("id")), ("org", gateway.get("organization"))):
        template = template.replace(f"{{{name}}}", value or f"{{{name}}}")
    return template.replace("{device}", "+") if subscribed else template
