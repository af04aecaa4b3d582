"""RabbitMQ on loopback: nodes with the MQTT plugin and the port mapper that they share."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from secrets import token_hex

from gatepost_fleet.demo.servers import BrokerNode, LocalServer, ServerMissing, free_port

RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
EPMD = Path("/usr/bin/epmd")


class PortMapper(LocalServer):
    """Erlang's port mapper. Started here, because a node would start one that outlives it."""

    def __init__(self, folder: Path) -> None:
        super().__init__("epmd", folder, [str(EPMD)])
        self.command += ["-port", str(self.port), "-address", "127.0.0.1"]
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Once, whoever comes first."""
        async with self._starting:
            if self.process is None:
                await super().start()


class RabbitNode(BrokerNode):
    """A RabbitMQ node; guest may do everything from loopback. Raises ServerMissing."""

    scheme = "amqp://guest:guest@"
    limit = 300.0  # after all nodes died, each waits for the others

    def __init__(self, name: str, folder: Path, mapper: PortMapper) -> None:
        if not RABBIT.exists():
            raise ServerMissing("RabbitMQ is not installed: sudo apt-get install rabbitmq-server")
        folder.mkdir(parents=True)
        super().__init__(name, folder, [str(RABBIT)])
        self.mqtt_port = free_port()
        self.node = f"gp{self.port}@localhost"
        self._mapper = mapper
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),  # the nodes of a cluster share the cookie in it
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbit.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(mapper.port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def configure(self, nodes: list[RabbitNode]) -> None:
        """As one of these nodes, or alone."""
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.mqtt_port}",
            "mqtt.allow_anonymous = true",
            "mqtt.default_user = guest",
            "mqtt.default_pass = guest",
            "mqtt.durable_queue_type = quorum",
            "cluster_partition_handling = pause_minority",
        ]
        if len(nodes) > 1:
            lines.append("cluster_formation.peer_discovery_backend = classic_config")
            lines += [f"cluster_formation.classic_config.nodes.{n} = {each.node}" for n, each in enumerate(nodes, 1)]
        (self.folder / "rabbit.conf").write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        await self._mapper.start()
        await super().start()
        await self.until_listening(self.mqtt_port)

    def stop_all(self) -> None:
        self.kill()
        self._mapper.kill()


def rabbit_cluster(folder: Path, count: int) -> list[RabbitNode]:
    """Nodes that know each other, not started. Raises ServerMissing."""
    folder.mkdir(parents=True, exist_ok=True)
    cookie = folder / ".erlang.cookie"
    cookie.write_text(token_hex(10))
    cookie.chmod(0o400)
    mapper = PortMapper(folder)
    nodes = [RabbitNode(f"rabbit-{number}", folder / f"rabbit-{number}", mapper) for number in range(1, count + 1)]
    for node in nodes:
        node.configure(nodes)
    return nodes
