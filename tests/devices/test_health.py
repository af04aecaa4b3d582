"""What counts as a fault or a warning, and what is the usual way of a device that sleeps; a device never understood."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.devices.health import DeviceHealth, DeviceState, StatusReason
from gatepost.agent.devices.liveness import GARBAGE_LIMIT
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import SessionOver
from tests.devices.fakes import Bench, TestDriver, line
from tests.support.waiting import until

WAITS = StatusReason("waiting", "waits for the device to show itself", "press its button")
SLEEPS = StatusReason("asleep", "all its records are stored")


class Sleepy(TestDriver):
    name = "sleepy"
    streams = False

    async def run_session(self, talk: Any) -> None:
        raise SessionOver("all its records are stored")


class Cuff(TestDriver):
    name = "cuff"
    transport = "ble"
    streams = False
    downloading = False

    async def run_session(self, talk: Any) -> None:
        if type(self).downloading:
            talk.progress("records", 1, 5)
        await asyncio.sleep(3600)


@pytest.fixture
def health() -> DeviceHealth:
    return DeviceHealth("meter", SystemClock(), logging.getLogger("test.health"), lambda before: None)


def test_visits_of_a_sleepy_device_warn_once_at_most(health: DeviceHealth, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "test.health"):
        for _ in range(3):
            health.turn(DeviceState.OFFLINE, WAITS)
            health.turn(DeviceState.ONLINE)
            health.fail(SLEEPS)
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.WARNING] + [logging.INFO] * 8
    assert dict(health.faults) == {}


def test_a_lost_device_is_warned_of_each_time(health: DeviceHealth, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "test.health"):
        for _ in range(2):
            health.turn(DeviceState.ONLINE)
            health.fail(StatusReason("lost", "the connection was lost"))
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.WARNING] * 2
    assert dict(health.faults) == {"lost": 2}


def registered(bench: Bench, kind: type[TestDriver]) -> None:
    bench.devices._registry._sources[kind.name] = lambda: kind


async def test_a_session_that_had_all_it_wanted_is_no_fault(bench: Bench) -> None:
    registered(bench, Sleepy)
    await bench.devices.apply({"d": DeviceSettings(driver="sleepy", port="/dev/x")})
    await until(lambda: bench.link.opened >= 3)
    assert bench.view()["faults"] == {}


@pytest.fixture
async def cuff(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    registered(bench, Cuff)
    monkeypatch.setattr(Cuff, "downloading", False)
    return bench


async def paired(bench: Bench) -> None:
    await bench.devices.apply({"d": DeviceSettings(driver="cuff", address="AA:BB:CC:DD:EE:FF")})
    await until(lambda: bench.view()["status"] == "online")


async def test_a_cuff_that_hangs_up_after_its_measurement_has_no_fault(cuff: Bench) -> None:
    await paired(cuff)
    cuff.link.say(line(systolic=120))
    cuff.link.lose()
    await until(lambda: cuff.link.opened == 2)
    assert cuff.view()["faults"] == {}
    assert [payload.get("reason") for _name, payload in cuff.statuses] == [None, "asleep", None]


async def test_a_cuff_that_hangs_up_before_it_told_anything_has(cuff: Bench) -> None:
    await paired(cuff)
    cuff.link.lose()
    await until(lambda: cuff.link.opened == 2)
    assert cuff.view()["faults"] == {"lost": 1}


async def test_so_has_one_that_is_lost_in_the_middle_of_its_records(
    cuff: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cuff, "downloading", True)
    await paired(cuff)
    await until(lambda: "doing" in cuff.view())
    cuff.link.say(line(systolic=120))
    cuff.link.lose()
    await until(lambda: cuff.link.opened == 2)
    assert cuff.view()["faults"] == {"lost": 1}


async def test_a_device_that_is_never_understood_is_an_error_until_it_is(bench: Bench) -> None:
    link = await bench.online()
    rubbish = b"rubbish\n" * 50
    for _ in range(GARBAGE_LIMIT // len(rubbish) - 1):
        link.say(rubbish)
    assert bench.view()["status"] == "online"
    link.say(rubbish)
    view = bench.view()
    assert (view["status"], view["reason"]) == ("error", "not-understood")
    assert "2000 bytes received" in view["message"]
    assert "bad-line" in view["message"]
    link.say(rubbish)
    assert bench.view()["faults"]["not-understood"] == 1
    link.say(line(v=1))
    assert bench.view()["status"] == "online"
    for _ in range(20):
        link.say(rubbish)  # it was understood once: this is noise
    assert bench.view()["status"] == "online"
    assert link.opened == 1


class Dump(TestDriver):
    """A long download, and nothing to tell before its end."""

    name = "dump"

    def decoder(self) -> Any:
        decoder = super().decoder()
        decoder.feed = lambda data: []
        return decoder


async def test_octets_without_a_fault_are_no_reason_for_doubt(bench: Bench) -> None:
    registered(bench, Dump)
    await bench.devices.apply({"d": DeviceSettings(driver="dump", port="/dev/x")})
    await until(lambda: bench.view()["status"] == "online")
    bench.link.say(bytes(2 * GARBAGE_LIMIT))
    assert bench.view()["status"] == "online"
