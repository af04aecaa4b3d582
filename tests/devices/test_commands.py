"""Commands: the gateway's own for every device, and the driver's."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatepost.agent.core.errors import DeviceBusy, DeviceOffline, NotFound, Rejected
from gatepost.agent.devices.command_executor import commands_of
from gatepost.agent.settings.model import DeviceSettings, ThresholdSettings
from gatepost.drivers.driver import CommandFailed
from gatepost.drivers.link import LinkFailed, Reason
from tests.devices.fakes import AskedDriver, Bench, HandClock, MemoryStore, NoParameters, line, until
from tests.support.failing import failing


async def test_what_a_device_understands(bench: Bench):
    await bench.online()
    generic = {"status", "read_now", "start_monitoring", "stop_monitoring", "set_interval"}
    assert bench.devices.commands("d").keys() == generic | {"who", "twice", "wait", "long", "refuse", "broken"}
    with pytest.raises(NotFound):
        bench.devices.commands("other")
    with pytest.raises(NotFound):
        await bench.execute("other", "status", {})


async def test_status_is_the_view_also_of_a_device_that_is_away(bench: Bench):
    bench.trouble = LinkFailed(Reason.MISSING, "not there")
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    await until(lambda: bench.view()["status"] == "offline")
    shown = await bench.execute("d", "status", {})
    assert (shown["id"], shown["status"], shown["reason"]) == ("d", "offline", "missing")


@pytest.mark.parametrize(
    ("command", "parameters"),
    [
        ("status", {"x": 1}),
        ("set_interval", {}),
        ("set_interval", {"interval": -1}),
        ("set_interval", {"interval": "often"}),
        ("start_monitoring", {"duration": "1e9s"}),
        ("wait", {"seconds": "x"}),
    ],
)
async def test_bad_parameters_are_no_struct_of_the_command(bench: Bench, command, parameters):
    await bench.online()
    with pytest.raises(msgspec.ValidationError):
        await bench.execute("d", command, parameters)


async def test_parameters_of_another_driver_are_rejected(bench: Bench):
    """The device may have been given another driver since they were checked."""
    await bench.online()
    with failing(Rejected, kind="busy"):
        await bench.devices.execute("d", "set_interval", NoParameters())


async def test_an_unknown_command_is_rejected(bench: Bench):
    await bench.online()
    with failing(Rejected, kind="unknown-command"):
        await bench.execute("d", "explode", {})


# -- read_now


async def test_read_now_reports_the_next_reading_at_once_outside_of_the_pace(bench: Bench):
    link = await bench.online(driver="median", every=60)
    link.say(line(v=1), line(v=2))
    asked = asyncio.create_task(bench.execute("d", "read_now", {}))
    await asyncio.sleep(0)
    link.say(line(v=3), line(v=4))
    result = await asked
    assert result == {
        "reading_id": "gw:epoch:2",
        "metric_type": "reading",
        "values": {"v": 3},
        "units": {"v": "1"},
        "quality": "good",
        "flags": [],
    }
    assert bench.store.values("v") == [1, 3]


async def test_read_now_answers_while_monitoring_is_stopped(bench: Bench):
    link = await bench.online()
    await bench.execute("d", "stop_monitoring", {})
    asked = asyncio.create_task(bench.execute("d", "read_now", {}))
    await asyncio.sleep(0)
    link.say(line(v=1) + line(v=2))
    assert (await asked)["values"] == {"v": 1}
    assert bench.store.values("v") == [1]


async def test_read_now_of_a_device_that_is_away_or_says_nothing(bench: Bench, monkeypatch):
    from gatepost.agent.devices import command_executor
    from gatepost.drivers.driver import Command

    await bench.online()
    monkeypatch.setattr(command_executor, "GENERIC", (Command("read_now", "", timeout=0.05),))
    with failing(CommandFailed, key="timeout"):
        await bench.execute("d", "read_now", {})
    bench.trouble = LinkFailed(Reason.MISSING, "not there", "plug it in")
    bench.link.lose()
    await until(lambda: bench.view()["reason"] == "missing")
    with failing(DeviceOffline, hint="plug it in"):
        await bench.execute("d", "read_now", {})


async def test_a_driver_with_a_read_now_of_its_own_asks_its_device(bench: Bench):
    bench.answers[b"Q"] = line(v=7)
    link = await bench.online(driver="asked", every=60)
    link.say(line(v=1), line(v=2))
    result = await bench.execute("d", "read_now", {})
    assert result["asked"] is True
    assert result["values"] == {"v": 7}
    assert bench.store.values("v") == [1, 7]


# -- the driver's own


async def test_a_driver_asks_its_device_and_waits(bench: Bench):
    bench.answers[b"who"] = line(v=1) + line(reply={"name": "it"})
    link = await bench.online()
    assert await bench.execute("d", "who", {}) == {"name": "it"}
    assert link.heard[-1] == b"who"
    assert bench.store.values("v") == [1]


async def test_an_answer_of_two_parts_in_one_chunk_is_heard_whole(bench: Bench):
    bench.answers[b"twice"] = line(reply={"a": 1}) + line(reply={"b": 2})
    await bench.online()
    assert await bench.execute("d", "twice", {}) == {"a": 1, "b": 2}


async def test_one_command_at_a_time(bench: Bench):
    link = await bench.online()
    first = asyncio.create_task(bench.execute("d", "long", {}))
    await until(lambda: b"long" in link.heard)
    with pytest.raises(DeviceBusy):
        await bench.execute("d", "who", {})
    link.say(line(reply={"x": 1}))
    assert await first == {"x": 1}


@pytest.mark.parametrize(("command", "key"), [("wait", "timeout"), ("refuse", "not-now"), ("broken", "driver-error")])
async def test_a_command_that_fails_says_so_and_the_next_one_works(bench: Bench, command, key):
    await bench.online()
    with failing(CommandFailed, key=key) as caught:
        await bench.execute("d", command, {})
    assert "secret" not in str(caught.value)
    bench.answers[b"who"] = line(reply={"name": "it"})
    assert await bench.execute("d", "who", {}) == {"name": "it"}


async def test_a_link_lost_in_the_middle_fails_the_command_at_once(bench: Bench):
    link = await bench.online()
    asked = asyncio.create_task(bench.execute("d", "long", {"seconds": 30}))
    await until(lambda: b"long" in link.heard)
    link.lose()
    async with asyncio.timeout(1):
        with pytest.raises(CommandFailed) as caught:
            await asked
    assert caught.value.key == "connection-lost"


async def test_a_device_that_is_away_takes_no_command(bench: Bench):
    bench.trouble = LinkFailed(Reason.MISSING, "not there")
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    with pytest.raises(DeviceOffline):
        await bench.execute("d", "who", {})


async def test_a_cancelled_command_leaves_the_device_free(bench: Bench):
    link = await bench.online()
    asked = asyncio.create_task(bench.execute("d", "long", {}))
    await until(lambda: b"long" in link.heard)
    asked.cancel()
    await asyncio.wait((asked,))
    bench.answers[b"who"] = line(reply={"name": "it"})
    assert await bench.execute("d", "who", {}) == {"name": "it"}


# -- what is wanted of a device


async def test_stopped_readings_are_not_reported_and_counted(bench: Bench):
    link = await bench.online(thresholds={"v": ThresholdSettings(max=1)})
    await bench.execute("d", "stop_monitoring", {})
    link.say(line(v=1), line(v=2))
    view = bench.view()
    assert bench.store.rows == []
    assert (view["monitoring"], view["unreported"], view["status"]) == (False, 2, "online")
    await bench.execute("d", "start_monitoring", {})
    link.say(line(v=3))
    assert bench.store.values("v") == [3]


async def test_an_interval_is_kept_over_restarts_until_the_settings_change():
    store = MemoryStore()
    first = Bench(store)
    await first.online(every=2)
    assert await first.execute("d", "set_interval", {"interval": "30s"}) == {
        "monitoring": True,
        "interval": 30.0,
        "every": 30.0,
    }
    await first.devices.close()
    second = Bench(store)
    await second.online(every=2, patient="P-1")
    assert second.view()["every"] == 30.0
    await second.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x", every=5)})
    assert second.view()["every"] == 5
    await second.devices.close()
    third = Bench(store)
    await third.online(every=5)
    assert third.view()["every"] == 5
    await third.devices.close()


async def test_stopped_stays_stopped_over_a_restart():
    store = MemoryStore()
    for expected in (True, False):
        bench = Bench(store)
        await bench.online()
        assert bench.view()["monitoring"] is expected
        await bench.execute("d", "stop_monitoring", {})
        await bench.devices.close()


async def test_monitoring_for_a_time_ends_by_itself_and_all_is_as_before(bench: Bench):
    link = await bench.online()
    await bench.execute("d", "stop_monitoring", {})
    result = await bench.execute("d", "start_monitoring", {"interval": 60, "duration": 0.1})
    assert (result["monitoring"], result["every"]) == (True, 60.0)
    assert "until" in result
    link.say(line(v=1))
    await until(lambda: not bench.view()["monitoring"])
    link.say(line(v=2))
    assert bench.store.values("v") == [1]
    assert bench.view()["every"] == 0
    assert bench.view()["desired"] == {"monitoring": False}


async def test_monitoring_for_a_time_goes_on_after_a_restart_and_ends_in_time():
    store, clock = MemoryStore(), HandClock()
    first = Bench(store, clock)
    await first.online()
    await first.execute("d", "start_monitoring", {"interval": 9, "duration": 100})
    await first.devices.close()
    for boot, later, every in (("boot-1", 60, 9), ("boot-2", 30, 9), ("boot-2", 20, 0)):
        clock.boot_id = boot
        clock.pass_seconds(later)
        again = Bench(store, clock)
        await again.online()
        assert again.view()["every"] == every
        await again.devices.close()


async def test_what_cannot_be_kept_is_not_done(bench: Bench, monkeypatch):
    async def full(key: str, value: object) -> None:
        raise OSError("full")

    await bench.online(every=1)
    monkeypatch.setattr(bench.store, "put", full)
    with pytest.raises(OSError, match="full"):
        await bench.execute("d", "set_interval", {"interval": 5})
    assert bench.view()["every"] == 1


@pytest.mark.parametrize("kept", [b'{"monitoring": "perhaps"}', b"[]", None])
async def test_kept_state_that_cannot_be_read_stops_no_device(bench: Bench, kept, caplog):
    bench.store.broken_state = kept is None
    bench.store.state["device:d"] = kept or b""
    link = await bench.online()
    link.say(line(v=1))
    assert bench.store.values("v") == [1]
    assert bench.view()["faults"] == {"state-unreadable": 1}
    assert "could not be read" in caplog.text


async def test_read_now_of_a_driver_names_the_reading_that_it_chose(bench: Bench):
    bench.answers[b"Q"] = line(v=7, flags=["v:unstable"]) + line(v=8) + line(v=9)
    await bench.online(driver="asked", every=60)
    result = await bench.execute("d", "read_now", {})
    assert result["values"] == {"v": 8}
    assert result["reading_id"] == "gw:epoch:2"


async def test_read_now_says_why_there_is_no_value_and_takes_no_waveform_for_it(bench: Bench):
    link = await bench.online(driver="median", every=60)
    asked = asyncio.create_task(bench.execute("d", "read_now", {}))
    await asyncio.sleep(0)
    link.say(line(wave=1), line(flags=["v:no-finger"]))
    result = await asked
    assert (result["values"], result["flags"]) == ({}, ["v:no-finger"])


async def test_two_orders_at_a_time_both_hold(bench: Bench):
    await bench.online()
    await asyncio.gather(bench.execute("d", "set_interval", {"interval": 7}), bench.execute("d", "stop_monitoring", {}))
    assert bench.view()["desired"] == {"monitoring": False, "interval": 7.0}


# -- who ordered it


async def test_a_device_that_was_stopped_says_by_whom_and_since_when_also_after_a_restart():
    store, clock = MemoryStore(), HandClock()
    first = Bench(store, clock)
    await first.online()
    await first.execute("d", "stop_monitoring", {}, "mqtt:hospital")
    clock.pass_seconds(100)
    await first.execute("d", "stop_monitoring", {}, "cli")  # it was stopped before
    await first.devices.close()
    again = Bench(store, clock)
    await again.online()
    view = again.view()
    since = "2026-11-20T10:30:00.000000Z"
    assert view["orders"] == {"stopped": {"source": "mqtt:hospital", "since": since}}
    assert (view["status"], view["reason"]) == ("online", "monitoring-stopped")
    assert view["message"] == "reporting was stopped by a command (mqtt:hospital) at 2026-11-20T10:30:00Z"
    assert view["hint"] == "`gatepost send d start_monitoring` starts it again"
    await again.execute("d", "start_monitoring", {})
    assert (again.view()["orders"], again.view()["message"], again.view()["reason"]) == ({}, "", None)
    await again.devices.close()


async def test_a_device_that_is_away_says_that_first(bench: Bench):
    link = await bench.online()
    await bench.execute("d", "stop_monitoring", {})
    bench.trouble = LinkFailed(Reason.MISSING, "not there")
    link.lose()
    await until(lambda: bench.view()["reason"] == "missing")
    assert bench.view()["message"] == "not there"
    assert bench.view()["orders"]["stopped"]["source"] is None


async def test_an_ordered_interval_says_where_it_comes_from_until_the_file_says_otherwise():
    clock = HandClock()
    bench = Bench(clock=clock)
    await bench.online(every=2)
    await bench.execute("d", "set_interval", {"interval": 30}, "api")
    since = "2026-11-20T10:30:00.000000Z"
    assert bench.view()["orders"] == {"interval": {"source": "api", "since": since, "seconds": 30.0}}
    clock.pass_seconds(60)
    await bench.execute("d", "start_monitoring", {"interval": 9, "duration": 600}, "cli")
    later = "2026-11-20T10:31:00.000000Z"
    assert bench.view()["orders"] == {
        "timed": {"source": "cli", "since": later, "until": "2026-11-20T10:41:00.000000Z"},
        "interval": {"source": "cli", "since": later, "seconds": 9.0},
    }
    await bench.execute("d", "start_monitoring", {})
    assert bench.view()["orders"] == {"interval": {"source": "api", "since": since, "seconds": 30.0}}
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x", every=5)})
    assert bench.view()["orders"] == {}
    await bench.devices.close()


async def test_orders_kept_by_an_earlier_version_still_hold(bench: Bench):
    bench.store.state["device:d"] = b'{"monitoring": false, "interval": 5}'
    await bench.online()
    view = bench.view()
    assert view["orders"]["stopped"] == {"source": None, "since": None}
    assert view["orders"]["interval"] == {"source": None, "since": None, "seconds": 5.0}
    assert view["message"] == "reporting was stopped by a command"


async def test_a_command_of_the_driver_stands_for_the_gateways_of_that_name(bench: Bench):
    await bench.online(driver="asked")
    known = commands_of(AskedDriver)
    assert [command.name for command in known.values()].count("read_now") == 1
    assert known["read_now"].title == "Ask for a reading"
    assert bench.devices.commands("d") == known
