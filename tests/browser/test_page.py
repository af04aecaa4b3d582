"""What a person does with the page."""

from __future__ import annotations

import json

from .conftest import PICTURES, sign_in

SWITCH = ".broker[data-name=a] [role=switch]"


async def test_it_loads_from_the_gateway_alone_and_without_a_complaint(browser, world):
    await sign_in(browser, world)
    await browser.seen("gw", "#gateway")
    await browser.seen("connected", ".broker[data-name=a] .state")
    await browser.seen("20", ".device[data-name=probe] .values")
    await browser.seen("patient P-1", ".device[data-name=probe]")
    await browser.until("document.querySelector('.device[data-name=probe] polyline')?.points.length > 3")
    host = world.url.removeprefix("http://")
    addresses = [address for address in await browser.watched() if not address.startswith(("data:", "chrome"))]
    assert addresses
    assert [address for address in addresses if address.split("/")[2] != host] == []
    assert f"ws://{host}/ws" in {address.partition("?")[0] for address in addresses}
    # the first question who one is, before signing in, is answered 401: browsers always say so
    complaints = [words for words in await browser.heard() if "/api/v1/session" not in words or "401" not in words]
    assert complaints == []
    own = {url: octets for url, octets in browser.octets.items() if url.startswith("http")}
    assert 10_000 < sum(own.values()) < 150_000, own
    paint = await browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    print(f"first paint after {paint:.0f} ms, {sum(own.values())} octets")
    await browser.picture(PICTURES / "page-light.png")


async def test_a_wrong_token_is_told(browser, world):
    await browser.open(world.url)
    await browser.type("#token", "gp_nonsense")
    await browser.click("#login button")
    await browser.until("document.querySelector('#login-error').textContent.length > 10")
    assert not await browser.run("return document.querySelector('#content').checkVisibility()")
    await browser.picture(PICTURES / "sign-in.png")


async def test_the_switch_of_a_broker_really_disconnects_it(browser, world):
    await sign_in(browser, world, "operator")
    await world.agent.broker("a", "connected")
    await browser.until("document.querySelector(arguments[0])?.ariaChecked === 'true'", SWITCH)
    await browser.click(SWITCH)
    await world.agent.broker("a", "disconnected")
    await browser.seen("disconnected", ".broker[data-name=a] .state")
    await browser.until("document.querySelector(arguments[0]).ariaChecked === 'false'", SWITCH)
    await browser.click(SWITCH)
    await world.agent.broker("a", "connected")
    await browser.until("document.querySelector('.broker .state').textContent === 'connected'")


async def test_a_device_is_registered_changed_and_removed(browser, world, tmp_path):
    await sign_in(browser, world)
    await browser.click("#add-device")
    await browser.fill("Device id", "scale-1")
    await browser.fill("Driver", "no-such-driver")
    await browser.fill("Port", str(tmp_path / "nowhere"))
    await browser.click("dialog button[type=submit]")
    await browser.until("document.querySelector('dialog [name=driver]').ariaInvalid === 'true'")
    await browser.picture(PICTURES / "device-wrong.png")
    await browser.run("document.querySelector('dialog [name=driver]').value = ''")
    await browser.fill("Driver", "and-scale")
    await browser.click("dialog button[type=submit]")
    await browser.until("!document.querySelector('dialog')")
    await browser.seen("and-scale", ".device[data-name=scale-1]")
    assert {one["id"] for one in (await world.agent.client.devices())["devices"]} == {"probe", "heart", "scale-1"}
    await browser.click("[aria-label='Edit: scale-1']")
    await browser.fill("Report at most", "5s")
    await browser.click("dialog button[type=submit]")
    await browser.until("!document.querySelector('dialog')")
    found = {one["id"]: one for one in (await world.agent.client.devices())["devices"]}
    assert found["scale-1"]["every"] == 5
    await browser.click("[aria-label='Remove: scale-1']")
    await browser.click("dialog button[type=submit]")
    await browser.until("!document.querySelector('.device[data-name=scale-1]')")


async def test_a_broker_is_added_and_what_is_wrong_stands_beside_its_field(browser, world):
    await sign_in(browser, world)
    await browser.click("#add-broker")
    await browser.fill("Name", "second")
    await browser.fill("Address", "http://nowhere")
    await browser.click("dialog button[type=submit]")
    await browser.until("document.querySelector('dialog [name=url]').ariaInvalid === 'true'")
    await browser.run("document.querySelector('dialog [name=url]').value = ''")
    await browser.fill("Address", world.broker.url)
    await browser.fill("Client id", "gateway-twice")
    await browser.click("dialog button[type=submit]")
    await browser.until("!document.querySelector('dialog')")
    await browser.until("document.querySelector('.broker[data-name=second] .state')?.textContent === 'connected'")


