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
