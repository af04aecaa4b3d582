"""docs/mqtt-devices.md: its settings are right, and what the devices on the page say becomes what it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import yaml

from gatepost.agent.settings import load as load_settings
from gatepost.drivers.driver import Registry
from gatepost.drivers.mqtt.driver import MqttDevice
from gatepost.drivers.mqtt.message import MqttMessage
from gatepost.drivers.mqtt.options import MqttOptions
from gatepost.drivers.mqtt.topics import TopicPattern
from gatepost.drivers.reading import Reading

PAGE = (Path(__file__).parents[3] / "docs" / "mqtt-devices.md").read_text("utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
TOPICS: dict[str, Any] = {}
for block in BLOCKS:
    for device in block.get("devices", {"shelly": {"options": {"topics": block.get("topics", {})}}}).values():
        TOPICS |= device.get("options", {}).get("topics", {})


@pytest.mark.parametrize("block", [each for each in BLOCKS if "devices" in each])
def test_settings_on_the_page_are_right(tmp_path: Path, block: dict[str, Any]) -> None:
    settings = tmp_path / "gatepost.yaml"
    settings.write_text(yaml.safe_dump({"listener": {"listen": "127.0.0.1:1883"}, **block}), "utf-8")
    loaded = load_settings(settings, {}, Registry.installed())
    assert [str(each) for each in loaded.problems if each.severity == "error" and "tls" not in each.path] == []


@pytest.mark.parametrize(
    ("topic", "payload", "wanted"),
    [
        (
            "tele/plug-3/SENSOR",
            {"Time": "2026-11-20T10:29:58", "AM2301": {"Temperature": 21.4, "Humidity": 46.2}, "TempUnit": "C"},
            {"temperature": (21.4, "Cel"), "humidity": (46.2, "%")},
        ),
        ("lab/pressure/state", 1013.25, {"pressure": (1013.25, None)}),
        ("plug-3/status/temperature:0", {"id": 0, "tC": 23.9, "tF": 75.1}, {"temperature": (23.9, "Cel")}),
        (
            "zigbee2mqtt/plug-3",
            {"temperature": 20.1, "humidity": 55, "battery": 97, "linkquality": 120},
            {"temperature": (20.1, "Cel"), "humidity": (55, "%"), "battery": (97, None), "linkquality": (120, None)},
        ),
        ("tele/plug-3/LWT", b"Offline", "offline"),
        ("plug-3/online", b"true", "online"),
        ("zigbee2mqtt/plug-3/availability", {"state": "offline"}, "offline"),
        ("zigbee2mqtt/plug-3/availability", b"online", "online"),
    ],
)
def test_what_the_devices_of_the_page_say(topic: str, payload: Any, wanted: Any) -> None:
    patterns = [TopicPattern(pattern, "plug-3") for pattern in TOPICS]
    [(pattern, captures)] = [(each, found) for each in patterns if (found := each.match(topic)) is not None]
    octets = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    message = MqttMessage(pattern.pattern, octets, "plug-3", captures)
    found = MqttDevice(msgspec.convert({"topics": TOPICS}, MqttOptions)).decoder().feed(message)
    assert not message.refusal
    if isinstance(wanted, str):
        assert message.status == (wanted, "")
        return
    [reading] = found
    assert isinstance(reading, Reading)
    assert reading.metric == "environment"
    assert {name: (value, reading.units.get(name)) for name, value in reading.values.items()} == wanted
    assert reading.device_time == ("2026-11-20T10:29:58" if "SENSOR" in topic else None)
