"""What needs a person, and in which order: judged in the browser from a status as the gateway gives it."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.rig import LATEST

from .conftest import PICTURES, go, sign_in

JUDGE = """
const [status, findings, done] = arguments;
(async () => {
  const { state } = await import("/static/core/state.js");
  const { needsPerson, signOf } = await import("/static/core/trouble.js");
  Object.assign(state, { status, findings });
  const signs = Object.fromEntries(status.devices.map((device) => [device.id, signOf(device)]));
  done({ needs: needsPerson(), signs });
})().catch((error) => done({ error: String(error) }));
"""
WELL = {"state": "ok", "loss": ""}


def device(name: str, status: str = "online", reason: str | None = None, condition: str = "ok", **more: object):
    seen = {"id": name, "label": name, "status": status, "reason": reason, "condition": condition, "message": "why"}
    return seen | {"monitoring": True, "since": "2026-11-29T10:00:00Z", "hint": "", "thresholds": {}, **more}


@pytest.fixture
async def judged(browser, world):
    await browser.open(world.url)

    async def judge(*devices: dict, store=WELL, brokers=(), findings=()):
        status = {"devices": list(devices), "brokers": list(brokers), "store": store}
        found = await browser.run_async(JUDGE, status, list(findings))
        assert "error" not in found, found
        return found

    return judge


async def test_what_sleeps_or_was_read_is_as_it_should_be(judged):
    found = await judged(
        device("cuff", "offline", "asleep", "idle"),
        device("thermometer", "offline", "waiting", "idle"),
        device("ring", "offline", "waiting-for-slot", "idle"),
        device("meter", "offline", "gone", "idle"),
        device("stopped", monitoring=False, condition="idle"),
        findings=[{"id": "device-no-reading", "severity": "warning", "about": "device cuff", "what": "-"}],
    )
    assert found["needs"] == []
    assert {one["kind"] for one in found["signs"].values()} == {"idle"}


async def test_what_is_unplugged_or_silent_is_an_error(judged):
    found = await judged(
        device("oximeter", "offline", "gone", "error", room="Bed 7"),
        device("probe", "offline", "silent", "error"),
        device("ecg", "error", "wrong-device", "error"),
        findings=[
            {"id": "device-absent", "severity": "warning", "about": "device oximeter", "what": "-"},
            {"id": "disk-low", "severity": "warning", "about": "disk", "what": "9 MB are free", "why": "", "do": "-"},
        ],
    )
    assert [(one["kind"], one["title"]) for one in found["needs"]] == [
        ("bad", "oximeter is unplugged"),
        ("bad", "probe says nothing"),
        ("bad", "ecg: wrong device"),
        ("warn", "Little disk space is left"),
    ]
    assert "Bed 7" in found["needs"][0]["detail"]
    assert "plug it in again" in found["needs"][0]["detail"]


async def test_a_store_that_does_not_store_comes_first(judged):
    gone = device("oximeter", "offline", "gone", "error")
    broker = {"name": "a", "label": "Hospital", "state": "waiting", "active": True, "attempts": 9, "reason": "refused"}
    doctor = [
        {"id": "store-failing", "severity": "problem", "about": "store", "what": "x", "why": "y", "do": "change it"},
        {"id": "log-damaged", "severity": "problem", "about": "store", "what": "x", "why": "y", "do": "z"},
    ]
    found = await judged(
        gone, brokers=[broker], store={"state": "disk I/O error", "loss": "12 readings are missing"}, findings=doctor
    )
    assert [one["title"] for one in found["needs"]] == [
        "Nothing is stored any more",
        "Stored readings may be missing",
        "oximeter is unplugged",
        "Hospital cannot be reached",
    ]
    assert found["needs"][0]["detail"] == "disk I/O error · change it"
    assert found["needs"][1]["detail"].startswith("12 readings are missing")
    full = await judged(store={"state": "the log is full, it takes no more", "loss": ""})
    assert [one["title"] for one in full["needs"]] == ["The store is full"]


async def test_a_loss_is_shown_until_somebody_has_seen_it(browser, world):
    """An older copy of the log, put back while the agent was down."""
    log = world.agent.state / "gatepost.db"
    await world.agent.taken("probe", 3)
    await world.agent.stop()
    copy = log.read_bytes()
    await world.agent.start()
    async with asyncio.timeout(LATEST):
        while not (await world.agent.client.status())["store"]["stored"]:
            await asyncio.sleep(0.05)
    await world.agent.stop()
    log.write_bytes(copy)
    for beside in ("-wal", "-shm"):
        log.with_name(log.name + beside).unlink(missing_ok=True)
    await world.agent.start()
    await sign_in(browser, world, "operator")
    await browser.seen("Stored readings may be missing", "#wanting li:first-child")
    await browser.picture(PICTURES / "store-loss.png")
    await browser.click("#seen")
    await browser.until("!document.querySelector('#wanting')?.innerText.includes('may be missing')")
    assert (await world.agent.client.status())["store"]["loss"] == ""


LIMITS = """
const done = arguments[0];
import("/static/core/values.js").then(({ DeviceValues }) => {
  const at = (second) => new Date(Date.UTC(2026, 10, 30, 3, 0, second)).toISOString();
  const made = (limited, ...values) => {
    const one = new DeviceValues("probe");
    if (limited) one.limits = { t: { max: 30 } };
    values.forEach(([second, t]) => one.take({ timestamp: at(second), metric_type: "environment", t }));
    one.limits = { t: { max: 30 } };
    return one;
  };
  const told = (one) => [new Date(one.latest.get("t").since).getUTCSeconds(), one.latest.get("t").sure];
  const late = made(false, [1, 31], [2, 32]); // its limits came after two readings
  late.take({ timestamp: at(3), metric_type: "environment", t: 33 });
  const recalled = made(true, [9, 33]);
  recalled.follow(made(true, [4, 20], [5, 31], [9, 33]));
  const short = made(true, [9, 33]);
  short.follow(made(true, [7, 32], [9, 33]));
  const [first, went] = [made(true, [1, 35]), made(true, [1, 20], [2, 35], [3, 36])];
  done([first, went, late, recalled, short].map(told));
}).catch((error) => done(String(error)));
"""


async def test_how_long_a_value_is_beyond_its_limit_is_said_as_far_as_it_is_known(browser, world):
    await browser.open(world.url)
    # [since which second, whether a reading before was within]
    assert await browser.run_async(LIMITS) == [[1, False], [2, True], [2, False], [5, True], [7, False]]


UNTAKEN = """
const done = arguments[0];
import("/static/core/state.js").then(({ state }) => {
  const status = structuredClone(state.status);
  state.stop();
  status.devices.find((one) => one.id === "probe").driver = "mqtt";
  state.status = status;
  const real = window.fetch;
  const message = { device: "probe", topic: "tele/probe/SENSOR", reason: "no-values", age: 3, count: 2, size: 9 };
  const refused = [{ ...message, payload: '{"a": "<b>"}' }, { ...message, payload: null }, { ...message, device: "x" }];
  const answer = () => new Response(JSON.stringify({ refused }));
  window.fetch = async (path, options) => (path.endsWith("/refused") ? answer() : real(path, options));
  done(true);
});
"""


async def test_messages_that_no_mapping_took_are_shown_to_operators(browser, world):
    await sign_in(browser, world, "operator")
    assert await browser.run_async(UNTAKEN) is True
    await go(browser, "#/devices/probe", "[aria-label='Not taken'] td")
    await browser.seen("tele/probe/SENSOR", "[aria-label='Not taken']")
    await browser.seen('{"a": "<b>"}', "[aria-label='Not taken']")
    await browser.seen("not shown: it may hold a secret", "[aria-label='Not taken']")
    await browser.seen("no value that the mapping names", "[aria-label='Not taken']")
    assert await browser.run("return document.querySelectorAll('[aria-label=\"Not taken\"] tbody tr').length") == 2
