"""The topics, by their key: default, what it may be filled with, and whether it is subscribed to."""

from __future__ import annotations

from typing import NamedTuple


class Topic(NamedTuple):
    """A default topic with `{placeholders}`; `needs` must stand in every override."""

    default: str
    placeholders: frozenset[str]
    subscribed: bool = False
    needs: frozenset[str] = frozenset()


_GATEWAY = frozenset(("gateway", "org"))
_DEVICE = frozenset(("gateway", "org", "device"))
_DATA = frozenset(("gateway", "org", "device", "metric"))
_ONE = frozenset(("device",))

TOPICS = {
    "data": Topic("devices/{device}/data", _DATA),
    "device_status": Topic("devices/{device}/status", _DEVICE, needs=_ONE),
    "commands": Topic("devices/{device}/commands", _DEVICE, subscribed=True, needs=_ONE),
    "responses": Topic("devices/{device}/responses", _DEVICE),
    "gateway_status": Topic("gateways/{gateway}/status", _GATEWAY),
    "gateway_events": Topic("gateways/{gateway}/events", _GATEWAY),
    "gateway_commands": Topic("gateways/{gateway}/commands", _GATEWAY, subscribed=True),
    "gateway_responses": Topic("gateways/{gateway}/responses", _GATEWAY),
    "broadcast": Topic("organizations/{org}/broadcast", _GATEWAY, subscribed=True),
    "batch": Topic("gateways/{gateway}/data", _GATEWAY),
}