async def test_a_value_beyond_its_limit_is_told_and_only_that_one(browser, world):
    await sign_in(browser, world, "viewer")
    world.probe.hot = True
    await browser.seen("above 50", ".device[data-name=probe] .values")
    told = "[...document.querySelectorAll('.device[data-name=probe] .values .bad')].map((one) => one.textContent)"
    assert await browser.run(f"return {told}") == ["99"]


async def test_a_waveform_runs_and_shows_its_gaps(browser, world):
    await sign_in(browser, world, "viewer")
    canvas = "document.querySelector('.device[data-name=heart] canvas')"
    await browser.until(f"Number({canvas}?.dataset.blocks) >= 2")
    first = await browser.run(f"return {canvas}.toDataURL()")
    await browser.until(f"{canvas}.toDataURL() !== arguments[0]", first)
    drawn = f"{canvas}.getContext('2d').getImageData(0, 0, {canvas}.width, {canvas}.height).data.some((one) => one)"
    assert await browser.run(f"return {drawn}")
    world.heart.quiet = True
    blocks = await browser.run(f"return {canvas}.dataset.blocks")
    await browser.until("arguments[0] < Date.now() - 3000", await browser.run("return Date.now()"))
    world.heart.quiet = False
    await browser.until(f"Number({canvas}.dataset.blocks) > arguments[0] + 2", int(blocks))
    await browser.until(f"Number({canvas}.dataset.gaps) >= 1")
    await browser.picture(PICTURES / "waveform.png")


async def test_a_command_is_sent_and_its_outcome_told(browser, world):
    await sign_in(browser, world, "operator")
    await browser.click("[aria-label='Command: probe']")
    await browser.until("document.querySelector('dialog select')?.options.length > 2")
    await browser.run(
        "const one = document.querySelector('dialog select'); one.value = 'set_interval';"
        "one.dispatchEvent(new Event('change'))"
    )
    await browser.fill("interval", "3")
    await browser.click("dialog button[type=submit]")
    await browser.seen("done", "dialog output")
    await browser.picture(PICTURES / "command.png")
    found = {one["id"]: one for one in (await world.agent.client.devices())["devices"]}
    assert found["probe"]["every"] == 3
    await browser.click("dialog button.plain")
    await browser.run("document.querySelector('#commands').open = true")
    await browser.seen("set_interval", "#commands table")


async def test_a_viewer_sees_everything_and_can_switch_nothing(browser, world):
    await sign_in(browser, world, "viewer")
    await browser.seen("connected", ".broker")
    shown = (
        "[...document.querySelectorAll('button')].filter((one) => one.checkVisibility()).map((one) => one.textContent)"
    )
    assert await browser.run(f"return {shown}") == ["Sign out"]
    await browser.click("#sign-out")
    await browser.element("#token")
    assert await browser.run("return document.querySelectorAll('.device, .broker').length") == 0


async def test_a_lost_link_is_told_and_found_again(browser, world):
    await sign_in(browser, world)
    await world.agent.kill()
    await browser.seen("is lost", "#link")
    assert await browser.run("return document.body.classList.contains('lost')")
    await browser.picture(PICTURES / "link-lost.png")
    await world.agent.start()
    # sessions live in memory: after a restart one signs in again
    await browser.type("#token", await world.token("admin"))
    await browser.click("#login button")
    await browser.until("document.body.dataset.link === 'live' && !document.querySelector('#link').checkVisibility()")
    await browser.seen("online", ".device[data-name=probe]")


async def test_what_devices_and_settings_say_is_text_and_never_markup(browser, world):
    await sign_in(browser, world)
    nasty = json.dumps({"labels": {"<img src=x onerror=alert(1)>": "<script>alert(1)</script>"}})
    world.agent.drop("70-nasty.yaml", f"gateway: {nasty.replace('<img src=x onerror=alert(1)>', 'site')}\n")
    await world.agent.cli("reload")
    await browser.seen("<script>alert(1)</script>", "#facts")
    assert await browser.run("return document.querySelectorAll('#facts script, #facts img').length") == 0
