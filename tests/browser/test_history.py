"""History of a device: what is drawn is what is stored, in one unit, with its gaps, and can be taken away."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.rig import LATEST

from .conftest import PICTURES, go, sign_in

CHART = "document.querySelector('canvas.chart')"
KEEP_DOWNLOADS = """
window.downloads = [];
URL.createObjectURL = (blob) => { downloads.push(blob); return "data:,"; };
HTMLAnchorElement.prototype.click = function () { downloads.at(-1).filename = this.download; };
"""
LAST = "const done = arguments[0]; const one = downloads.at(-1); one.text().then((text) => done([one.filename, text]))"


@pytest.fixture
async def device(browser, world):
    """The page of the probe, with values in its chart."""
    await sign_in(browser, world, "viewer")
    await browser.run(KEEP_DOWNLOADS)
    await go(browser, "#/devices/probe", "canvas.chart")
    await browser.click(".choice[data-name=n]")
    await browser.until(f"Number({CHART}.dataset.points) > 2 && {CHART}.ariaLabel.startsWith('N from')")
    return browser


async def shown(browser) -> list[dict[str, str]]:
    """The rows of the file for what is shown."""
    await browser.run("document.querySelector('.history .links button').click()")
    name, text = await browser.run_async(LAST)
    assert name == "probe-n.csv"
    return list(csv.DictReader(io.StringIO(text)))


async def test_few_readings_are_drawn_each_with_its_time(device, world):
    rows = await shown(device)
    stored = {one["n"]: one["timestamp"] for one in (await world.agent.client.data("probe", limit=1000))["readings"]}
    assert len(rows) > 2
    assert all(stored[int(row["n"])].startswith(row["time"].rstrip("Z")) for row in rows), (rows[:2], stored)
    assert [int(row["n"]) for row in rows] == sorted(int(row["n"]) for row in rows)
    await device.seen("each reading", ".history .foot")
    await device.run("document.querySelectorAll('.history .links button')[1].click()")
    await device.until("downloads.at(-1).type === 'image/png'")
    assert await device.run("return downloads.at(-1).size") > 2000


async def test_many_readings_become_points_with_least_and_most_and_a_silence_a_gap(device, world):
    world.probe.interval = 0.004
    await stored(world, lambda newest, wanted=world.probe.n + 600: newest["n"] > wanted)
    world.probe.quiet = True
    last = world.probe.n
    await device.click("[data-range='24h']")
    await device.seen("a point: mean, least and most", ".history .foot")
    (row, *_) = await shown(device)
    assert float(row["n_least"]) < float(row["n_mean"]) < float(row["n_most"]) <= last
    assert int(row["readings"]) > 500
    assert int(row["seconds"]) == pytest.approx(240, rel=0.3)  # about 360 of them
    await device.click("[data-range='1h']")
    await device.until(f"Number({CHART}.dataset.points) <= 3")
    await device.picture(PICTURES / "device-bands.png")


async def stored(world, wanted: Callable[[dict[str, Any]], bool]) -> None:
    """Until the newest reading of the probe is as it is wanted."""
    async with asyncio.timeout(LATEST):
        while True:
            (newest, *_) = (await world.agent.client.data("probe", limit=1))["readings"]
            if wanted(newest):
                return
            await asyncio.sleep(0.05)


async def test_a_curve_has_one_unit(browser, world, tmp_path):
    for unit in ("Cel", "[degF]"):
        fields = {"t": {"name": "temperature", "unit": unit}}
        options = {"format": "json", "fields": fields}
        await world.agent.client.replace_device(
            "probe", {"driver": "lines", "port": str(tmp_path / "probe"), "options": options}
        )
        await stored(world, lambda newest, unit=unit: newest.get("units", {}).get("temperature") == unit)
    await sign_in(browser, world, "viewer")
    await go(browser, "#/devices/probe", "canvas.chart")
    await browser.click(".choice[data-name=temperature]")
    await browser.seen("also in °C", ".history .foot")
    assert "°F" in await browser.run(f"return {CHART}.ariaLabel")
    await browser.run("document.querySelector('.history .foot p button, .history .foot button').click()")
    await browser.seen("also in °F", ".history .foot")
    assert "°C" in await browser.run(f"return {CHART}.ariaLabel")


async def test_a_stored_waveform_of_a_chosen_time_is_looked_at(browser, world):
    async with asyncio.timeout(LATEST):
        while len((await world.agent.client.data("heart", limit=4))["readings"]) < 4:
            await asyncio.sleep(0.05)
    await sign_in(browser, world, "viewer")
    await browser.run(KEEP_DOWNLOADS)
    await go(browser, "#/devices/heart", "canvas.strip")
    await browser.until("Number(document.querySelector('canvas.strip').dataset.blocks) >= 2")
    await browser.run("document.querySelector('[aria-label=\"Stored waveforms\"] .links button').click()")
    name, text = await browser.run_async(LAST)
    assert name == "heart-waveforms.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["name"] for row in rows} == {"ecg"}
    assert {float(row["value"]) for row in rows} <= {*range(7), 400}
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    await browser.picture(PICTURES / "waveform-stored.png")
    await browser.run(
        "const one = document.querySelector('[type=datetime-local]'); one.value = '2026-01-01T10:00:00';"
        "one.dispatchEvent(new Event('change'))"
    )
    await browser.seen("No waveform was stored", "main")
    assert await browser.run("return document.querySelectorAll('canvas.strip').length") == 0
    await browser.click("#wave-earlier")
    await browser.until("document.querySelector('[type=datetime-local]').value.endsWith('T09:59:50')")
