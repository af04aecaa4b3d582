"""How a device speaks: the usual gap, the quiet since, the faults of late."""

from __future__ import annotations

import pytest

from gatepost.agent.devices.traffic_stats import TrafficStats
from tests.devices.fakes import Bench, MemoryStore, line
from tests.support.clock import HandClock

SECOND = 1_000_000


def beaten(*gaps: float) -> TrafficStats:
    traffic, now = TrafficStats(), 5 * SECOND
    traffic.begin(now)
    traffic.spoke(now)
    for gap in gaps:
        now += round(gap * SECOND)
        traffic.spoke(now)
    return traffic


def test_a_habit_takes_some_gaps():
    assert beaten(2, 2, 2).usual_gap is None
    assert beaten(2, 2, 2, 2).usual_gap == 2


def test_one_long_pause_is_soon_forgotten_and_a_new_pace_is_learnt():
    assert beaten(*[1] * 20, 3600, *[1] * 420).usual_gap == pytest.approx(1, rel=0.01)
    assert beaten(*[1] * 20, *[10] * 60).usual_gap == pytest.approx(10, rel=0.1)
    assert beaten(0.01, *[1] * 60).usual_gap == pytest.approx(1, rel=0.1)


def test_a_device_that_speaks_in_bursts_is_used_to_its_pauses():
    usual = beaten(*[0.02, 0.02, 0.02, 0.02, 60] * 10, 0.02, 0.02).usual_gap
    assert usual is not None
    assert 50 < usual <= 60


def test_the_time_between_two_sessions_is_no_gap():
    traffic = beaten(*[1] * 10)
    traffic.begin(500 * SECOND)
    traffic.spoke(501 * SECOND)
    traffic.spoke(502 * SECOND)
    assert traffic.usual_gap == 1


def test_faults_of_late():
    traffic = TrafficStats()

    def chunk(second: int, faults: int) -> None:
        if traffic.heard(second * SECOND):
            traffic.count(second * SECOND, faults)

    chunk(1000, 0)
    assert traffic.recent(1010 * SECOND, 7) == 7
    chunk(1061, 7)
    assert traffic.recent(1070 * SECOND, 8) == 8  # within two minutes
    chunk(1122, 8)
    assert traffic.recent(1130 * SECOND, 8) == 1
    chunk(1183, 8)
    assert traffic.recent(1184 * SECOND, 8) == 0
    assert traffic.recent(1250 * SECOND, 9) == 1
    assert traffic.recent(1400 * SECOND, 9) == 0


async def test_the_view_tells_of_a_device_that_went_quiet():
    clock = HandClock()
    bench = Bench(clock=clock)
    link = await bench.online()
    clock.pass_seconds(7)
    assert (bench.view()["quiet_for"], bench.view()["usual_gap"]) == (7, None)
    for number in range(6):
        clock.pass_seconds(2)
        link.say(line(v=number))
    clock.pass_seconds(1)
    link.say(b"\x00")
    assert bench.view()["faults_recent"] == 1
    clock.pass_seconds(90)
    view = bench.view()
    assert (view["status"], view["quiet_for"], view["usual_gap"]) == ("online", 90, 2)
    await bench.devices.close()


async def test_a_device_that_is_kept_waiting_is_not_quiet():
    bench = Bench(store=MemoryStore(limit=1))
    link = await bench.online()
    link.say(line(v=1), line(v=2))
    assert bench.view()["quiet_for"] is None
    bench.store.make_room()
    await bench.devices.close()


async def test_a_device_that_was_never_there_was_not_quiet_either():
    from gatepost.agent.settings.model import DeviceSettings
    from gatepost.drivers.link import LinkFailed, Reason
    from tests.support.waiting import until

    bench = Bench()
    bench.trouble = LinkFailed(Reason.MISSING, "not there")
    await bench.devices.apply({"d": DeviceSettings(driver="test", port="/dev/x")})
    await until(lambda: bench.view()["status"] == "offline")
    assert bench.view()["quiet_for"] is None
    await bench.devices.close()


async def test_a_device_that_was_told_to_be_silent_has_no_usual_gap():
    bench = Bench(clock=(clock := HandClock()))
    link = await bench.online(driver="silent")
    for number in range(6):
        clock.pass_seconds(0.01)
        link.say(line(v=number))
    assert bench.view()["usual_gap"] == pytest.approx(0.01)
    await bench.execute("d", "hush", {"for_good": True})
    assert bench.view()["usual_gap"] is None
    await bench.devices.close()
