"""The page in a real browser, before a real agent with a broker, a device that says numbers and one with a waveform."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from gatepost.drivers.testing.pty import PtyTwin
from tests.integration.rig import Agent, Lines, agent, lines, settings_for, twin
from tests.support.ports import free_port
from tests.uplink.broker import Mosquitto, running

from .webdriver import CHROMEDRIVER, CHROMIUM, Browser, Window, browsing, chromium

PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
RATE = 50
WAVE = {
    "format": "json",
    "metric": "ecg",
    "fields": {"v": {"name": "ecg", "unit": "mV"}},
    "waveform": {"rate_hz": RATE},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None or CHROMEDRIVER is None:
        skip = pytest.mark.skip(reason="the Debian packages chromium and chromium-driver are not installed")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


class Beats(Lines):
    """One sample a line; `quiet` makes a gap."""

    def tick(self) -> bytes:
        if self.quiet:
            return b""
        self.n += 1
        return b'{"v":%d}\n' % (400 if self.n % RATE < 3 else self.n % 7)


class World(NamedTuple):
    agent: Agent
    broker: Mosquitto
    probe: Lines
    heart: Beats
    url: str

    async def token(self, role: str) -> str:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=self.agent.socket)) as http:
            answer = await http.post("http://gatepost/api/v1/tokens", json={"role": role, "name": f"{role}-test"})
        return str(answer.json()["token"])


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    port = free_port()
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(running(Mosquitto(tmp_path / "m")))
        probe, _ = await stack.enter_async_context(twin(tmp_path / "probe", 0.2))
        heart = Beats(1 / RATE)
        await stack.enter_async_context(PtyTwin(heart, tmp_path / "heart"))
        devices = {
            "probe": lines(
                tmp_path / "probe", patient="P-1", label="Thermometer 1", room="Bed 4", thresholds={"t": {"max": 50}}
            ),
            "heart": {"driver": "lines", "port": str(tmp_path / "heart"), "label": "ECG", "options": WAVE},
        }
        settings = settings_for(tmp_path, broker.url, devices, api={"listen": f"127.0.0.1:{port}"})
        one = await stack.enter_async_context(agent(tmp_path, settings))
        yield World(one, broker, probe, heart, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """One browser for all tests of this process."""
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder) as one:
        yield one
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def browser(window: Window) -> AsyncIterator[Browser]:
    async with browsing(window) as one:
        yield one


async def sign_in(browser: Browser, world: World, role: str = "admin", tiles: int = 2) -> None:
    """Until the page is live and shows the devices."""
    await browser.open(world.url)
    await browser.type("#token", await world.token(role))
    await browser.click("#login button")
    live = "document.body.dataset.link === 'live' && document.querySelectorAll('.tile').length === arguments[0]"
    await browser.until(live, tiles)


async def go(browser: Browser, place: str, shows: str) -> None:
    """To a place of the page, until it shows an element."""
    await browser.run("location.hash = arguments[0]", place)
    await browser.until("document.querySelector(arguments[0])?.checkVisibility()", shows)
