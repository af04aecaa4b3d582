"""What needs a person, and in which order: judged in the browser from a status as the gateway gives it."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.rig import LATEST

from .conftest import PICTURES, sign_in

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
