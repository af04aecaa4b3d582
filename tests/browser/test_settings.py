"""Settings in the page: what may be changed is a field, on trial until somebody keeps it; files to take away."""

from __future__ import annotations

from tests.support.ports import free_port

from .conftest import PICTURES, go, sign_in

CHOOSE = "const one = document.querySelector(arguments[0]); one.value = arguments[1]"
STRIP = ".trial"


async def value_of(world, key: str) -> str:
    lines = (await world.agent.client.settings())["settings"]
    return next(line["value"] for line in lines if line["key"] == key)


async def edit(browser, key: str) -> None:
    await go(browser, "#/settings", f"[data-key='{key}']")
    await browser.run("document.querySelector(arguments[0]).click()", f"[data-key='{key}']")  # the table is drawn anew
    await browser.element("dialog button[type=submit]")


async def test_a_setting_is_previewed_tried_and_goes_back_or_is_kept(browser, world):
    await sign_in(browser, world)
    await edit(browser, "logging.level")
    await browser.run(CHOOSE, "dialog [name='logging.level']", "debug")
    await browser.click("#preview")
    await browser.seen("+   level: debug", "dialog pre")
    await browser.seen("60-api.yaml", "dialog")
    await browser.picture(PICTURES / "settings-preview.png")
    assert await value_of(world, "logging.level") == "info"
    await browser.click("dialog button[type=submit]")
    await browser.seen("logging.level", STRIP)
    await browser.picture(PICTURES / "settings-trial.png")
    assert await value_of(world, "logging.level") == "debug"
    await browser.click("#places [data-place=overview]")
    await browser.seen("Changed settings are on trial", "#wanting")
    await go(browser, "#/settings", "#trial-back")
    await browser.click("#trial-back")
    await browser.until("!document.querySelector('.trial')?.checkVisibility()")
    assert await value_of(world, "logging.level") == "info"
    await edit(browser, "store.keep")
    await browser.run(CHOOSE, "dialog [name='store.keep']", "9d")
    await browser.click("dialog button[type=submit]")
    await browser.click("#trial-keep")
    await browser.until("!document.querySelector('.trial')?.checkVisibility()")
    assert await value_of(world, "store.keep") == "9d"


async def test_several_settings_are_changed_at_once_and_one_goes_back_to_the_files(browser, world):
    await sign_in(browser, world)
    await edit(browser, "store.keep")
    await browser.run(CHOOSE, "dialog [name='store.keep']", "9d")
    for key, value in (("logging.level", "debug"), ("commands.timeout", "20s"), ("api.rate_limit", "30/s")):
        await browser.run(f"{CHOOSE}; one.dispatchEvent(new Event('change'))", "dialog [name=another]", key)
        await browser.run(CHOOSE, f"dialog [name='{key}']", value)
    await browser.click("[data-entry='commands.timeout'] button")  # not that one
    await browser.click("#preview")
    await browser.seen('+   keep: "9d"', "dialog pre")
    await browser.picture(PICTURES / "settings-several.png")
    await browser.click("dialog button[type=submit]")
    await browser.seen("logging.level", STRIP)
    assert await value_of(world, "store.keep") == "9d"
    assert await value_of(world, "logging.level") == "debug"
    assert await value_of(world, "commands.timeout") == "30s"
    assert await value_of(world, "api.rate_limit") == "30/s"
    await browser.click("#trial-keep")
    await browser.until("!document.querySelector('.trial')?.checkVisibility()")
    await edit(browser, "store.keep")
    await browser.click("[data-entry='store.keep'] [type=checkbox]")
    await browser.run(CHOOSE, "dialog [name=confirm]", "now")
    await browser.click("dialog button[type=submit]")
    await browser.until("!document.querySelector('dialog')")
    assert await value_of(world, "store.keep") == "7d"
    assert await value_of(world, "logging.level") == "debug"


async def test_a_wrong_value_is_told_at_its_field(browser, world):
    await sign_in(browser, world)
    await edit(browser, "store.keep")
    await browser.run(CHOOSE, "dialog [name='store.keep']", "soon")
    await browser.click("dialog button[type=submit]")
    await browser.until("document.querySelector('dialog [name=\"store.keep\"]').ariaInvalid === 'true'")
    await browser.picture(PICTURES / "settings-wrong.png")
    assert await value_of(world, "store.keep") == "7d"


async def test_a_connection_is_tested_before_it_is_kept(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/add-broker", "#broker-form")
    await browser.fill("Id", "home", "main")
    await browser.fill("Address", f"mqtt://127.0.0.1:{free_port()}", "main")
    await browser.click("#test")
    await browser.seen("The connection does not work", "main")
    await browser.seen("Network failed", ".test")
    await browser.picture(PICTURES / "broker-test-failed.png")
    await browser.run(CHOOSE, "[name=url]", world.broker.url)
    await browser.run(CHOOSE, "[name=client_id]", "home-1")
    await browser.click("#test")
    await browser.seen("The connection works", "main")
    await browser.picture(PICTURES / "broker-test.png")
    assert [one["name"] for one in (await world.agent.client.brokers())["brokers"]] == ["a"]


async def test_a_bundle_and_a_backup_can_be_taken_away(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/settings/about", "#support-bundle")
    fetched = (
        "const [id, done] = arguments; fetch(document.getElementById(id).href).then(async (answer) =>"
        " done([answer.status, [...new Uint8Array(await answer.arrayBuffer())].slice(0, 2)]))"
    )
    for file in ("support-bundle", "backup"):
        assert await browser.run_async(fetched, file) == [200, [0x1F, 0x8B]], file
