"""The chart's arithmetic, in the browser that runs it: scales, round ticks, gaps."""

from __future__ import annotations

import pytest

HOUR = 3_600_000
START = 1_795_953_600_000  # 2026-11-29T20:00:00Z

CALL = """
const [name, args, done] = [arguments[0], arguments[1], arguments[2]];
import("/static/core/chart.js").then((chart) => done(chart[name](...args)), (error) => done(String(error)));
"""


@pytest.fixture
async def chart(browser, world):
    await browser.open(world.url)

    async def call(name: str, *args: object):
        return await browser.run_async(CALL, name, list(args))

    return call


async def test_a_scale_never_makes_noise_look_like_a_fall(chart):
    assert await chart("scaleOf", "spo2", [97, 96, 98], {"min": 90}) == [80, 100]
    assert await chart("scaleOf", "spo2", [72, 96], {}) == [72, 100]
    low, high = await chart("scaleOf", "temperature", [36.6, 36.7], {})
    assert high - low == pytest.approx(2)
    assert (low + high) / 2 == pytest.approx(36.65)
    low, high = await chart("scaleOf", "systolic", [100, 180], {"max": 200})
    assert low < 100
    assert high >= 200  # a limit that is near is shown
    assert await chart("scaleOf", "systolic", [100, 180], {"max": 900}) == [96, 184]  # one that is far is not
    low, high = await chart("scaleOf", "anything", [5, 5], {})
    assert low < 5 < high
    assert await chart("scaleOf", "anything", [], {}) == [-0.05, 1.05]


async def test_ticks_are_round(chart):
    assert await chart("valueTicks", 80, 100, 5) == [80, 85, 90, 95, 100]
    assert await chart("valueTicks", 35.6, 37.6, 5) == [36, 36.5, 37, 37.5]
    assert await chart("valueTicks", 0, 0.5, 5) == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    for span in (60_000, HOUR, 6 * HOUR, 24 * HOUR, 168 * HOUR, 720 * HOUR):
        found = await chart("timeTicks", START + 123, START + 123 + span, 7)
        assert 1 <= len(found["ticks"]) <= 8, span
        assert all(START <= tick <= START + 123 + span for tick in found["ticks"])
        if found["step"] < HOUR:
            assert all(tick % found["step"] == 0 for tick in found["ticks"])


async def test_a_line_never_crosses_a_gap(chart):
    steady = [{"time": START + at * 1000} for at in range(60)]
    gap = await chart("gapOf", steady, 0)
    assert gap == 6000
    assert await chart("gapsOf", steady, gap) == []
    broken = steady[:20] + steady[40:]
    hole = [START + 19_000, START + 40_000]
    assert await chart("gapsOf", broken, gap) == [hole]
    ends = [START - 9000, START], hole, [START + 59_000, START + 70_000]
    assert await chart("gapsOf", broken, gap, START - 9000, START + 70_000) == list(ends)
    points = [{"time": START + at * 10_000} for at in (0, 1, 2, 6, 7, 8)]
    assert await chart("gapsOf", points, await chart("gapOf", points, 10_000)) == []  # less than six of them
    assert await chart("gapOf", steady[:2], 0) in (None, float("inf"))  # JSON has no infinity
