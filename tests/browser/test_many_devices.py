"""The table of devices with 200 of them: rows stay, and the gateway is not asked faster than it allows."""

from __future__ import annotations

from .conftest import PICTURES, go, sign_in

DEVICES = 200
# A status with many devices in place of the gateway's own, and a reading of each.
FILLED = """
const [count, done] = arguments;
(async () => {
  const { state } = await import("/static/core/state.js");
  const status = structuredClone(state.status);
  const like = status.devices.find((one) => one.id === "probe");
  state.stop();
  const names = Array.from({ length: count }, (_, at) => `d${String(at).padStart(3, "0")}`);
  const room = (at) => `Bed ${at % 40}`;
  status.devices = names.map((id, at) => ({ ...like, id, label: `Thermometer ${at}`, room: room(at) }));
  state.status = status;
  window.readings = (value) => {
    const now = new Date().toISOString();
    const reading = { metric_type: "temperature", timestamp: now, temperature: value, units: { temperature: "Cel" } };
    for (const id of names) state.of(id).take({ ...reading, device_id: id });
    state.dispatchEvent(new CustomEvent("readings", { detail: new Set(names) }));
  };
  window.again = () => state.dispatchEvent(new Event("status"));
  done(true);
})().catch((error) => done(String(error)));
"""
ROWS = "document.querySelectorAll('tr.device')"
# As the gateway's status and readings come for a while: the rows that were made anew.
MADE = """
const before = new Set(document.querySelectorAll("tr.device"));
const watch = new MutationObserver(() => {});
watch.observe(document.querySelector("tbody"), { childList: true });
for (let turn = 0; turn < 20; turn += 1) {
  readings(36 + turn / 10);
  again();
}
return [watch.takeRecords().length, [...document.querySelectorAll("tr.device")].every((row) => before.has(row))];
"""


async def test_two_hundred_devices_are_a_table_whose_rows_stay(browser, world):
    await sign_in(browser, world, "viewer")
    assert await browser.run_async(FILLED, DEVICES) is True
    await browser.run("readings(36.5)")
    await go(browser, "#/devices", "tr.device")
    await browser.until(f"{ROWS}.length === {DEVICES}")
    await browser.seen("Temperature 36.5", "tbody")
    assert await browser.run(MADE) == [0, True]
    await browser.seen("Temperature 37.9", "tbody")
    await browser.picture(PICTURES / "devices-many.png")
    await browser.run("document.querySelector('[name=room]').value = 'Bed 7'; again()")
    await browser.until(f"{ROWS}.length === 5")
    await browser.type("#search", "d047")
    await browser.until(f"{ROWS}.length === 1")
    await browser.run("for (const one of document.querySelectorAll('#search, [name=room]')) one.value = ''; again()")
    await browser.until(f"{ROWS}.length === {DEVICES}")
    await browser.click("[data-sort=room]")
    assert (await browser.run(f"return {ROWS}[0].innerText")).startswith("Thermometer 0")


async def test_the_past_of_many_devices_is_asked_for_one_after_the_other(browser, world):
    await sign_in(browser, world, "viewer")
    asked = """
    const [count, done] = arguments;
    (async () => {
      const { state } = await import("/static/core/state.js");
      const real = window.fetch;
      const answer = (content) => new Response(JSON.stringify(content));
      let open = 0, most = 0, paths = new Set();
      window.fetch = async (path, options) => {
        if (!path.includes("/data?")) return real(path, options);
        paths.add(path);
        open += 1;
        most = Math.max(most, open);
        await new Promise((next) => setTimeout(next));
        open -= 1;
        if (paths.size === count) done(most);
        return answer({ readings: [] });
      };
      const status = structuredClone(state.status);
      const like = status.devices[0];
      status.devices = Array.from({ length: count }, (_, at) => ({ ...like, id: `d${at}` }));
      const through = window.fetch;
      window.fetch = async (path, options) => (path.endsWith("/status") ? answer(status) : through(path, options));
      state.refresh();
    })().catch((error) => done(String(error)));
    """
    assert await browser.run_async(asked, 12) == 1


BEYOND = """
const done = arguments[0];
import("/static/core/state.js").then(({ state }) => {
  for (const one of state.devices) state.of(one.id).limits = { temperature: { max: 30 } };
  readings(36.5);
  again();
  done(true);
});
"""


async def test_long_lists_leave_room_on_a_phone(browser, world):
    await browser.cdp("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    await sign_in(browser, world, "viewer")
    assert await browser.run_async(FILLED, 12) is True
    assert await browser.run_async(BEYOND) is True
    wanting = "document.querySelectorAll('#wanting li').length"
    total = int(await browser.run("return document.querySelector('.badge').textContent"))
    assert total >= 12
    await browser.seen(f"Show all {total}", "#wanting-more")
    assert await browser.run(f"return {wanting}") == 8
    for shown in (total, 8):  # what is scrolled to is not behind the bar of places
        await browser.run("document.querySelector('#wanting-more').scrollIntoView({ block: 'nearest' })")
        await browser.click("#wanting-more")
        await browser.until(f"{wanting} === {shown}")
    await go(browser, "#/devices", "tr.device")
    tall = "Math.max(...[...document.querySelectorAll('tr.device')].map((one) => one.offsetHeight))"
    assert await browser.run(f"return {tall}") < 120
    await browser.seen("Temperature 36.5", "tbody")
    await browser.picture(PICTURES / "devices-many-390.png")


async def test_settings_of_many_devices_are_unfolded_one_by_one(browser, world, tmp_path):
    for number in range(5):
        settings = {"driver": "mt-sics", "port": str(tmp_path / str(number))}
        await world.agent.client.add_device(f"scale-{number}", settings)
    await sign_in(browser, world, tiles=7)
    await go(browser, "#/settings", "details.group")
    assert await browser.run("return document.querySelectorAll('details.group').length") == 8
    assert await browser.run("return document.querySelectorAll('details.group td').length") == 0
    scale = "[...document.querySelectorAll('summary')].find((one) => one.innerText.includes('scale-3'))"
    await browser.run(f"{scale}.click()")
    await browser.seen("devices.scale-3.driver", "details[open]")
    await browser.type("[type=search]", "scale-2")
    await browser.seen("devices.scale-2.driver", "main")
    assert await browser.run("return document.querySelectorAll('details.group').length") == 0


async def test_a_device_that_there_is_not_offers_nothing(browser, world):
    await sign_in(browser, world)
    await go(browser, "#/devices/nobody", ".notice")
    await browser.seen("There is no such device", "main")
    offered = "[...document.querySelectorAll('.columns, #remove, #edit, #command')]"
    assert await browser.run(f"return {offered}.filter((one) => one.checkVisibility()).length") == 0
    await go(browser, "#/devices/probe", "#remove")
