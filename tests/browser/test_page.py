"""What a person does with the page."""

from __future__ import annotations

import asyncio
import json

from .conftest import PICTURES, go, sign_in

SWITCH = ".broker[data-name=a] [role=switch]"
TILE = ".tile[data-name=probe]"
CANVAS = "document.querySelector('.device[data-name=heart] .wave canvas')"


async def test_it_loads_from_the_gateway_alone_and_without_a_complaint(browser, world):
    await sign_in(browser, world)
    await browser.seen("gw", "#gateway")
    await browser.seen("Thermometer 1", TILE)
    await browser.seen("20", f"{TILE} .values")
    await browser.until("Number(document.querySelector(`${arguments[0]} .spark`).dataset.points) > 3", TILE)
    await browser.seen("of 1 connected", ".figure[data-name=brokers]")
    paint = await browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    await browser.picture(PICTURES / "overview-light.png")
    for place, shows in (
        ("#/devices", "tbody tr"),
        ("#/brokers", ".broker"),
        ("#/log", "tbody tr"),
        ("#/settings", "td"),
    ):
        await go(browser, place, shows)
        await browser.picture(PICTURES / f"{place[2:]}-light.png")
    host = world.url.removeprefix("http://")
    addresses = [address for address in await browser.watched() if not address.startswith(("data:", "chrome"))]
    assert addresses
    assert [address for address in addresses if address.split("/")[2] != host] == []
    assert f"ws://{host}/ws" in {address.partition("?")[0] for address in addresses}
    # the first question who one is, before signing in, is answered 401: browsers always say so
    complaints = [words for words in await browser.heard() if "/api/v1/session" not in words or "401" not in words]
    assert complaints == []
    own = {url: octets for url, octets in browser.octets.items() if "/static/" in url or url.endswith("/")}
    assert 10_000 < sum(own.values()) < 250_000, own  # heads included
    print(f"first paint after {paint:.0f} ms, {sum(own.values())} octets of files")


async def test_a_wrong_token_is_told(browser, world):
    await browser.open(world.url)
    await browser.type("#token", "gp_nonsense")
    await browser.click("#login button")
    await browser.until("document.querySelector('#login-error').textContent.length > 10")
    assert not await browser.run("return document.querySelector('#places').checkVisibility()")
    await browser.picture(PICTURES / "sign-in.png")


async def test_a_login_code_signs_in_once(browser, world):
    code = (await world.agent.cli("token", "browser", "--role", "viewer"))["code"]
    await browser.open(world.url)
    await browser.type("#token", code)
    await browser.click("#login button")
    await browser.seen("viewer", "#places .who")
    await browser.click("#sign-out")
    await browser.type("#token", code)
    await browser.click("#login button")
    await browser.until("document.querySelector('#login-error').textContent.length > 10")


async def test_a_switch_that_cuts_a_broker_off_asks_first(browser, world):
    await sign_in(browser, world, "operator")
    await go(browser, "#/brokers", SWITCH)
    await world.agent.broker("a", "connected")
    await browser.until("document.querySelector(arguments[0])?.ariaChecked === 'true'", SWITCH)
    await browser.click(SWITCH)
    await browser.click("dialog button.plain")
    await world.agent.broker("a", "connected")
    await browser.click(SWITCH)
    await browser.picture(PICTURES / "broker-cut.png")
    await browser.click("dialog button[type=submit]")
    await world.agent.broker("a", "disconnected")
    await browser.seen("switched off", ".broker[data-name=a] .sign")
    await browser.until("document.querySelector(arguments[0]).ariaChecked === 'false'", SWITCH)
    await browser.click(SWITCH)
    await world.agent.broker("a", "connected")
    await browser.seen("connected", ".broker .sign")


