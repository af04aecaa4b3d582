"""Real gateway of the demo: the agent in a process of its own, with a simulated probe at a pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess

import yaml

from gatepost_fleet.demo.loopback_fleet import LoopbackFleet, spawn

NAME = "theatre-1"
STOPPING = 10.0  # seconds


class RealGateway:
    """Real gateway beside the simulated ones."""

    name = NAME

    def __init__(self, fleet: LoopbackFleet) -> None:
        folder = fleet.folder / NAME
        simulate = ["simulate", "lines", "--link", str(fleet.folder / "probe-port"), "--speed", "5"]
        self._probe = fleet.other("probe", ["-m", "gatepost.agent.cli", *simulate])
        config = fleet.folder / "theatre.yaml"
        self.agent = fleet.other(NAME, ["-m", "gatepost.agent.cli", "run", "--config", str(config)], _environment())
        first, *others = [node.mqtt_url for node in fleet.nodes]
        broker = {"url": first, "failover": others, "layout": "gateway", "order": "random", "protocol": "3.1.1"}
        settings = {
            "gateway": {"id": NAME, "state_dir": str(folder / "state")},
            "brokers": {"fleet": broker},
            "devices": {"probe": {"driver": "lines", "port": str(fleet.folder / "probe-port")}},
            "fleet": {"broker": "fleet", "keys": [{"id": fleet.key.name, "ed25519": fleet.key.public}]},
            "api": {"socket": str(folder / "api.sock"), "listen": None},
        }
        config.write_text(yaml.safe_dump(settings))

    async def start(self) -> None:
        """Raises OSError."""
        await spawn(self._probe)
        await spawn(self.agent)

    async def stop(self) -> None:
        """Its last readings are delivered, or it is ended."""
        process = self.agent.process
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.to_thread(process.wait, STOPPING)
            except subprocess.TimeoutExpired:
                self.agent.kill()


def _environment() -> dict[str, str]:
    """Without what would be settings of the agent."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GATEPOST_", "MQTT_"))}
