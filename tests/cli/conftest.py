from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from gatepost.agent.api.http.server import ApiServer
from gatepost.agent.cli.entry import main
from tests.api.fakes import FakeApp


class Served:
    """A fake agent at a real socket, in a thread of its own, as the command line meets it."""

    def __init__(self, directory):
        self.socket = directory / "api.sock"
        self.state_dir = directory / "state"
        self.state_dir.mkdir()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    async def _main(self):
        self.loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self.app = await FakeApp.start(self.state_dir)
        server = ApiServer(self.app, self.socket)
        await server.serve()
        self._ready.set()
        await self._end.wait()
        await server.stop(0.2)
        await self.app.stop()

    def take(self, **values):
        return asyncio.run_coroutine_threadsafe(self.app.take(**values), self.loop).result(20)

    def lose(self, device, count, reason):
        """A gap record, stored."""
        self.loop.call_soon_threadsafe(self.app.store.lost, device, count, reason)
        self.take()

    def refuse(self, broker, code, reason):
        """A dead letter, stored."""
        seq = int(self.take().rsplit(":", 1)[1])
        self.loop.call_soon_threadsafe(self.app.store.dead_letter, broker, seq, code, reason)
        self.take()

    def close(self):
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        assert not self._thread.is_alive()


class Outcome:
    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err


@pytest.fixture
def place():
    """A directory with a short path, for sockets."""
    with tempfile.TemporaryDirectory(prefix="gp-") as directory:
        yield Path(directory)


@pytest.fixture
def agent(place, monkeypatch):
    served = Served(place)
    monkeypatch.setenv("GATEPOST_SOCKET", str(served.socket))
    yield served
    served.close()


@pytest.fixture
def gatepost(capfdbinary, monkeypatch, tmp_path):
    """Runs a verb in this process: `gatepost("status", "--json")`."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))  # not what an agent of this machine has
    for name in ("GATEPOST_COMMAND_TOKEN", "GATEPOST_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        capfdbinary.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capfdbinary.readouterr()
        return Outcome(code, captured.out.decode(), captured.err.decode())

    return run


@pytest.fixture
def settings(place):
    """Writes settings and gives their path."""

    def write(text, name="gatepost.yaml"):
        path = place / name
        path.write_text(text)
        return path

    return write


def spawn(*arguments, **options):
    """A verb in a process of its own; its lines must come without what would make Python unbuffered."""
    options["env"] = {**os.environ, **(options.get("env") or {})}
    options["env"].pop("PYTHONUNBUFFERED", None)
    command = [sys.executable, "-m", "gatepost.agent.cli", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
