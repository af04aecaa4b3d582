"""Driver `mqtt`: devices that publish to the gateway's own listener, or to a broker that it is connected to."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import orjson

from gatepost.drivers.driver import Command, Driver, Twin
from gatepost.drivers.mqtt.decoder import MqttDecoder
from gatepost.drivers.mqtt.options import EVERY_COMMAND, MqttOptions

ALWAYS = ("status",)  # the gateway answers these itself


class MqttTwin:
    """Publishes a reading a tick on its own topic, numbers wander; does what it is told and says so."""

    interval = 1.0

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._level = 21.0
        self._seq = 0

    def tick(self) -> bytes:
        """A payload of devices/.../data."""
        self._seq += 1
        self._level = min(40.0, max(5.0, self._level + self._random.uniform(-0.3, 0.3)))
        members: dict[str, Any] = {"metric_type": "environment", "seq": self._seq}
        members |= {"temperature": round(self._level, 2), "humidity": round(40 + self._random.uniform(-2, 2), 1)}
        return orjson.dumps({**members, "units": {"temperature": "Cel", "humidity": "%"}})

    def hear(self, data: bytes) -> bytes:
        """The payload of a command -> that of its response; empty for what is none."""
        try:
            command = orjson.loads(data)
        except orjson.JSONDecodeError:
            return b""
        if not isinstance(command, dict) or not isinstance(command.get("id"), str):
            return b""
        result = {"command": command.get("command"), "parameters": command.get("parameters")}
        return orjson.dumps({"id": command["id"], "status": "done", "result": result})


class MqttDevice(Driver):
    """A device that speaks MQTT."""

    name = "mqtt"
    title = "Device that speaks MQTT: to the gateway's listener, or to a broker"
    transport = "mqtt"
    streams = False
    options_type = MqttOptions
    source = "docs/mqtt-devices.md"
    example_options: ClassVar[dict[str, Any]] = {
        "from": "listener",
        "streams": {"1": {"metric": "environment", "name": "temperature", "unit": "Cel"}},
    }

    def named_commands(self) -> tuple[Command, ...]:
        names = dict.fromkeys(self.options.commands)
        return tuple(_command(name) for name in names if name not in (*ALWAYS, EVERY_COMMAND))

    def any_command(self, name: str) -> Command | None:
        known = EVERY_COMMAND in self.options.commands and name not in ALWAYS
        return _command(name) if known else None

    def decoder(self) -> MqttDecoder:
        return MqttDecoder(self.options)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return MqttTwin(seed)


def _command(name: str) -> Command:
    return Command(name, "The device carries it out", free=True)
