"""RabbitMQ for tests, on loopback ports of its own; the other servers are those of the demo."""

from __future__ import annotations

import os
from pathlib import Path

from gatepost_fleet.demo.servers import LocalServer, free_port

RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class Rabbit(LocalServer):
    """A RabbitMQ node with its MQTT plugin; guest may do everything from loopback."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        super().__init__("RabbitMQ", folder, [str(RABBIT)])
        self.mqtt_port = free_port()
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        (folder / "rabbit.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.mqtt_port}\n"
            "mqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n"
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"gp{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbit.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def mqtt_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.mqtt_port}"

    async def start(self) -> None:
        await super().start()
        await self.until_listening(self.mqtt_port)
