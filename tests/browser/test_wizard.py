"""From sign-in to a stored reading of a new device, and the other ways through the wizard; no JSON is typed."""

from __future__ import annotations

import asyncio
import time

import pytest

from gatepost.drivers.driver import Registry
from gatepost.drivers.testing.pty import PtyTwin
from tests.integration.rig import LATEST

from .conftest import PICTURES, go, sign_in

NEWCOMER = 120  # seconds
# How a search goes on is heard, not asked for.
NOT_ASKED = """
const ask = window.fetch;
const asked = (path, method) => path.endsWith("/scan") && method === "GET";
window.fetch = (path, told) => (asked(path, told.method) ? Promise.reject(new TypeError("asked")) : ask(path, told));
"""


@pytest.fixture
async def oximeter(tmp_path):
    """A simulated one, plugged in and configured nowhere."""
    twin = Registry.installed().get("nonin").twin()
    async with PtyTwin(twin, tmp_path / "oximeter"):
        yield tmp_path / "oximeter"


async def stored(world, device: str) -> dict:
    async with asyncio.timeout(LATEST):
        while True:
            for reading in (await world.agent.client.data(device, limit=5))["readings"]:
                if "spo2" in reading:
                    return reading
            await asyncio.sleep(0.1)


async def test_a_newcomer_has_a_stored_reading_within_two_minutes(browser, world, oximeter):
    began = time.monotonic()
    await sign_in(browser, world)
    await browser.click("#add-device")
    await browser.type("#driver-search", "nonin")
    await browser.picture(PICTURES / "wizard-find.png")
    await browser.click("[data-driver=nonin]")
    await browser.fill("Id", "oximeter-1", "main")
    await browser.fill("Name", "Oximeter 1", "main")
    await browser.fill("Room", "Bed 5", "main")
    await browser.fill("Port", str(oximeter), "main")
    air = "[...document.querySelectorAll('#device-form .field:not([hidden])')].map((one) => one.innerText).join()"
    assert "Bluetooth" not in await browser.run(f"return {air}")  # it is a serial one
    await browser.picture(PICTURES / "wizard-where.png")
    await browser.click("#device-form button[type=submit]")
    await browser.seen("SpO₂", "#first-values")
    assert "oximeter-1" not in {one["id"] for one in (await world.agent.client.devices())["devices"]}
    await browser.picture(PICTURES / "wizard-try.png")
    await browser.click("#keep")
    await browser.seen("Oximeter 1", "h1")
    assert (await stored(world, "oximeter-1"))["units"]["spo2"] == "%"
    await browser.seen("SpO₂", ".values")
    assert time.monotonic() - began < NEWCOMER


async def test_a_search_finds_what_is_plugged_in(browser, world, oximeter):
    await sign_in(browser, world)
    await go(browser, "#/add-device", "#scan-serial")
    # an installer who names a port: the kernel does not list PTYs
    await browser.click("main details summary")
    await browser.fill("Ports", str(oximeter), "main")
    await browser.run(NOT_ASKED)
    await browser.click("#scan-serial")
    await browser.element("progress")
    await browser.element(f"[data-found='{oximeter}']")
    await browser.picture(PICTURES / "wizard-scan.png")
    await browser.click(f"[data-found='{oximeter}']")
    await browser.until("document.querySelector('[name=driver]')?.value === 'nonin'")
    assert await browser.run("return document.querySelector('[name=port]').value") == str(oximeter)
    assert await browser.run("return document.querySelector('[name=id]').value") != ""


async def test_what_is_wrong_stands_at_its_field_and_nothing_is_kept(browser, world, tmp_path):
    await sign_in(browser, world)
    await go(browser, "#/add-device", ".pick")
    await browser.type("#driver-search", "mt-si")
    await browser.click("[data-driver=mt-sics]")
    await browser.fill("Id", "probe", "main")
    await browser.fill("Port", str(tmp_path / "nowhere"), "main")
    await browser.click("#device-form button[type=submit]")
    await browser.until("document.querySelector('[name=id]').ariaInvalid === 'true'")
    await browser.run("document.querySelector('[name=id]').value = 'scale-1'")
    await browser.run("document.querySelector('[name=driver]').value = 'no-such-driver'")
    await browser.click("#device-form button[type=submit]")
    await browser.until("document.querySelector('[name=driver]').ariaInvalid === 'true'")
    await browser.picture(PICTURES / "device-wrong.png")
    await browser.run("document.querySelector('[name=driver]').value = 'mt-sics'")
    await browser.click("#device-form button[type=submit]")
    await browser.until("document.querySelector('.notice.bad')?.checkVisibility()")  # its port is not there
    await browser.picture(PICTURES / "first-reading.png")
    await browser.click("#places [data-place=devices]")
    await browser.element("tbody tr")
    assert len((await world.agent.client.devices())["devices"]) == 2
