"""Chromium without a window, driven over WebDriver: as much of the protocol as the tests of the page need."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.support.ports import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMEDRIVER = shutil.which("chromedriver")
PATIENCE = 30.0  # seconds for anything that should come about soon
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,1000"),
)


class Browser:
    """One window. `problems` are what its console complained of, `requests` the addresses that were asked for."""

    def __init__(self, http: httpx.AsyncClient, session: str) -> None:
        self._http = http
        self._session = session
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.octets: dict[str, int] = {}  # received for each address, heads included
        self._asked: dict[str, str] = {}

    async def _ask(self, method: str, path: str, body: object = None):
        answer = await self._http.request(method, f"/session/{self._session}{path}", json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    async def open(self, url: str) -> None:
        await self._ask("POST", "/url", {"url": url})

    async def run(self, script: str, *args: object):
        """What the body of a function gives back."""
        return await self._ask("POST", "/execute/sync", {"script": script, "args": list(args)})

    async def run_async(self, script: str, *args: object):
        """What the script hands to its last argument, a function."""
        return await self._ask("POST", "/execute/async", {"script": script, "args": list(args)})

    async def cdp(self, command: str, **parameters: object):
        return await self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    async def until(self, expression: str, *args: object, seconds: float = PATIENCE):
        """What the expression is, once it is something."""
        end = time.monotonic() + seconds
        while not (found := await self.run(f"return {expression}", *args)):
            if time.monotonic() > end:
                text = await self.run("return document.body.innerText")
                raise AssertionError(f"not within {seconds:g} s: {expression} {args}\n{text}\n{await self.heard()}")
            await asyncio.sleep(0.05)
        return found

    async def seen(self, text: str, within: str = "body") -> None:
        await self.until("document.querySelector(arguments[1])?.innerText.includes(arguments[0])", text, within)

    async def element(self, css: str) -> str:
        await self.until("document.querySelector(arguments[0])?.checkVisibility()", css)
        return (await self._ask("POST", "/element", {"using": "css selector", "value": css}))[ELEMENT]

    async def click(self, css: str) -> None:
        await self._ask("POST", f"/element/{await self.element(css)}/click", {})

    async def type(self, css: str, text: str) -> None:
        await self._ask("POST", f"/element/{await self.element(css)}/value", {"text": text})

    async def fill(self, label: str, text: str, within: str = "dialog") -> None:
        """The field with this label."""
        field = await self.until(
            "[...document.querySelectorAll(`${arguments[0]} label`)]"
            ".find((one) => one.textContent.startsWith(arguments[1]))?.htmlFor",
            within,
            label,
        )
        await self.type(f"#{field}", text)

    async def press(self, *keys: str) -> None:
        """On the keyboard, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        await self._ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    async def picture(self, path: Path) -> None:
        picture = base64.b64decode(await self._ask("GET", "/screenshot"))
        await asyncio.to_thread(_keep, path, picture)

    async def heard(self) -> list[str]:
        """All that the console complained of until now."""
        for entry in await self._ask("POST", "/se/log", {"type": "browser"}):
            if entry["level"] in ("SEVERE", "WARNING"):
                self.problems.append(entry["message"])
        return self.problems

    async def watched(self) -> list[str]:
        """All addresses that were asked for until now."""
        for entry in await self._ask("POST", "/se/log", {"type": "performance"}):
            event = json.loads(entry["message"])["message"]
            if event["method"] == "Network.requestWillBeSent":
                url = event["params"]["request"]["url"]
                self._asked[event["params"]["requestId"]] = url
                self.requests.append(url)
            elif event["method"] == "Network.webSocketCreated":
                self.requests.append(event["params"]["url"])
            elif event["method"] == "Network.loadingFinished":
                url = self._asked.get(event["params"]["requestId"], "")
                self.octets[url] = self.octets.get(url, 0) + int(event["params"]["encodedDataLength"])
        return self.requests


class Window(NamedTuple):
    """Window of a browser that runs: the address of its driver, and the name of the session."""

    driver: str
    session: str


@contextmanager
def chromium(folder: Path) -> Iterator[Window]:
    """A new profile in `folder`, nothing kept. One browser serves many tests: each takes it by `browsing`."""
    assert CHROMEDRIVER
    port = free_port()
    process = subprocess.Popen(
        [CHROMEDRIVER, f"--port={port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
        start_new_session=True,
    )
    options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"]}
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90, trust_env=False) as http:
            _ready(http)
            answer = http.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
            value = answer.json()["value"]
            assert answer.status_code == 200, value
            yield Window(f"http://127.0.0.1:{port}", value["sessionId"])
            http.delete(f"/session/{value['sessionId']}")
    finally:
        with suppress(ProcessLookupError):  # the browser is of the same group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@asynccontextmanager
async def browsing(window: Window) -> AsyncIterator[Browser]:
    """The window as new: no cookie, nothing kept, nothing emulated, nothing of an earlier test in its log."""
    async with httpx.AsyncClient(base_url=window.driver, timeout=90, trust_env=False) as http:
        browser = Browser(http, window.session)
        await browser.watched()
        await browser.heard()
        browser.requests.clear()
        browser.octets.clear()
        browser.problems.clear()
        try:
            yield browser
        finally:
            origin = await browser.run("return location.origin")
            await browser.open("about:blank")
            await browser.cdp("Storage.clearDataForOrigin", origin=origin, storageTypes="all")
            await browser.cdp("Network.clearBrowserCookies")
            await browser.cdp("Emulation.clearDeviceMetricsOverride")
            await browser.cdp("Emulation.setEmulatedMedia", features=[])


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _ready(http: httpx.Client) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            if http.get("/status").json()["value"]["ready"]:
                return
        time.sleep(0.05)
    raise AssertionError("chromedriver does not answer")
