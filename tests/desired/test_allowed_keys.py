"""Allowed keys: what a pattern covers, and what none can."""

from __future__ import annotations

import pytest

from gatepost.agent.settings.allowed_keys import levels_of, refused_keys
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
        ({"devices": {"a": {}, "c": {}}}, ["devices.a.every"], ["devices.c"]),
        (DEVICE, ["devices.*.every", 'devices."a.b".options.format'], []),
        (DEVICE, [], ["devices.a.b.every", "devices.a.b.options.format"]),
        ({"gateway": {"id": "x"}, "fleet": {"keys": []}}, ["gateway.*", "fleet", "*"], ["gateway.id", "fleet.keys"]),
        ({"": {"": 1}}, ["*", ""], ["."]),
    ],
)
def test_what_may_be_set(settings: dict[str, object], allow: list[str], refused: list[str]) -> None:
    assert [".".join(key) for key in refused_keys(settings, allow)] == refused


def test_a_pattern_is_read_once_however_long_it_is() -> None:
    assert levels_of("a." * 200_000) == ["a"] * 200_000 + [""]
    assert levels_of('devices."a.b".x."c"d.e"') == ["devices", "a.b", "x", '"c"d', 'e"']
    assert levels_of("") == [""]
