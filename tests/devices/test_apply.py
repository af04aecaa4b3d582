"""Settings: only what differs is touched, and nothing at all when something cannot be built."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gatepost.agent.core.errors import DeviceError
from gatepost.agent.devices import manager
from gatepost.agent.settings.model import DeviceSettings, ThresholdSettings
from tests.devices.fakes import Bench, line
from tests.support.waiting import until


def device(**settings) -> DeviceSettings:
    return DeviceSettings(**({"driver": "test", "port": "/dev/x"} | settings))


async def all_online(bench: Bench) -> None:
    await until(lambda: all(view["status"] == "online" for view in bench.devices.views()))


async def test_only_what_changed_is_touched(bench: Bench):
    await bench.devices.apply({"a": device(), "b": device(), "c": device()})
    await all_online(bench)
    a, b, c = bench.links
    await bench.devices.apply({"a": device(), "b": device(baudrate=115200), "d": device()})
    await all_online(bench)
    assert [view["id"] for view in bench.devices.views()] == ["a", "b", "d"]
    assert (a.opened, a.closed) == (1, 0)
    assert (b.is_open, c.is_open) == (False, False)
    assert (b.heard[-1], c.heard[-1]) == (b"bye", b"bye")
    assert len(bench.links) == 5
    assert {name: payload["reason"] for name, payload in bench.statuses if "reason" in payload} == {
        "b": "changed",
        "c": "removed",
    }
    assert bench.devices.get("c") is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"driver": "nothing"}, "no driver nothing"),
        ({"driver": "elsewhere"}, "cannot be loaded"),
        ({"options": {"level": "high"}}, "options"),
        ({"options": {"levle": 1}}, "options"),
        ({"options": {"level": -1}}, "level cannot be negative"),
        ({"port": None}, "`port` is missing"),
    ],
)
async def test_nothing_changes_when_one_cannot_be_built(bench: Bench, wrong, said):
    await bench.devices.apply({"a": device(), "b": device()})
    await all_online(bench)
    with pytest.raises(DeviceError) as caught:
        await bench.devices.apply({"a": device(baudrate=1200), "bad": device(**wrong), "c": device()})
    assert "bad" in caught.value.message
    assert said in caught.value.message
    assert caught.value.hint or said == "cannot be loaded"
    assert [view["id"] for view in bench.devices.views()] == ["a", "b"]
    assert all((link.opened, link.closed) == (1, 0) for link in bench.links[:2])


async def test_every_wrong_device_is_named(bench: Bench):
    with pytest.raises(DeviceError, match=r"x: .*y: "):
        await bench.devices.apply({"x": device(driver="nothing"), "y": device(port=None)})


async def test_what_the_line_does_not_know_of_changes_without_reopening(bench: Bench):
    link = await bench.online(patient="P-1")
    link.say(line(v=1))
    soft = {
        "patient": "P-2",
        "every": 0.0,
        "thresholds": {"v": ThresholdSettings(max=5)},
        "brokers": ["b"],
        "token": "t",
        "label": "Probe",
        "room": "Bed 4",
    }
    await bench.devices.apply({"d": device(**soft)})
    link.say(line(v=9))
    assert [(one["patient"], one["urgent"]) for one in bench.store.readings()] == [("P-1", False), ("P-2", True)]
    assert bench.view()["thresholds"] == {"v": {"min": None, "max": 5.0}}
    assert (bench.view()["label"], bench.view()["room"]) == ("Probe", "Bed 4")
    assert (link.opened, link.closed, len(bench.links)) == (1, 0, 1)
    await bench.devices.apply({"d": device(**{**soft, "patient": None})})
    link.say(line(v=1))
    assert bench.store.readings()[-1]["patient"] is None


async def test_readings_held_belong_to_the_patient_before(bench: Bench):
    link = await bench.online(driver="median", every=60, patient="P-1")
    link.say(line(v=1), line(v=2))
    await bench.devices.apply({"d": device(driver="median", every=60, patient="P-2")})
    link.say(line(v=3))
    await bench.devices.close()
    assert [(one["patient"], one["v"]) for one in bench.store.readings()] == [("P-1", 1), ("P-1", 2), ("P-2", 3)]


async def test_a_new_pace_takes_effect_at_once_and_null_is_the_drivers(bench: Bench):
    link = await bench.online(driver="median", every=60)
    link.say(line(v=1), line(v=2))
    await bench.devices.apply({"d": device(driver="median", every=0)})
    link.say(line(v=3), line(v=4))
    assert bench.store.values("v") == [1, 2, 3, 4]
    await bench.devices.apply({"d": device(driver="median")})
    assert bench.view()["every"] == 0.2


async def test_after_the_end_nothing_starts(bench: Bench):
    await bench.devices.close()
    with pytest.raises(DeviceError):
        await bench.devices.apply({"d": device()})
    assert bench.links == []


async def test_line_settings_are_the_drivers_where_the_device_says_nothing():
    from gatepost.agent.devices.link_factory import line_of
    from gatepost.drivers.driver import SerialSettings
    from tests.devices.fakes import TestDriver

    assert line_of(device(), TestDriver()) == SerialSettings()
    changed = device(baudrate=2400, bytesize=7, parity="E", stopbits=2, flow="xonxoff")
    assert line_of(changed, TestDriver()) == SerialSettings(2400, 7, "E", 2, "xonxoff")


async def test_a_change_whose_caller_gives_up_is_still_made_whole(bench: Bench):
    await bench.devices.apply({"a": device(), "b": device()})
    await all_online(bench)
    change = asyncio.create_task(bench.devices.apply({"a": device(baudrate=1200), "c": device()}))
    await asyncio.sleep(0)
    change.cancel()
    await asyncio.wait((change,))
    await until(lambda: [view["id"] for view in bench.devices.views()] == ["a", "c"])
    await all_online(bench)
    assert sum(link.is_open for link in bench.links) == 2


async def test_a_secret_among_options_is_read_beside_the_loop(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    answers, asked = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang(secret):
        loop.call_soon_threadsafe(asked.set)
        assert answers.wait(20)
        return 3

    monkeypatch.setattr(manager, "secret_options", lambda kind: {"level"})
    bench.devices._resolve = hang
    applying = asyncio.create_task(bench.devices.apply({"a": device(options={"level": {"file": "/share/secret"}})}))
    await asyncio.wait_for(asked.wait(), 10)
    answers.set()
    await applying
    await all_online(bench)


async def test_secrets_on_a_share_that_hangs_are_waited_for_together(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a", "b", "c"]
    all_asked = threading.Barrier(len(names))

    def hang(secret):
        all_asked.wait(10)  # nobody is answered before everybody has asked
        return 3

    monkeypatch.setattr(manager, "secret_options", lambda kind: {"level"})
    bench.devices._resolve = hang
    secret = {"level": {"file": "/share/secret"}}
    await bench.devices.apply({name: device(options=secret) for name in names})
    assert [view["id"] for view in bench.devices.views()] == names
    await all_online(bench)
