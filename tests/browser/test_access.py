"""The page for everybody: names, labels, contrast, keyboard, a phone's width, dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import PICTURES, sign_in

TAB, ENTER, SPACE, ESCAPE = "\ue004", "\ue007", " ", "\ue00c"
HERE = Path(__file__).parent
FOCUS = "document.activeElement"

FAULTS = (HERE / "faults.js").read_text()

PALE = (HERE / "pale.js").read_text()


async def scheme(browser, name):
    await browser.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_everything_has_a_name_and_can_be_read(browser, world, colours):
    await scheme(browser, colours)
    await browser.open(world.url)
    await browser.element("#token")
    assert await browser.run(FAULTS) == []
    assert await browser.run(PALE) == []
    await sign_in(browser, world)
    await world.agent.client.disconnect_broker("a")
    world.probe.hot = True
    await browser.seen("disconnected", ".broker .state")
    await browser.seen("above 50", ".device[data-name=probe]")
    await browser.run("for (const one of document.querySelectorAll('details')) one.open = true")
    await browser.seen("Nothing was lost", "#gaps")
    assert await browser.run(FAULTS) == []
    assert await browser.run(PALE) == []
    dark = await browser.run("return getComputedStyle(document.body).backgroundColor")
    assert dark == {"light": "rgb(244, 246, 247)", "dark": "rgb(16, 23, 28)"}[colours]
    await browser.picture(PICTURES / f"page-{colours}-open.png")
    for button, picture in (("#add-device", "form"), ("[aria-label='Command: probe']", "command")):
        await browser.click(button)
        await browser.until("document.querySelector('dialog label')")
        assert await browser.run(FAULTS) == []
        assert await browser.run(PALE) == []
        await browser.picture(PICTURES / f"{picture}-{colours}.png")
        await browser.press(ESCAPE)
        await browser.until("!document.querySelector('dialog')")
    await world.agent.kill()
    await browser.seen("is lost", "#link")
    banner = [words for words in await browser.run(PALE) if "link to the gateway" in words]
    assert banner == []


async def test_the_keyboard_alone_is_enough(browser, world):
    await browser.open(world.url)
    await browser.until(f"{FOCUS}.id === 'token'")  # nothing else can be done there
    await browser.press(*await world.token("admin"), ENTER)
    await browser.until("document.body.dataset.link === 'live' && document.querySelectorAll('.device').length === 2")
    await browser.seen("connected", ".broker .state")
    await browser.run("document.querySelector('.skip').focus()")
    order = [await browser.run(f"return {FOCUS}.textContent")]
    for _ in range(40):
        await browser.press(TAB)
        order.append(await browser.run(f"return {FOCUS}.ariaLabel || {FOCUS}.textContent.trim()"))
        outline = await browser.run(f"return getComputedStyle({FOCUS}).outlineStyle")
        assert outline != "none", order
        if order[-1].startswith("Commands"):
            break
    wanted = ["Skip to the content", "Sign out", "Add a broker", "Connect a", "Edit a", "Remove a", "Register a device"]
    assert order[: len(wanted)] == wanted
    assert {"Command: probe", "Edit: heart", "Remove: heart"} <= set(order)
    await browser.run("document.querySelector('.broker [role=switch]').focus()")
    await browser.press(SPACE)
    await world.agent.broker("a", "disconnected")
    await browser.until(f"{FOCUS}.getAttribute('role') === 'switch' && !{FOCUS}.disabled")  # it stays where it was
    await browser.run("document.querySelector('#add-device').focus()")
    await browser.press(ENTER)
    await browser.until(f"{FOCUS}.name === 'device_id'")
    for _ in range(25):  # the page behind a dialog is out of reach
        await browser.press(TAB)
        inside = await browser.run(f"return Boolean({FOCUS}.closest('dialog')) || {FOCUS} === document.body")
        assert inside
    await browser.press(ESCAPE)
    await browser.until(f"!document.querySelector('dialog') && {FOCUS}.id === 'add-device'")


@pytest.mark.parametrize("width", [320, 390, 768])
async def test_nothing_runs_out_of_a_narrow_screen(browser, world, width):
    await browser.cdp("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=2, mobile=True)
    await sign_in(browser, world)
    await browser.seen("connected", ".broker .state")
    await browser.until("document.querySelector('polyline')?.points.length > 2")
    assert await browser.run("return document.documentElement.scrollWidth") <= width
    small = (
        "return [...document.querySelectorAll('button')].filter((one) => one.checkVisibility())"
        ".map((one) => one.getBoundingClientRect()).filter((box) => box.height < 36 || box.width < 36).length"
    )
    assert await browser.run(small) == 0  # fingers are wide
    await browser.picture(PICTURES / f"width-{width}.png")
    await browser.click("#add-device")
    await browser.element("dialog input")
    assert await browser.run("return document.documentElement.scrollWidth") <= width
    await browser.picture(PICTURES / f"form-{width}.png")
