"""Allowed keys: what a pattern covers, and what none can."""

from __future__ import annotations

import pytest

from gatepost.agent.settings.allowed_keys import refused_keys
from gatepost.agent.settings.model import FLEET_ALLOW

DEVICE = {"devices": {"a.b": {"every": "5s", "options": {"format": "json"}}}}


@pytest.mark.parametrize(
    ("settings", "allow", "refused"),
    [
        (DEVICE, FLEET_ALLOW, []),
        ({"devices": {}, "brokers": {"a": {}}}, FLEET_ALLOW, []),
        ({"devices": None}, FLEET_ALLOW, ["devices"]),
        ({"devices": {"a": None}}, FLEET_ALLOW, []),
        ({"devices": []}, FLEET_ALLOW, ["devices"]),
        ({"brokers": {"a": {"routes": [{"devices": ["x"]}], "batch": {"readings": 5}}}}, FLEET_ALLOW, []),
        ({"brokers": {"a": {"url": "mqtt://x", "window": 5}}}, FLEET_ALLOW, ["brokers.a.url"]),
        ({"brokers": {"a": None}}, FLEET_ALLOW, ["brokers.a"]),
        ({"brokers": {"a": {"batch": None}}}, FLEET_ALLOW, []),
        ({"logging": {"level": "info", "format": "json"}}, FLEET_ALLOW, ["logging.format"]),
        ({"logging": {}}, FLEET_ALLOW, []),
        ({"bluetooth": {}}, FLEET_ALLOW, ["bluetooth"]),
        ({"brokers": {"a.routes": {"url": "mqtt://x"}}}, ["brokers.a.routes"], ["brokers.a.routes.url"]),
        ({"brokers": {"a": None, "a.routes": None}}, ["brokers.a.routes"], ["brokers.a", "brokers.a.routes"]),
        ({"gateway": {"id": "x"}}, ['"gateway".id', '"gateway.id"'], ["gateway.id"]),
        (DEVICE, ["devices.a.b.every"], ["devices.a.b.every", "devices.a.b.options.format"]),
        (DEVICE, ['devices."a.b'], ["devices.a.b.every", "devices.a.b.options.format"]),
        (DEVICE, ['devices."a.b".every'], ["devices.a.b.options.format"]),
        (DEVICE, ["devices.*.options"], ["devices.a.b.every"]),
        (DEVICE, ["devices.a.*"], ["devices.a.b.every", "devices.a.b.options.format"]),
        (DEVICE, ['devices."a.b".*'], []),
        (DEVICE, [], ["devices.a.b.every", "devices.a.b.options.format"]),
        ({"gateway": {"id": "x"}, "fleet": {"keys": []}}, ["gateway.*", "fleet", "*"], ["gateway.id", "fleet.keys"]),
        ({"": {"": 1}}, ["*", ""], ["."]),
    ],
)
def test_what_may_be_set(settings: dict[str, object], allow: list[str], refused: list[str]) -> None:
    assert [".".join(key) for key in refused_keys(settings, allow)] == refused
