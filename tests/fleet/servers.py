"""Servers of a fleet for tests, each on a loopback port of its own: PostgreSQL, nats-server, RabbitMQ."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.uplink.broker import free_port

START = 60.0  # seconds


def postgres_folder() -> Path | None:
    """Where Debian keeps the server's programs; they are not on the path."""
    found = shutil.which("initdb")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if found is None else [Path(found).parent]
    return folders[-1] if folders and (folders[-1] / "initdb").exists() else None


def nats_program() -> str | None:
    return shutil.which("nats-server", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def rabbit_program() -> Path | None:
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return program if program.exists() else None


class Server:
    """A process with a port: `start`, `kill` (-9), `stop`."""

    port: int
    log: Path

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str] | None:
        return None

    def user(self) -> str | None:
        return None

    def spawn(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=self.environment(), user=self.user(), start_new_session=True
            )

    async def start(self, ready: Callable[[], bool] | None = None) -> None:
        await asyncio.to_thread(self.spawn)
        deadline = time.monotonic() + START
        while True:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            if ready is None or ready():
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    pass
                else:
                    writer.transport.abort()
                    return
            await asyncio.sleep(0.05)

    def kill(self) -> None:
        """kill -9, with all that it started."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Postgres(Server):
    """A PostgreSQL cluster; it refuses to run as root, so root runs it as Debian's user `postgres`."""

    def __init__(self) -> None:
        super().__init__()
        folder = postgres_folder()
        assert folder is not None
        self._programs = folder
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="gp-pg-"))
        self.log = self.folder / "log"
        self.log.touch()
        if self.user() is not None:
            owner = pwd.getpwnam("postgres")
            for path in (self.folder, self.log):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [
                self._programs / "initdb",
                "-D",
                self.folder / "data",
                "-A",
                "trust",
                "-U",
                "gatepost",
                "-E",
                "UTF8",
                "-N",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self.user(),
            cwd=self.folder,
        )

    @property
    def url(self) -> str:
        return f"postgresql://gatepost@127.0.0.1:{self.port}/postgres"

    def user(self) -> str | None:
        return "postgres" if os.geteuid() == 0 else None

    def command(self) -> list[str]:
        data = str(self.folder / "data")
        return [
            *(str(self._programs / "postgres"), "-D", data, "-p", str(self.port), "-h", "127.0.0.1", "-k", data),
            *("-c", "shared_buffers=32MB"),
        ]

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Nats(Server):
    """A nats-server with JetStream and MQTT, whose messages are on the disk when they are acknowledged."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        program = nats_program()
        assert program is not None
        self._program = program
        self.port, self.mqtt_port = free_port(), free_port()
        self.log = folder / "nats.log"
        self._config = folder / "nats.conf"
        self._config.write_text(
            f'server_name: one\nlisten: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{folder}", sync_interval: always }}\n'
            f'mqtt {{ listen: "127.0.0.1:{self.mqtt_port}" }}\n'
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def mqtt_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.mqtt_port}"

    def command(self) -> list[str]:
        return [self._program, "-c", str(self._config)]


class Rabbit(Server):
    """A RabbitMQ node with its MQTT plugin; guest may do everything from loopback."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.port, self.mqtt_port = free_port(), free_port()
        self._epmd, self._distribution = free_port(), free_port()
        self._folder = folder
        self.log = folder / "rabbit.log"
        (folder / "plugins").write_text("[rabbitmq_mqtt].\n")
        (folder / "rabbit.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nmqtt.listeners.tcp.1 = 127.0.0.1:{self.mqtt_port}\n"
            "mqtt.allow_anonymous = true\nmqtt.default_user = guest\nmqtt.default_pass = guest\n"
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def mqtt_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.mqtt_port}"

    def command(self) -> list[str]:
        return [str(rabbit_program())]

    def environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": f"gp{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbit.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
