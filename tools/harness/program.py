"""The process under test: the agent, or the floor. Started, asked for READY, killed or stopped by its own pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tools.harness import proc
from tools.harness.helper import ROOT, HelperFailed, end, wait_for


class Program:
    """One process with READY over a notify socket, as systemd would hear it; its output goes to `log`."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name, self.command, self.folder = name, command, folder
        self.log = folder / f"{name}.log"
        self.starts: list[float] = []  # seconds from exec to READY,
        self.start_costs: list[float] = []  # and those of CPU
        self._process: subprocess.Popen[bytes] | None = None
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / f"{name}.notify"))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout: float = 30.0) -> float:
        """Returns the seconds to READY; raises HelperFailed with the end of its log when it does not come up."""
        self._drain()
        environ = environment()
        environ["NOTIFY_SOCKET"] = str(self.folder / f"{self.name}.notify")
        if self.name == "floor":
            environ["PYTHONPATH"] = str(ROOT)
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ, start_new_session=True
            )
        self._notify.settimeout(0.1)
        while True:
            if time.monotonic() - began > timeout or self._process.poll() is not None:
                raise HelperFailed(f"{self.name} did not become ready: {self.tail()}")
            try:
                said = self._notify.recv(4096)
            except TimeoutError:
                continue
            if b"READY=1" in said.split(b"\n"):
                self.starts.append(time.monotonic() - began)
                self.start_costs.append(self.usage().cpu)
                return self.starts[-1]

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout: float = 20.0) -> float:
        """SIGTERM; the seconds that it took to end. Raises HelperFailed when it did not, or not with success."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise HelperFailed(f"{self.name} did not stop within {timeout:.0f} s: {self.tail()}") from None
        if code != 0:
            raise HelperFailed(f"{self.name} stopped with {code}; its log ends: {self.tail(300)}")
        return time.monotonic() - began

    def usage(self) -> proc.Usage:
        return proc.usage(self.pid)

    def opened(self, ports: list[str], timeout: float = 20.0) -> None:
        """Waits until it has all these ports open; raises HelperFailed with what its log says of those that are not:
        an agent that was left behind holds a PTY when its number is given out again."""
        try:
            wait_for(f"{self.name} opening its ports", lambda: set(ports) <= proc.opened(self.pid), timeout)
        except TimeoutError as error:
            missing = ", ".join(sorted(set(ports) - proc.opened(self.pid)))
            raise HelperFailed(f"{error} ({missing}): {self.tail()}") from None

    def tail(self, size: int = 1500) -> str:
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return text[-size:]

    def close(self) -> None:
        if self._process is not None:
            end(self._process)
        self._notify.close()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _drain(self) -> None:
        self._notify.setblocking(False)
        try:
            while True:
                self._notify.recv(4096)
        except BlockingIOError:
            self._notify.setblocking(True)


def environment() -> dict[str, str]:
    """That of an installed program: no paths of the harness, and byte-code that is kept from start to start."""
    left_out = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "WATCHDOG_USEC")
    return {name: value for name, value in os.environ.items() if name not in left_out}


def floor(folder: Path, broker: int, ttys: list[Path]) -> Program:
    command = [sys.executable, "-m", "tools.harness.floor", str(broker), str(folder / "floor.db"), *map(str, ttys)]
    return Program("floor", command, folder)


def agent(folder: Path, settings: dict[str, Any]) -> Program:
    """`settings` as `agent_settings` makes them; written to `folder`."""
    path = write_settings(folder, settings)
    beside = Path(sys.executable).with_name("gatepost")
    command = str(beside) if beside.exists() else shutil.which("gatepost")
    if command is None:
        raise FileNotFoundError("the command gatepost is not installed beside this Python: pip install -e .")
    return Program("agent", [command, "run", "--config", str(path)], folder)


def write_settings(folder: Path, settings: dict[str, Any]) -> Path:
    path = folder / "gatepost.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
    return path


def agent_settings(folder: Path, brokers: dict[str, int], ttys: list[Path], hot: float | None = None) -> dict[str, Any]:
    """The agent's default settings, with these brokers (name -> loopback port) and one `lines` device for each port.

    `hot`: t above it makes a reading urgent.
    """
    device: dict[str, Any] = {"driver": "lines", "options": {"format": "json"}}
    if hot is not None:
        device["thresholds"] = {"t": {"max": hot}}
    return {
        "gateway": {"id": "harness", "state_dir": str(folder / "state")},
        "brokers": {name: {"url": f"mqtt://127.0.0.1:{port}"} for name, port in brokers.items()},
        "devices": {path.name: {**device, "port": str(path)} for path in ttys},
        "api": {"socket": str(folder / "api.sock"), "listen": None},
    }
