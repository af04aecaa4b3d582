"""The life of one device: opening, loss, silence, keep-alive, bad drivers, the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gatepost.agent.core.errors import DeviceError
from gatepost.agent.devices import device_session, manager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.link import LinkFailed, Reason
from tests.devices.fakes import QUICK, Bench, Options, line, until


async def test_it_opens_greets_and_is_online(bench: Bench):
    with bench.events.listen() as heard:
        link = await bench.online()
        assert link.heard == [b"hello"]
        assert [(name, payload["status"]) for name, payload in bench.statuses] == [("d", "online")]
        event = heard.get_nowait()
    assert event.kind == "device.connected"
    assert event.data["device_id"] == "d"
    assert event.data["timestamp"].endswith("Z")
    assert "reason" not in event.data


async def test_a_missing_port_is_offline_said_once_and_found_when_it_comes(bench: Bench, caplog):
    bench.trouble = LinkFailed(Reason.MISSING, "/dev/x is not there", "plug it in")
    with caplog.at_level(logging.INFO, "test.devices"):
        await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
        await until(lambda: bench.link.attempts > 5)
        view = bench.view()
        assert (view["status"], view["reason"], view["hint"]) == ("offline", "missing", "plug it in")
        assert view["faults"]["missing"] >= 5
        assert len(caplog.records) == 1
        assert [payload["reason"] for _name, payload in bench.statuses] == ["missing"]
        bench.trouble = None
        await until(lambda: bench.view()["status"] == "online")
    assert bench.view()["next_retry_in"] is None


async def test_what_a_person_must_mend_is_an_error(bench: Bench):
    bench.trouble = LinkFailed(Reason.PERMISSION, "may not be opened", "add the group dialout")
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    await until(lambda: bench.view()["status"] == "error")
    assert bench.view()["next_retry_in"] is not None


async def test_a_lost_link_is_reopened_with_a_fresh_decoder(bench: Bench):
    link = await bench.online()
    link.say(line(v=1), b"rubbish\n")
    with bench.events.listen() as heard:
        link.lose()
        await until(lambda: bench.view()["reconnects"] == 1 and bench.view()["status"] == "online")
        assert [heard.get_nowait().kind for _ in range(heard.qsize())] == ["device.disconnected", "device.connected"]
    assert [payload.get("reason") for _name, payload in bench.statuses] == [None, "lost", None]
    link.say(line(v=2), b"rubbish\n")
    assert bench.store.values("v") == [1, 2]
    assert bench.view()["decoder_faults"] == {"bad-line": 2}
    assert b"bye" not in link.heard


async def test_a_reading_resets_the_backoff_and_opening_alone_does_not():
    bench = Bench(limits=QUICK._replace(first_retry=0.001, last_retry=0.002))
    link = await bench.online()
    session = bench.devices._sessions["d"]
    for attempt in range(1, 4):
        link.lose()
        await until(lambda opened=attempt + 1: link.opened == opened and bench.view()["status"] == "online")
        assert session._backoff.failures == attempt
    link.say(line(v=1))
    assert session._backoff.failures == 0
    await bench.devices.close()


async def test_a_port_that_came_but_cannot_be_opened_yet_is_tried_again_soon_and_then_at_the_usual_pace(monkeypatch):
    monkeypatch.setattr(device_session, "ARRIVAL_RETRY", 0.001)
    bench = Bench(limits=QUICK._replace(first_retry=1000.0, last_retry=1000.0))
    bench.trouble = LinkFailed(Reason.MISSING, "/dev/x is not there")
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    await until(lambda: bench.view()["next_retry_in"] is not None)
    assert bench.link.attempts == 1
    bench.trouble = LinkFailed(Reason.BUSY, "/dev/x is in use")
    bench.arrival.set()
    await until(lambda: bench.link.attempts == 2 + device_session.ARRIVAL_ATTEMPTS)
    await until(lambda: (bench.view()["next_retry_in"] or 0) > 100)
    bench.arrival.set()  # pulled and plugged in again
    bench.trouble = None
    await until(lambda: bench.view()["status"] == "online")
    assert bench.link.attempts == 3 + device_session.ARRIVAL_ATTEMPTS
    await bench.devices.close()


async def test_a_silent_device_is_reopened_and_not_called_online_before_it_speaks(bench: Bench):
    await bench.devices.apply({"d": DeviceSettings(driver="silent", port="/dev/x")})
    await until(lambda: bench.view()["reason"] == "silent")
    link = bench.link
    assert b"bye" in link.heard
    await until(lambda: link.opened >= 4)
    assert [payload["status"] for _name, payload in bench.statuses] == ["online", "offline"]
    await until(lambda: link.is_open and bench.devices._sessions["d"].link is not None)
    link.say(b"x")
    assert bench.view()["status"] == "online"


async def test_the_settings_silence_goes_before_the_drivers(bench: Bench):
    link = await bench.online(driver="silent", silence=0)
    await asyncio.sleep(0.15)
    assert link.opened == 1
    assert bench.view()["status"] == "online"


async def test_a_device_that_speaks_is_not_silent(bench: Bench):
    link = await bench.online(driver="silent")
    for number in range(15):
        link.say(line(v=number))
        await asyncio.sleep(0.01)
    assert link.opened == 1


async def test_keep_alive_is_said_again_and_again(bench: Bench):
    link = await bench.online(driver="kept")
    await until(lambda: link.heard.count(b"alive") >= 3)


async def test_a_silent_open_device_wakes_nothing(bench: Bench):
    await bench.online()
    await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()
    timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
    assert timers == []


async def test_a_decoder_that_raises_is_counted_and_replaced_and_others_go_on(bench: Bench, caplog):
    await bench.devices.apply({name: DeviceSettings(driver="test", port=f"/dev/{name}") for name in ("d", "e")})
    await until(lambda: all(view["status"] == "online" for view in bench.devices.views()))
    bad, good = bench.links
    bad.say(line(v=1), line(**{"raise": 1}), line(v=2))
    good.say(line(v=3))
    await until(lambda: bench.view()["status"] == "error")
    assert bench.view()["reason"] == "decoder-error"
    assert "RuntimeError at fakes.py" in bench.view()["message"]
    await until(lambda: bad.opened == 2 and bench.devices._sessions["d"].link is not None)
    assert bench.view()["status"] == "error"
    bad.say(line(v=4))
    assert bench.view()["status"] == "online"
    assert bench.store.values("v") == [1, 3, 4]
    assert bench.view()["faults"]["decoder-error"] == 1
    assert good.opened == 1


async def test_an_unexpected_failure_is_visible_and_tried_again(bench: Bench, monkeypatch):
    from tests.devices.fakes import TestDriver

    monkeypatch.setattr(TestDriver, "on_open_bytes", lambda self: 1 / 0)
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    await until(lambda: bench.view()["status"] == "error" and bench.link.attempts > 2)
    assert bench.view()["reason"] == "failed"
    assert "ZeroDivisionError" in bench.view()["message"]
    monkeypatch.undo()
    await until(lambda: bench.view()["status"] == "online")


async def test_the_end_says_farewell_closes_and_hands_over_what_is_held(bench: Bench):
    link = await bench.online(driver="median", every=60)
    link.say(line(v=1), line(v=2), line(v=9), line(v=3))
    assert bench.store.values("v") == [1]
    await bench.devices.close()
    assert link.heard[-1] == b"bye"
    assert not link.is_open
    assert bench.store.values("v") == [1, 3]
    assert bench.view()["status"] == "stopped"
    assert bench.statuses[-1][1] | {"timestamp": ""} == {
        "device_id": "d",
        "status": "offline",
        "reason": "stopped",
        "timestamp": "",
    }
    assert [task for task in asyncio.all_tasks() if "device" in task.get_name()] == []


async def test_the_end_is_bounded_when_a_port_hangs(bench: Bench, caplog):
    await bench.online()
    bench.close_hangs = True
    await asyncio.wait_for(bench.devices.close(), 1.9)
    assert "did not stop" in caplog.text
    bench.close_hangs = False


async def test_what_is_held_is_handed_over_also_where_the_end_comes_while_new_settings_wait_for_a_secret(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    link = await bench.online(driver="median", every=60)
    link.say(line(v=1), line(v=2), line(v=9), line(v=3))
    hangs, answers = asyncio.Event(), asyncio.Event()

    async def hanging(what: str, work: Any) -> Any:
        hangs.set()
        await answers.wait()
        return Options()

    monkeypatch.setattr(manager, "off_loop", hanging)
    new = DeviceSettings(driver="test", port="/dev/y", options={"level": {"env": "ON_A_SHARE"}})
    applying = asyncio.create_task(bench.devices.apply({"d": bench.link.device, "e": new}))
    await hangs.wait()
    await bench.devices.close()
    assert bench.store.values("v") == [1, 3]
    assert link.heard[-1] == b"bye"
    answers.set()
    with pytest.raises(DeviceError):
        await applying
    assert [link.opened for link in bench.links] == [1, 0]


async def test_the_end_comes_while_a_port_is_being_opened(bench: Bench):
    bench.open_hangs = True
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    await until(lambda: bench.link.attempts == 1)
    await asyncio.wait_for(bench.devices.close(), 0.5)
    assert bench.link.closed == 1


async def test_a_listener_that_fails_stops_nothing(bench: Bench, caplog):
    bench.devices.on_status = lambda name, payload: 1 / 0
    link = await bench.online()
    link.say(line(v=1))
    assert bench.store.values("v") == [1]
    assert "could not be passed on" in caplog.text


async def test_battery_and_signal_are_part_of_the_status_once_told(bench: Bench):
    link = await bench.online()
    link.say(line(reply={"battery": 80, "signal_strength": -60}))
    assert bench.view()["battery"] == 80
    link.lose()
    await until(lambda: bench.statuses[-1][1]["status"] == "offline")
    assert bench.statuses[-1][1]["battery"] == 80
    assert bench.devices.statuses()["d"]["signal_strength"] == -60


async def test_a_driver_that_wants_no_watchdog_any_more_is_obeyed_and_one_that_wants_it_again_too(bench: Bench):
    link = await bench.online(driver="silent")
    driver = bench.devices._sessions["d"].driver
    await bench.execute("d", "hush", {"for_good": True})
    await asyncio.sleep(0.15)
    assert link.opened == 1
    assert driver.silence is None
    await bench.execute("d", "hush", {"for_good": False})
    await until(lambda: link.opened == 2)


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_and_tried_again(bench: Bench, monkeypatch):
    from tests.devices.fakes import MemoryLink

    async def cancelled(self: MemoryLink, timeout: float) -> None:
        self.attempts += 1
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(MemoryLink, "open", cancelled)
        await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
        await until(lambda: bench.view()["status"] == "error" and bench.link.attempts > 1)
    await until(lambda: bench.view()["status"] == "online")


async def test_the_status_message_uses_the_contracts_words(bench: Bench):
    bench.open_hangs = True
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    status = bench.devices.statuses()["d"]
    assert (status["status"], status["reason"]) == ("offline", "starting")
    assert bench.view()["status"] == "starting"
