"""The page for everybody: names, labels, contrast, keyboard, a phone's width, dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from .axe import axe
from .conftest import PICTURES, go, sign_in

TAB, ENTER, SPACE, ESCAPE = "\ue004", "\ue007", " ", "\ue00c"
HERE = Path(__file__).parent
FOCUS = "document.activeElement"

FAULTS = (HERE / "faults.js").read_text()

PALE = (HERE / "pale.js").read_text()


async def scheme(browser, name):
    await browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])


VIEWS = (
    ("#/", ".tile"),
    ("#/devices", "tbody tr"),
    ("#/devices/probe", "canvas.chart"),
    ("#/devices/heart", "canvas.strip"),
    ("#/devices/probe/settings", "#device-form"),
    ("#/add-device", ".pick"),
    ("#/brokers", ".broker"),
    ("#/add-broker", "#broker-form"),
    ("#/log/agent", "table"),
    ("#/log/commands", ".empty, table"),
    ("#/log/audit", "table"),
    ("#/settings", "table"),
    ("#/settings/access", "table"),
    ("#/settings/about", ".pairs dd"),
    ("#/board", ".cell"),
)


async def faults(browser):
    return [*await browser.run(FAULTS), *await browser.run(PALE), *await axe(browser)]


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_everything_has_a_name_and_can_be_read(browser, world, colours):
    await scheme(browser, colours)
    await browser.open(world.url)
    await browser.element("#token")
    assert await faults(browser) == []
    await sign_in(browser, world)
    await world.agent.client.disconnect_broker("a")
    world.probe.hot = True
    await browser.seen("above 50", ".tile[data-name=probe]")
    for place, shows in VIEWS:
        await go(browser, place, shows)
        name = place[2:].replace("/", "-") or "overview"
        assert await faults(browser) == [], place
        await browser.picture(PICTURES / f"{name}-{colours}.png")
    await go(browser, "#/devices/probe", "#command")
    await browser.click("#command")
    await browser.until("document.querySelector('dialog label')")
    assert await faults(browser) == []
    await browser.picture(PICTURES / f"command-{colours}.png")
    await browser.press(ESCAPE)
    await browser.until("!document.querySelector('dialog')")
    await go(browser, "#/settings", "[data-key='logging.level']")
    await browser.click("[data-key='logging.level']")
    await browser.until("document.querySelector('dialog label')")
    assert await faults(browser) == []
    await browser.press(ESCAPE)
    await go(browser, "#/add-device", "[data-driver=lines]")
    await browser.click("[data-driver=lines]")
    await browser.element("#device-form")
    assert await faults(browser) == []
    await browser.picture(PICTURES / f"add-device-form-{colours}.png")
    await go(browser, "#/", ".tile")
    await world.agent.kill()
    await browser.seen("is lost", "#link")
    assert await browser.run(PALE) == []


async def test_the_keyboard_alone_is_enough(browser, world):
    await browser.open(world.url)
    await browser.until(f"{FOCUS}.id === 'token'")  # nothing else can be done there
    await browser.press(*await world.token("admin"), ENTER)
    await browser.until("document.body.dataset.link === 'live' && document.querySelectorAll('.tile').length === 2")
    await browser.run("document.querySelector('.skip').focus()")
    order = [await browser.run(f"return {FOCUS}.textContent")]
    for _ in range(30):
        await browser.press(TAB)
        order.append(await browser.run(f"return {FOCUS}.ariaLabel || {FOCUS}.textContent.trim()"))
        outline = await browser.run(f"return getComputedStyle({FOCUS}).outlineStyle")
        assert outline != "none", order
        if order[-1] == "ECG":
            break
    places = [words.rstrip("0123456789") for words in order[1:6]]
    assert places == ["Overview", "Devices", "Brokers", "Log", "Settings"], order
    assert [name for name in order[6:] if not name.startswith("Open")] == [
        *("Sign out", "Board", "Add a device", "Thermometer 1", "ECG")
    ]
    await browser.run("document.querySelector('.skip').focus()")
    await browser.press(ENTER)
    await browser.until(f"{FOCUS}.id === 'main'")
    assert await browser.run("return location.hash") == ""
    await go(browser, "#/brokers", ".broker [role=switch]")
    await browser.run("document.querySelector('.broker [role=switch]').focus()")
    await browser.press(SPACE)
    await browser.until("document.querySelector('dialog')")
    for _ in range(6):  # the page behind a dialog is out of reach
        await browser.press(TAB)
        assert await browser.run(f"return Boolean({FOCUS}.closest('dialog')) || {FOCUS} === document.body")
    await browser.press(ESCAPE)
    await browser.until(f"!document.querySelector('dialog') && {FOCUS}.getAttribute('role') === 'switch'")


@pytest.mark.parametrize("width", [320, 390, 768])
async def test_nothing_runs_out_of_a_narrow_screen(browser, world, width):
    await browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=2, mobile=True)
    await sign_in(browser, world)
    small = (
        "return [...document.querySelectorAll('button, .button, #places .links a')]"
        ".filter((one) => one.checkVisibility()).map((one) => [one.getBoundingClientRect(), one])"
        ".filter(([box]) => box.height < 35.5 || box.width < 35.5).map(([box, one]) => one.textContent)"
    )
    for place, shows in VIEWS:
        await go(browser, place, shows)
        assert await browser.run("return document.documentElement.scrollWidth") <= width, place
        assert await browser.run(small) == [], place  # fingers are wide
        await browser.picture(PICTURES / f"{place[2:].replace('/', '-') or 'overview'}-{width}.png")
