"""From sign-in to a stored reading of a new device, and the other ways through the wizard; no JSON is typed."""

from __future__ import annotations

import asyncio
import time

import pytest

from gatepost.drivers.driver import Registry
from gatepost.drivers.testing.pty import PtyTwin
from tests.integration.rig import LATEST

from .conftest import PICTURES, sign_in

NEWCOMER = 120  # seconds


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
    await browser.picture(PICTURES / "wizard-where.png")
    await browser.click("#device-form button[type=submit]")
    await browser.seen("Oximeter 1", "h1")
    assert (await stored(world, "oximeter-1"))["units"]["spo2"] == "%"
    await browser.seen("SpO₂", ".values")
    assert time.monotonic() - began < NEWCOMER
