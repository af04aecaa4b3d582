"""Processes of the demo; each is ended by whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from gatepost.agent.core.errors import GatepostError

STARTING = 20.0  # seconds a part may take to come up
STOPPING = 8.0  # seconds it may take to end before it is killed


class BrokerAway:
    """A broker that can go away and come back at its port; `tell` hears of each reading that it took."""

    def __init__(self, port: int, tell: Callable[[dict[str, Any]], None]) -> None:
        self._port, self._tell = port, tell
        self._process: Process | None = None
        self._listening: asyncio.Task[None] | None = None

    @property
    def present(self) -> bool:
        return self._process is not None

    async def start(self) -> None:
        """Raises GatepostError when it does not come up."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gatepost.agent.demo.broker",
            str(self._port),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,
        )
        self._process = process
        assert process.stdout is not None
        try:
            first = await asyncio.wait_for(process.stdout.readline(), STARTING)
        except TimeoutError:
            first = b""
        if first != b"\n":
            await self.stop()
            raise GatepostError(
                "the demo's broker did not start", "run it alone: python -m gatepost.agent.demo.broker 1883"
            )
        self._listening = asyncio.create_task(self._listen(process.stdout))

    async def stop(self) -> None:
        process, self._process = self._process, None
        task, self._listening = self._listening, None
        if process is not None:
            await end(process)
        if task is not None:
            await task

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self._tell(orjson.loads(line))


async def start_agent(settings: Path, log: Path) -> Process:
    """The real agent, as `gatepost run` starts it; its log goes to `log`. When this process is killed it ends too."""
    environ = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC")}
    with log.open("wb") as file:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gatepost.agent.demo.agent_process", str(os.getpid()), "run", "--config", str(settings)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=environ,
            start_new_session=True,
        )


async def end(process: Process) -> None:
    """Asks, then kills; returns when it is gone."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOPPING)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.stdin is not None:
        process.stdin.close()
