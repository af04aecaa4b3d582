"""The real agent as a process, devices on PTYs, and a real broker to listen on."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import yaml

from gatepost.client import AsyncGatewayClient
from gatepost.drivers.testing.pty import PtyTwin
from tests.support.waiting import until
from tests.uplink.broker import Mosquitto
from tests.uplink.gateway import Listener, listening

GATEPOST = str(Path(sys.executable).with_name("gatepost"))
LATEST = 20.0  # seconds for anything that should come about soon


class Lines:
    """A device that prints {"n": count, "t": ...} and says `pong` to nothing. `script` is said once, first."""

    def __init__(self, interval: float = 0.02) -> None:
        self.interval = interval
        self.n = 0
        self.hot = False
        self.quiet = False

    def tick(self) -> bytes:
        if self.quiet:
            return b""
        self.n += 1
        return b'{"n":%d,"t":%d}\n' % (self.n, 99 if self.hot else 20)

    def hear(self, data: bytes) -> bytes:
        return b""


class Agent:
    """`gatepost run` with READY and whatever else it tells systemd; what it logs goes to `log`."""

    def __init__(self, folder: Path, settings: dict[str, Any], **environ: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.settings = settings
        self.config = folder / "gatepost.yaml"
        self.drops = folder / "conf.d"
        self.drops.mkdir(exist_ok=True)
        self.state = Path(settings["gateway"]["state_dir"])
        self.socket = settings["api"]["socket"]
        self.log = folder / "agent.log"
        self.environ = environ
        self.process: asyncio.subprocess.Process | None = None
        self.told: list[str] = []
        self.client = AsyncGatewayClient(self.socket, timeout=30)
        self.write()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.setblocking(False)

    def write(self) -> None:
        self.config.write_text(yaml.safe_dump(self.settings, sort_keys=False), "utf-8")

    def drop(self, name: str, text: str) -> None:
        """As an editor would put it there: complete at once."""
        fresh = self.drops / f".{name}.new"
        fresh.write_text(text, "utf-8")
        fresh.replace(self.drops / name)

    async def spawn(self) -> None:
        environ = {name: value for name, value in os.environ.items() if name not in ("WATCHDOG_USEC", "NOTIFY_SOCKET")}
        environ |= {"NOTIFY_SOCKET": str(self.folder / "notify"), **self.environ}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                GATEPOST,
                "run",
                "--config",
                str(self.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )

    async def start(self) -> None:
        self.hear()
        self.told.clear()
        await self.spawn()
        await self.until(lambda: "READY=1" in self.heard())

    def hear(self) -> None:
        try:
            while True:
                self.told += self._notify.recv(4096).decode().split("\n")
        except BlockingIOError:
            return

    def heard(self) -> list[str]:
        self.hear()
        return self.told

    async def until(self, condition: Callable[[], object], seconds: float = LATEST) -> None:
        """Fails with the log's end, also when the agent ends by itself."""
        assert self.process is not None
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.returncode is None, f"the agent ended ({self.process.returncode}): {self.tail()}"
            assert time.monotonic() < end, f"it did not come about within {seconds:g} s: {self.tail()}"
            await asyncio.sleep(0.02)

    async def ended(self, seconds: float = LATEST) -> int:
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), seconds)

    async def stop(self) -> None:
        """By SIGTERM."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = await self.ended()
        assert code == 0, f"{code}: {self.tail()}"

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def tail(self, size: int = 2500) -> str:
        return self.log.read_text("utf-8", "replace")[-size:] if self.log.exists() else ""

    async def close(self) -> None:
        if self.process is not None:
            await self.kill()
        self._notify.close()

    async def cli(self, *words: str, code: int = 0) -> Any:
        """A verb with --json against this agent; its answer."""
        process = await asyncio.create_subprocess_exec(
            GATEPOST,
            *words,
            "--json",
            "--socket",
            self.socket,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == code, f"{process.returncode}: {out.decode()} {error.decode()}"
        return orjson.loads(out)

    async def device(self, name: str, status: str, seconds: float = LATEST) -> dict[str, Any]:
        """Until this device has this status."""
        end = time.monotonic() + seconds
        while True:
            found = {one["id"]: one for one in (await self.client.devices())["devices"]}
            if name in found and found[name]["status"] == status:
                return found[name]
            assert time.monotonic() < end, f"{found.get(name)}: {self.tail()}"
            await asyncio.sleep(0.05)

    async def broker(self, name: str, state: str, seconds: float = LATEST) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while True:
            found = {one["name"]: one for one in (await self.client.brokers())["brokers"]}
            if name in found and found[name]["state"] == state:
                return found[name]
            assert time.monotonic() < end, f"{found.get(name)}: {self.tail()}"
            await asyncio.sleep(0.05)

    async def stored(self, device: str) -> dict[int, set[str]]:
        """Ids of all stored readings of a device, by their number."""
        ids: dict[int, set[str]] = {}
        cursor = None
        while True:
            page = await self.client.data(device, limit=1000, cursor=cursor)
            for reading in page["readings"]:
                ids.setdefault(reading["n"], set()).add(reading["id"])
            cursor = page["cursor"]
            if cursor is None:
                return ids

    async def taken(self, device: str, number: int, seconds: float = LATEST) -> None:
        """Until this line of the device is stored, or a later one."""
        end = time.monotonic() + seconds
        while not any(r["n"] >= number for r in (await self.client.data(device, limit=5))["readings"]):
            assert time.monotonic() < end, self.tail()
            await asyncio.sleep(0.05)

    async def delivered(self, seconds: float = LATEST) -> None:
        """Until no broker is owed anything."""
        end = time.monotonic() + seconds
        while any(one["readings"] for one in (await self.client.backlog())["backlog"]):
            assert time.monotonic() < end, self.tail()
            await asyncio.sleep(0.05)


def settings_for(folder: Path, broker: str | None, devices: dict[str, Any], **sections: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "gateway": {"id": "gw", "organization": "org", "state_dir": str(folder / "state")},
        "store": {"commit_interval": "50ms"},
        "brokers": {"a": {"url": broker}} if broker else {},
        "devices": devices,
        "commands": {"allow": {"*": ["*"]}},
        "api": {"socket": str(folder / "api.sock"), "listen": None},
    }
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values}
    return settings


def lines(path: Path, **more: Any) -> dict[str, Any]:
    return {"driver": "lines", "port": str(path), "options": {"format": "json"}, **more}


@asynccontextmanager
async def agent(folder: Path, settings: dict[str, Any], start: bool = True, **environ: str) -> AsyncIterator[Agent]:
    one = Agent(folder, settings, **environ)
    try:
        if start:
            await one.start()
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def twin(path: Path, interval: float = 0.02) -> AsyncIterator[tuple[Lines, PtyTwin]]:
    device = Lines(interval)
    async with PtyTwin(device, path) as pty:
        yield device, pty


__all__ = ["Agent", "Lines", "Listener", "Mosquitto", "agent", "lines", "listening", "settings_for", "twin", "until"]
