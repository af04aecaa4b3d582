"""The board on a wall: it signs in once, sees and changes nothing, and is there again after a restart."""

from __future__ import annotations

import json

from .conftest import PICTURES, go, sign_in

CELL = ".cell[data-name=probe]"


async def board_token(browser, world) -> str:
    """A token for a board, made in the page by an administrator, who leaves again."""
    await sign_in(browser, world)
    await go(browser, "#/settings/access", "#token-form")
    await browser.fill("Name", "Board ward 7", "main")
    await browser.run("document.querySelector('[name=role]').value = 'kiosk'")
    await browser.click("#token-form button[type=submit]")
    token = await browser.until("document.querySelector('.secret code')?.textContent")
    await browser.until(
        "[...document.querySelectorAll('tr')]"
        ".some((row) => row.innerText.includes('Board ward 7') && row.innerText.includes('board'))"
    )
    await browser.click("#sign-out")
    await browser.element("#token")
    return str(token)


async def test_a_board_stays_signed_in_over_restarts(browser, world):
    token = await board_token(browser, world)
    await browser.run("location.hash = ''")
    await browser.type("#token", token)
    await browser.click("#login button")
    await browser.seen("Bed 4", ".board-cells")
    assert await browser.run("return location.hash") == "#/board"
    await browser.picture(PICTURES / "board-kiosk.png")
    await world.agent.kill()
    await browser.seen("No link to the gateway since", ".board-lost")
    await world.agent.start()
    await browser.until("!document.querySelector('.board-lost').checkVisibility()")
    await browser.seen("Bed 4", ".board-cells")
    await browser.open(world.url)
    await browser.seen("Bed 4", ".board-cells")
    await go(browser, "#/brokers", ".broker")
    buttons = "return [...document.querySelectorAll('main button, header .button')].map((one) => one.textContent)"
    assert await browser.run(buttons) == []
    await browser.seen("(board)", "#places")


async def test_no_number_of_the_board_is_cut_off(browser, world, tmp_path):
    options = {"format": "json", "fields": {"n": {"name": "weight", "scale": 1.1, "offset": 100000, "unit": "kg"}}}
    settings = {"driver": "lines", "port": str(tmp_path / "probe"), "label": "Scale", "options": options}
    await world.agent.client.replace_device("probe", settings)
    await sign_in(browser, world, "viewer")
    await browser.run("localStorage.setItem('gatepost-board-cells', '24')")
    await go(browser, "#/board", CELL)
    await browser.seen("100,", ".board-cells")
    wide = (
        "return [...document.querySelectorAll('.number, .unit')].filter((one) => "
        "one.getBoundingClientRect().right > one.closest('.cell').getBoundingClientRect().right - 12)"
        ".map((one) => one.innerText)"
    )
    for width in (390, 768, 1280):
        await browser.cdp(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        assert await browser.run(wide) == [], width


async def test_the_installed_app_is_the_board(browser, world):
    await browser.open(world.url)
    manifest = json.loads(
        await browser.run_async(
            "const done = arguments[0];"
            "fetch(document.querySelector('[rel=manifest]').href).then((one) => one.text()).then(done)"
        )
    )
    assert (manifest["display"], manifest["start_url"]) == ("standalone", "/#/board")
    errors = (await browser.cdp("Page.getInstallabilityErrors"))["installabilityErrors"]
    assert [one["errorId"] for one in errors if one["errorId"] != "in-incognito"] == []
