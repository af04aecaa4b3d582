"""The log of the agent in the page: live, by level, device and text."""

from __future__ import annotations

from .conftest import PICTURES, go, sign_in

ROWS = "[...document.querySelectorAll('tbody tr')].map((row) => row.innerText)"
CHOOSE = "const one = document.querySelector(arguments[0]); one.value = arguments[1]; one.onchange?.();"
CHANGE = CHOOSE + "one.dispatchEvent(new Event('change'))"


async def test_the_agents_log_runs_and_is_filtered(browser, world):
    await sign_in(browser, world, "operator")
    await go(browser, "#/log", "tbody tr")
    await browser.until(f"{ROWS}.some((words) => words.includes('Thermometer 1') && words.includes('is online'))")
    await browser.picture(PICTURES / "log-agent.png")
    await world.agent.client.disconnect_broker("a")
    await browser.until(f"/\\ba\\b/.test({ROWS}[0]) || {ROWS}.some((words) => words.includes('disconnect'))")
    device = "select[aria-label=Device]"
    await browser.run(CHANGE, device, "heart")
    await browser.until(f"{ROWS}.length && {ROWS}.every((words) => words.includes('ECG'))")
    await browser.run(CHANGE, device, "")
    await browser.type("[type=search]", "LISTENS AT")
    await browser.until(f"{ROWS}.length && {ROWS}.every((words) => words.includes('listens at'))")
    await browser.run(CHANGE, "select[aria-label=Level]", "error")
    await browser.seen("Nothing was logged yet", "main")


async def test_a_viewer_has_no_log_of_the_agent(browser, world):
    await sign_in(browser, world, "viewer")
    await go(browser, "#/log", ".tabs")
    tabs = await browser.run("return [...document.querySelectorAll('.tabs a')].map((one) => one.textContent)")
    assert tabs == ["Commands", "Gaps", "Refused"]
