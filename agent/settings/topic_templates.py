"""Topic templates by their keys (contract, section 2): defaults, those of the gateway's layout, and a broker's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


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

DEFAULTS = {key: topic.default for key, topic in TOPICS.items()}
# Of `layout: gateway`: everything of a gateway below one root, so that an ACL can be one rule.
GATEWAY_LAYOUT: dict[str, str] = {
    key: f"gateways/{{gateway}}/{DEFAULTS[key]}" for key in ("data", "device_status", "commands", "responses")
}


def own_templates(layout: str, of_format: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """What a broker has over the defaults: its layout's topics, those of its format over them, its own over both."""
    return {**(GATEWAY_LAYOUT if layout == "gateway" else {}), **of_format, **own}
