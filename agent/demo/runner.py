"""Run of the demo: set up in a temporary folder, show, take the broker away now and then, end cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import termios
import tty
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from gatepost.agent.core.clock import Clock, SystemClock
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.demo.processes import STARTING, BrokerAway, end, start_agent
from gatepost.agent.demo.statistics import DemoStatistics
from gatepost.agent.demo.view import PlainView, RichView, view_of, write_summary
from gatepost.client import AsyncGatewayClient, GatewayError
from gatepost.drivers.driver import Registry
from gatepost.drivers.extras import install_extra
from gatepost.drivers.testing.pty import PtyTwin

DRAW = 0.25  # seconds
SETTLING = 15.0  # seconds at the end for what was taken to be stored, and delivered if the broker is there
SEEN = 200  # stored readings to look back at when the view begins, so that counts are whole
DEVICES: dict[str, dict[str, Any]] = {
    "oximeter-1": {"driver": "contec-cms50d-plus", "thresholds": {"spo2": {"min": 90}}},
    "oximeter-2": {"driver": "contec-cms50-v7"},
    "scale-3": {"driver": "and-scale"},
    "probe-4": {"driver": "lines", "options": {"format": "json", "metric": "environment"}},
}


class DemoRunner:
    """`away`: the broker goes away for this many seconds of every three times as many; 0 = only when asked."""

    def __init__(self, folder: Path, clock: Clock, away: float, plain: bool) -> None:
        began = clock.monotonic()
        self._folder, self._clock, self._away, self._plain = folder, clock, away, plain
        self._client = AsyncGatewayClient(folder / "api.sock", timeout=5.0)
        self._stop = asyncio.Event()
        self._end_at_once = asyncio.Event()  # asked twice: without waiting for what is on its way
        self.statistics = DemoStatistics(
            {name: device["driver"] for name, device in DEVICES.items()}, lambda: clock.monotonic() - began
        )
        self._port, self._page_port = _free_port(), _free_port()
        self._broker = BrokerAway(self._port, self.statistics.delivered)
        self._switching = asyncio.Lock()
        self._framing = asyncio.Lock()
        self._ending = False

    async def run(self, seconds: float | None) -> None:
        """Until `seconds` are over, a key or a signal; raises GatepostError when a part does not come up."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end)
        async with AsyncExitStack() as stack:
            view = view_of(self.statistics, self._plain)
            stack.callback(write_summary, self.statistics)  # after the view has ended
            stack.enter_context(view)
            devices = await stack.enter_async_context(AsyncExitStack())
            ports = await self._devices(devices)
            self.statistics.note("simulated devices speak on PTYs")
            stack.push_async_callback(self._broker.stop)
            await self._broker.start()
            self.statistics.note(f"broker listens at 127.0.0.1:{self._port}")
            settings = self._settings(ports)
            agent = await start_agent(settings, self._folder / "agent.log")
            stack.push_async_callback(end, agent)
            await self._wait_for_agent(agent)
            self.statistics.page = await self._page()
            if self._plain:
                self.statistics.note("page: " + self.statistics.page)
            self.statistics.note("agent runs: gatepost run --config " + str(settings))
            await self._show(view, seconds, agent, devices)

    async def _devices(self, stack: AsyncExitStack) -> dict[str, Path]:
        registry, ports = Registry.installed(), {}
        for seed, (name, device) in enumerate(DEVICES.items()):
            path = ports[name] = self._folder / f"tty-{name}"
            driver = registry.get(device["driver"])
            await stack.enter_async_context(PtyTwin(driver.twin(None, seed), path))
        return ports

    def _settings(self, ports: dict[str, Path]) -> Path:
        settings = {
            "gateway": {"id": "demo", "state_dir": str(self._folder / "state")},
            # What this broker speaks; without it the agent would find out by trying.
            "brokers": {"demo": {"url": f"mqtt://127.0.0.1:{self._port}", "protocol": "3.1.1"}},
            "devices": {name: {**device, "port": str(ports[name])} for name, device in DEVICES.items()},
            "api": {"socket": str(self._folder / "api.sock"), "listen": f"127.0.0.1:{self._page_port}"},
        }
        path = self._folder / "gatepost.yaml"
        path.write_text(yaml.safe_dump(settings, sort_keys=False), "utf-8")
        return path

    async def _page(self) -> str:
        """The page's address; whoever has it is signed in as a viewer."""
        token = (await self._client.create_token("viewer", name="demo"))["token"]
        return f"http://127.0.0.1:{self._page_port}/#/sign-in/{token}"

    async def _wait_for_agent(self, agent: asyncio.subprocess.Process) -> None:
        until = self._clock.monotonic() + STARTING
        while self._clock.monotonic() < until and agent.returncode is None:
            with contextlib.suppress(GatewayError):
                await self._client.health()
                return
            await asyncio.sleep(0.1)
        log = (self._folder / "agent.log").read_text("utf-8", "replace")
        raise GatepostError("the agent did not come up", log[-1500:])

    async def _show(
        self,
        view: PlainView | RichView,
        seconds: float | None,
        agent: asyncio.subprocess.Process,
        devices: AsyncExitStack,
    ) -> None:
        until = None if seconds is None else self._clock.monotonic() + seconds
        with nullcontext() if self._plain else _keys(self._key):
            tasks = [asyncio.create_task(part()) for part in (self._follow, self._poll, self._interrupt_broker)]
            try:
                while not self._stop.is_set() and (until is None or self._clock.monotonic() < until):
                    view.draw()
                    if agent.returncode is not None:
                        raise GatepostError("the agent ended", (self._folder / "agent.log").read_text("utf-8")[-1500:])
                    for task in tasks:
                        if task.done():
                            task.result()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stop.wait(), DRAW)
                await self._settle(devices)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, devices: AsyncExitStack) -> None:
        """No more readings; then the account is whole as soon as what is on its way has arrived."""
        self._ending = True
        async with self._switching:  # a broker that comes or goes does so to the end
            await devices.aclose()
        until = self._clock.monotonic() + SETTLING
        while self._clock.monotonic() < until and not self._end_at_once.is_set():
            with contextlib.suppress(GatewayError):
                await self._frame()
                await self._ask_broker()
            total = self.statistics.total
            if total.taken == total.stored and (total.backlog == 0 or not self._broker.present):
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end_at_once.wait(), 0.1)

    def _end(self) -> None:
        (self._end_at_once if self._stop.is_set() else self._stop).set()

    async def _follow(self) -> None:
        """Readings as they become stored; the agent tells nobody before."""
        while True:
            with contextlib.suppress(GatewayError):
                async for reading in self._client.follow(last=SEEN):
                    self.statistics.stored(reading)
            await asyncio.sleep(0.5)

    async def _poll(self) -> None:
        while True:
            with contextlib.suppress(GatewayError):
                await self._frame()
                await self._ask_broker()
            await asyncio.sleep(2 * DRAW)

    async def _ask_broker(self) -> None:
        state = (await self._client.brokers())["brokers"][0]["state"]
        if state != self.statistics.broker:
            self.statistics.broker = state
            self.statistics.note(f"agent and broker: {state}")
        self.statistics.oldest = (await self._client.backlog())["backlog"][0]["oldest"]

    async def _frame(self) -> None:
        """Stored and delivered as of now, then what the agent says it took: counts that cannot contradict."""
        async with self._framing:  # an older frame must not replace a newer one
            frozen = self.statistics.freeze()
            devices = (await self._client.devices())["devices"]
            lost = sum(int(gap["count"]) for gap in (await self._client.gaps())["gaps"])
            self.statistics.show(frozen, devices, lost, status=not self._ending)

    async def _interrupt_broker(self) -> None:
        while self._away:
            await asyncio.sleep(2 * self._away)
            await self._switch_broker(present=False)
            await asyncio.sleep(self._away)
            await self._switch_broker(present=True)

    async def _switch_broker(self, present: bool) -> None:
        async with self._switching:
            if self._ending:
                return
            if present and not self._broker.present:
                await self._broker.start()
                self.statistics.note("the broker is back: the backlog drains, live readings flow beside it")
            elif not present and self._broker.present:
                await self._broker.stop()
                self.statistics.note("the broker is away: readings go on being stored, the backlog grows")

    def _key(self, key: str) -> None:
        if key in ("q", "\x03"):
            self._end()
        elif key == "b":
            self._away = 0.0  # from now on the person decides
            self._asked = asyncio.ensure_future(self._switch_broker(present=not self._broker.present))


def run(seconds: float | None, away: float, plain: bool) -> None:
    """Raises GatepostError when it cannot be shown."""
    if find_spec("amqtt") is None:
        raise GatepostError("the demo's broker is not installed", f"tools/demo installs it; {install_extra('demo')}")
    with tempfile.TemporaryDirectory(prefix="gatepost-demo-") as folder:
        asyncio.run(DemoRunner(Path(folder), SystemClock(), away, plain or not sys.stdout.isatty()).run(seconds))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _keys(pressed: Any) -> Iterator[None]:
    """Single keys of the terminal, while shown; the terminal is as before afterwards."""
    if not sys.stdin.isatty():
        yield
        return
    stdin, loop = sys.stdin.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(stdin)
    tty.setcbreak(stdin)
    loop.add_reader(stdin, lambda: pressed(os.read(stdin, 1).decode("ascii", "ignore")))
    try:
        yield
    finally:
        loop.remove_reader(stdin)
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
