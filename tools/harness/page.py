"""Cost of an open page: the same pace without and with it open in Chromium; heap of the tab, CPU and RSS of the agent.

python -m tools.harness.page [--devices 200] [--rate 400] [--seconds 600] [--settle 240] [--view "#/"]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from tests.browser.webdriver import Browser, Window, browsing, chromium
from tests.support.ports import free_port
from tools.harness.rig import Rig, quantile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--rate", type=float, default=400.0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--settle", type=float, default=240.0, help="until the small curves are full")
    parser.add_argument("--view", default="#/")
    asked = parser.parse_args()
    print(json.dumps(measured(asked.devices, asked.rate, min(60.0, asked.seconds), None)), flush=True)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as window:
        looked = (window, asked.view, asked.settle)
        print(json.dumps(measured(asked.devices, asked.rate, asked.seconds, looked)), flush=True)


def measured(devices: int, rate: float, seconds: float, page: tuple[Window, str, float] | None) -> dict[str, Any]:
    port = free_port()
    with Rig("agent", devices, api={"listen": f"127.0.0.1:{port}"}) as rig:
        rig.start()
        heaps: list[float] = []

        async def watched() -> dict[str, Any]:
            before = rig.program.usage()
            await asyncio.sleep(seconds)
            during = rig.program.usage()
            return {
                "cpu_percent": round((during.cpu - before.cpu) / (during.at - before.at) * 100, 1),
                "rss_mib": round(during.rss / (1 << 20), 1),
                "peak_mib": round(during.peak / (1 << 20), 1),
            }

        rig.feeder.ask("feed", rate=rate)
        if page is None:
            told = asyncio.run(watched())
        else:
            url, socket = f"http://127.0.0.1:{port}", str(rig.folder / "api.sock")
            told = asyncio.run(opened(page[0], url, socket, page[1:], devices, watched, heaps))
        fed = rig.stop_feeding()
        rig.arrived(fed)
        rows = rig.rows()
        rig.program.stop()
    ways = sorted((row.received - row.ts) / 1e6 for row in rows)
    seen = {(row.device, row.n) for row in rows}
    return {
        "page": page is not None,
        "fed": fed,
        "delivered": len(seen),
        **told,
        "p99_ms": round(quantile(ways, 0.99) or 0.0, 1),
        "heap_mib": heaps,
    }


async def opened(
    window: Window,
    url: str,
    socket: str,
    look: tuple[str, float],
    devices: int,
    watched: Callable[[], Awaitable[dict[str, Any]]],
    heaps: list[float],
) -> dict[str, Any]:
    """Signs in and looks at a view; the heap of the tab once it has settled, and in the end."""
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=socket)) as http:
        token = (await http.post("http://gatepost/api/v1/tokens", json={"role": "viewer"})).json()["token"]
    async with browsing(window) as browser:
        await browser.open(url)
        await browser.type("#token", token)
        await browser.click("#login button")
        await browser.until(f"document.querySelectorAll('.tile').length === {devices}")
        await browser.run("location.hash = arguments[0]", look[0])
        await asyncio.sleep(look[1])
        heaps.append(await heap(browser))
        await browser.cdp("Performance.enable")
        before = await busy(browser)
        found = await watched()
        seconds, work = (after - had for after, had in zip(await busy(browser), before, strict=True))
        heaps.append(await heap(browser))
        return {**found, "tab_percent": round(work / seconds * 100, 1)}


async def busy(browser: Browser) -> tuple[float, float]:
    """Seconds of the clock, and those that the tab has worked."""
    metrics = {one["name"]: one["value"] for one in (await browser.cdp("Performance.getMetrics"))["metrics"]}
    return metrics["Timestamp"], metrics["TaskDuration"]


async def heap(browser: Browser) -> float:
    """MiB in use after its garbage was collected."""
    await browser.cdp("HeapProfiler.collectGarbage")
    return round((await browser.cdp("Runtime.getHeapUsage"))["usedSize"] / (1 << 20), 2)


if __name__ == "__main__":
    main()
