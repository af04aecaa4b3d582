"""First drawing of a history in the page, out of a long log: `python -m tools.harness.page_history [--days N]`."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.browser.webdriver import Window, browsing, chromium
from tests.integration.rig import agent, settings_for
from tests.support.ports import free_port
from tools.harness.history import fill
from tools.harness.proc import usage

DEVICE = "oximeter-1"
IDLE = 0.1  # seconds of CPU in three
RANGES = ("30d", "7d", "24h")
# From the press of a range until its curve is on the canvas: milliseconds, octets of the answers, points.
DRAWN = """
const [range, done] = arguments;
const chart = document.querySelector("canvas.chart");
performance.clearResourceTimings();
chart.setAttribute("aria-label", "");
const began = performance.now();
document.querySelector(`[data-range="${range}"]`).click();
const look = () => {
  if (!chart.ariaLabel || !Number(chart.dataset.points)) return requestAnimationFrame(look);
  const asked = performance.getEntriesByType("resource").filter((one) => one.name.includes("/data?"));
  const octets = asked.reduce((sum, one) => sum + one.transferSize, 0);
  done([performance.now() - began, octets, Number(chart.dataset.points)]);
};
look();
"""


async def measure(folder: Path, window: Window, days: float) -> None:
    port = free_port()
    devices = {DEVICE: {"driver": "nonin", "port": str(folder / "nowhere")}}
    sections = {"api": {"listen": f"127.0.0.1:{port}"}, "store": {"keep": "90d", "max_size": "4GB"}}
    settings = settings_for(folder, None, devices, **sections)
    (folder / "state").mkdir(exist_ok=True)
    now = int(time.time())
    await asyncio.to_thread(fill, folder / "state" / "gatepost.db", days, 1, now)
    async with agent(folder, settings) as one, browsing(window) as browser:
        assert one.process is not None
        worked = True
        while worked:  # the summaries are made first
            before = usage(one.process.pid).cpu
            await asyncio.sleep(3)
            worked = usage(one.process.pid).cpu - before > IDLE
        token = (await one.client.create_token("viewer"))["token"]
        await browser.open(f"http://127.0.0.1:{port}")
        await browser.type("#token", token)
        await browser.click("#login button")
        await browser.element(".tile")
        await browser.run("location.hash = arguments[0]", f"#/devices/{DEVICE}")
        await browser.element("[data-range='30d']")
        for name in RANGES:
            await asyncio.sleep(2)  # what was asked for before has come
            for attempt in ("first", *["again"] * 3):
                spent, octets, points = await browser.run_async(DRAWN, name)
                print(f"{name:>4} {attempt}: {spent:5.0f} ms, {octets / 1e3:5.1f} kB, {points} points", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, chromium(Path(home) / "browser") as window:
        asyncio.run(measure(Path(home), window, options.days))


if __name__ == "__main__":
    main()