async def test_a_device_is_changed_and_removed(browser, world, tmp_path):
    await world.agent.client.add_device("scale-1", {"driver": "mt-sics", "port": str(tmp_path / "nowhere")})
    await sign_in(browser, world, tiles=3)
    await go(browser, "#/devices/scale-1", "#edit")
    await browser.seen("mt-sics", ".pairs")
    await browser.click("#edit")
    await browser.fill("Report at most", "5s", "main")
    await browser.fill("Name", "Scale", "main")
    await browser.fill("Room", "Lab", "main")
    await browser.click("#device-form button[type=submit]")
    await browser.seen("Scale", "h1")
    found = {one["id"]: one for one in (await world.agent.client.devices())["devices"]}
    assert (found["scale-1"]["every"], found["scale-1"]["label"], found["scale-1"]["room"]) == (5, "Scale", "Lab")
    await browser.click("#remove")
    await browser.click("dialog button[type=submit]")
    await browser.until("document.querySelectorAll('tr.device').length === 2")
    assert "scale-1" not in {one["id"] for one in (await world.agent.client.devices())["devices"]}


async def test_limits_are_rows_and_options_are_fields(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/devices/probe/settings", "#device-form")
    assert await browser.run("return document.querySelector('.limit-row input').value") == "t"
    await browser.run("document.querySelectorAll('.limit-row input')[1].value = 'warm'")
    await browser.click("#device-form button[type=submit]")
    await browser.seen("not a number", ".limit-field")
    await browser.run("document.querySelectorAll('.limit-row input')[1].value = '10,5'")
    await browser.click("#device-form button[type=submit]")
    await browser.element("canvas.chart")
    found = {one["id"]: one for one in (await world.agent.client.devices())["devices"]}
    assert dict(found["probe"]["thresholds"]["t"]) == {"min": 10.5, "max": 50.0}, found["probe"]["thresholds"]
    assert found["probe"]["configured"]["options"] == {"format": "json"}
    assert (await world.agent.client.device("probe"))["configured"]["patient"] == "***"  # kept


async def test_a_broker_is_added_with_its_format(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/add-broker", "#broker-form")
    await browser.fill("Id", "home", "main")
    await browser.fill("Address", world.broker.url, "main")
    await browser.run(
        "const one = document.querySelector('[name=format]'); one.value = 'homeassistant';"
        "one.dispatchEvent(new Event('change'))"
    )
    await browser.fill("Discovery prefix", "hass", "main")
    await browser.click("#broker-form button[type=submit]")
    await browser.until("document.querySelector('[name=url]').ariaInvalid === 'true'")  # the client id is a's
    await browser.picture(PICTURES / "broker-form.png")
    await browser.click("#broker-form summary")
    await browser.fill("Client id", "home-1", "main")
    await browser.click("#broker-form button[type=submit]")
    await browser.seen("homeassistant", ".broker[data-name=home]")
    await browser.seen("connected", ".broker[data-name=home] .sign")
    found = await world.agent.client.broker("home")
    assert found["configured"]["options"] == {"discovery_prefix": "hass"}


async def test_a_value_beyond_its_limit_is_told_first(browser, world):
    await sign_in(browser, world)
    await browser.seen("20", f"{TILE} .values")
    world.probe.hot = True
    await browser.seen("T 99 is above 50", "#wanting")
    await browser.seen("no alarm: alarms belong to the monitor", "#wanting")
    assert await browser.run("return document.querySelector(`${arguments[0]} .bad`).textContent", TILE) == "99"
    await browser.until("document.title.includes('T 99 is above 50')")
    await browser.picture(PICTURES / "beyond.png")
    world.probe.hot = False
    await browser.until("!document.querySelector('main').innerText.includes('T 99')")


async def test_a_device_that_is_gone_is_an_error_and_needs_a_person(browser, world, tmp_path):
    await sign_in(browser, world)
    (tmp_path / "probe").unlink()
    await world.agent.client.replace_device(
        "probe", {"driver": "lines", "port": str(tmp_path / "probe"), "label": "Thermometer 1", "room": "Bed 4"}
    )
    await browser.seen("Thermometer 1", "#wanting .bad")
    await browser.seen("Bed 4", "#wanting .bad")
    await browser.until("document.querySelector(`${arguments[0]} .sign`).classList.contains('bad')", TILE)
    assert int(await browser.run("return document.querySelector('.badge').textContent")) >= 1
    await browser.picture(PICTURES / "needs-a-person.png")


async def test_history_has_ranges_zoom_and_points_to_read(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/devices/probe", "canvas.chart")
    chart = "document.querySelector('canvas.chart')"
    await browser.until(f"Number({chart}.dataset.points) > 5")
    await browser.click("[data-range='24h']")
    await browser.until("document.querySelector('[data-range=\"24h\"]').ariaPressed === 'true'")
    await browser.until(f"{chart}.getAttribute('aria-label').startsWith('N from')")
    await browser.click(".choice[data-name=t]")
    await browser.until(f"{chart}.getAttribute('aria-label').startsWith('T from')")
    await browser.run(f"{chart}.focus()")
    await browser.press("\ue012")  # arrow left: the newest point
    await browser.until("document.querySelector('.tip')?.textContent.includes('20')")
    await browser.press("+")
    await browser.seen("Whole range", ".history")
    await browser.picture(PICTURES / "device-light.png")


async def test_a_waveform_runs_and_shows_its_gaps(browser, world):
    await sign_in(browser, world, "viewer")
    await go(browser, "#/devices/heart", ".wave canvas")
    await browser.until(f"Number({CANVAS}?.dataset.blocks) >= 2")
    first = await browser.run(f"return {CANVAS}.toDataURL()")
    await browser.until(f"{CANVAS}.toDataURL() !== arguments[0]", first)
    drawn = f"{CANVAS}.getContext('2d').getImageData(0, 0, {CANVAS}.width, {CANVAS}.height).data.some((one) => one)"
    assert await browser.run(f"return {drawn}")
    world.heart.quiet = True
    blocks = await browser.run(f"return {CANVAS}.dataset.blocks")
    await browser.until("arguments[0] < Date.now() - 3000", await browser.run("return Date.now()"))
    world.heart.quiet = False
    await browser.until(f"Number({CANVAS}.dataset.blocks) > arguments[0] + 2", int(blocks))
    await browser.until(f"Number({CANVAS}.dataset.gaps) >= 1")
    await browser.picture(PICTURES / "waveform.png")


async def test_a_command_is_sent_and_its_outcome_told(browser, world):
    await sign_in(browser, world, "operator")
    await go(browser, "#/devices/probe", "#command")
    await browser.click("#command")
    await browser.until("document.querySelector('dialog select')?.options.length > 2")
    await browser.run(
        "const one = document.querySelector('dialog select'); one.value = 'set_interval';"
        "one.dispatchEvent(new Event('change'))"
    )
    await browser.fill("Interval", "3")
    await browser.click("dialog button[type=submit]")
    await browser.seen("done", "dialog output")
    await browser.picture(PICTURES / "command.png")
    found = {one["id"]: one for one in (await world.agent.client.devices())["devices"]}
    assert found["probe"]["every"] == 3
    await browser.click("dialog button.plain")
    await go(browser, "#/log/commands", "table")
    await browser.seen("set_interval", "table")


async def test_a_viewer_sees_everything_and_can_change_nothing(browser, world):
    await sign_in(browser, world, "viewer")
    shown = (
        "[...document.querySelectorAll('main button, #places button, header button')]"
        ".filter((one) => one.checkVisibility()).map((one) => one.textContent)"
    )
    assert await browser.run(f"return {shown}") == ["Sign out"]
    await go(browser, "#/brokers", ".broker")
    assert await browser.run(f"return {shown}") == ["Sign out"]
    await go(browser, "#/settings", "table")
    assert await browser.run(f"return {shown}") == ["Sign out"]
    await browser.click("#sign-out")
    await browser.element("#token")
    assert await browser.run("return document.querySelectorAll('.device, .broker, td').length") == 0


async def test_a_lost_link_is_told_and_found_again(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/board", ".cell")
    await go(browser, "#/", ".tile")
    await world.agent.kill()
    await browser.seen("is lost", "#link")
    assert await browser.run("return document.body.classList.contains('lost')")
    await browser.picture(PICTURES / "link-lost.png")
    await go(browser, "#/board", ".board-lost")
    await world.agent.start()
    # sessions live in memory: after a restart one signs in again
    await browser.type("#token", await world.token("admin"))
    await browser.click("#login button")
    await browser.until("document.body.dataset.link === 'live' && !document.querySelector('#link').checkVisibility()")
    await browser.until("document.querySelectorAll('.cell').length >= 2")


async def test_what_devices_and_settings_say_is_text_and_never_markup(browser, world, tmp_path):
    nasty = "<img src=x onerror=alert(1)>"
    device = {"driver": "lines", "port": str(tmp_path / "probe"), "options": {"format": "json"}, "label": nasty}
    drop = {
        "gateway": {"labels": {"site": "<script>alert(1)</script>"}},
        "devices": {"probe": device | {"room": nasty}},
    }
    world.agent.drop("70-nasty.yaml", json.dumps(drop))
    await world.agent.cli("reload")
    await sign_in(browser, world)
    await browser.seen(nasty, TILE)
    for place, shows in (("#/devices", "tbody"), ("#/devices/probe", "h1"), ("#/board", ".cell"), ("#/settings", "td")):
        await go(browser, place, shows)
        await browser.seen(nasty)
    await go(browser, "#/settings/about", ".pairs")
    await browser.seen("<script>alert(1)</script>", ".pairs")
    assert await browser.run("return document.querySelectorAll('main script, main img').length") == 0


async def test_the_table_is_searched_filtered_and_sorted(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/devices", "tbody tr")
    names = "return [...document.querySelectorAll('tbody th a')].map((one) => one.textContent)"
    assert await browser.run(names) == ["ECG", "Thermometer 1"]
    await browser.click("[data-sort=device]")
    assert await browser.run(names) == ["Thermometer 1", "ECG"]
    assert await browser.run("return document.querySelector('[aria-sort=descending]').innerText") == "Device"
    await browser.type("#search", "bed")
    assert await browser.run(names) == ["Thermometer 1"]
    await browser.type("#search", " nothing like it")
    await browser.seen("No device fits", "main")


async def test_the_page_speaks_german_to_who_wants_it(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/settings/about", "#language")
    await browser.run(
        "const one = document.querySelector('#language'); one.value = 'de'; one.dispatchEvent(new Event('change'))"
    )
    await browser.seen("Einstellungen", "h1")
    assert await browser.run("return document.documentElement.lang") == "de"
    await go(browser, "#/", ".tile")
    await browser.seen("Geräte", "#devices-title")
    await browser.picture(PICTURES / "german.png")
    await go(browser, "#/devices/probe/settings", "#device-form")
    await browser.seen("was eine Zeile beendet", "main")
    await browser.picture(PICTURES / "german-form.png")
    await go(browser, "#/settings", "[data-key='store.keep']")
    await browser.seen("wie lange der Verlauf bleibt", "main")


async def test_tokens_are_made_and_revoked(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/settings/access", "#token-form")
    await browser.fill("Name", "ward board", "main")
    await browser.click("#token-form button[type=submit]")
    await browser.until("document.querySelector('.secret code')?.textContent.startsWith('gp_')")
    await browser.seen("ward board", "table")
    await browser.picture(PICTURES / "tokens.png")
    await browser.click("[aria-label='Revoke: ward board']")
    await browser.click("dialog button[type=submit]")
    await browser.until("![...document.querySelectorAll('td')].some((one) => one.textContent === 'ward board')")


async def test_nothing_grows_while_views_come_and_go(browser, world):
    await sign_in(browser, world)
    counts = []
    for _ in range(3):
        for place, shows in (
            ("#/devices/heart", ".wave canvas"),
            ("#/board", ".cell"),
            ("#/devices", "tr"),
            ("#/", ".tile"),
        ):
            await go(browser, place, shows)
            await asyncio.sleep(0)
        await browser.cdp("HeapProfiler.collectGarbage")
        counts.append((await browser.cdp("Memory.getDOMCounters"))["jsEventListeners"])
    assert counts[2] <= counts[1] + 5, counts
