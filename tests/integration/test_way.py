"""The way of a reading through the real agent: port, log, broker; and what kills, cuts and restarts do to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.uplink.broker import running

from .rig import Mosquitto, agent, lines, listening, settings_for, twin, until


def by_number(readings: list[dict[str, Any]]) -> dict[int, set[str]]:
    ids: dict[int, set[str]] = {}
    for reading in readings:
        ids.setdefault(reading["n"], set()).add(reading["id"])
    return ids


async def test_from_the_port_to_a_subscriber(tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty") as (device, _):
        thresholds = {"t": {"max": 50}}
        devices = {"probe": lines(tmp_path / "tty", patient="P-1", thresholds=thresholds)}
        async with listening(broker.url) as there, agent(tmp_path, settings_for(tmp_path, broker.url, devices)) as one:
            await one.until(lambda: len(there.readings("probe")) > 20)
            device.hot = True
            await one.until(lambda: any(reading["urgent"] for reading in there.readings("probe")))
            await one.stop()  # while it still says something
            assert "STOPPING=1" in one.heard()
            await until(lambda: there.on("gateways/gw/status")[-1]["status"] == "offline")
            readings = there.readings("probe")
            numbers = [reading["n"] for reading in readings if not reading["urgent"]]
            assert numbers == sorted(set(numbers))
            first = next(reading for reading in readings if not reading["replayed"])  # some came before the broker
            assert first["patient_id"] == "P-1"
            assert first["device_id"] == "probe"
            assert first["id"].startswith("gw:")
            assert [status["status"] for status in there.on("gateways/gw/status")] == ["online", "offline"]
            await until(lambda: there.on("devices/probe/status")[-1]["status"] == "offline")
            # what was taken is stored, without a hole, and has the ids it was sent with
            device.quiet = True
            await one.start()
            stored = await one.stored("probe")
            assert sorted(stored) == list(range(min(stored), max(stored) + 1))
            assert stored.items() >= by_number(readings).items()


async def test_a_broker_killed_and_started_again_misses_nothing(tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty", 0.005) as (device, _):
        devices = {"probe": lines(tmp_path / "tty")}
        async with agent(tmp_path, settings_for(tmp_path, broker.url, devices)) as one:
            seen: dict[int, set[str]] = {}
            for round_ in range(3):
                await one.client.disconnect_broker("a")  # so that the listener is there first
                async with listening(broker.url) as there:
                    await one.client.connect_broker("a")
                    await one.until(lambda there=there: len(there.readings("probe")) > 100)
                    if round_ == 2:
                        device.quiet = True
                        await one.taken("probe", device.n)
                        await one.delivered()
                        await until(lambda there=there: device.n in there.numbers("probe"))
                    readings = there.readings("probe")
                    broker.kill()
                    await broker.start()
                for number, ids in by_number(readings).items():
                    seen.setdefault(number, set()).update(ids)
            assert all(len(ids) == 1 for ids in seen.values())
            # what a broker acknowledged and took to its grave was not the agent's any more; all of it is stored
            assert (await one.stored("probe")).items() >= seen.items()
            assert (await one.client.gaps())["gaps"] == []


async def test_an_agent_killed_loses_nothing_stored_and_repeats_no_id_with_another_reading(tmp_path: Path) -> None:
    async with running(Mosquitto(tmp_path / "m")) as broker, twin(tmp_path / "tty", 0.005) as (device, _):
        devices = {"probe": lines(tmp_path / "tty")}
        settings = settings_for(tmp_path, broker.url, devices)
        async with listening(broker.url) as there, agent(tmp_path, settings) as one:
            for _ in range(3):
                before = len(there.readings("probe"))
                await one.until(lambda before=before: len(there.readings("probe")) > before + 80)
                stored = await one.stored("probe")
                await one.kill()
                await one.start()
                assert stored.items() <= (await one.stored("probe")).items()
            device.quiet = True
            await one.taken("probe", device.n)
            await one.delivered()
            everything = await one.stored("probe")
            await until(lambda: by_number(there.readings("probe")) == everything)
            assert all(len(ids) == 1 for ids in everything.values())
            assert len(set.union(*everything.values())) == len(everything)


async def test_ready_without_any_broker_and_a_watchdog_that_is_fed(tmp_path: Path) -> None:
    async with twin(tmp_path / "tty"):
        settings = settings_for(tmp_path, "mqtt://127.0.0.1:1", {"probe": lines(tmp_path / "tty")})
        async with agent(tmp_path, settings, WATCHDOG_USEC="400000") as one:
            await one.until(lambda: one.heard().count("WATCHDOG=1") >= 3)
            await one.until(lambda: any("0 of 1 brokers" in line for line in one.heard()))
            state = await one.broker("a", "waiting")
            assert "Connection refused" in state["reason"]
            assert (await one.client.backlog())["backlog"][0]["readings"] > 0


async def test_a_port_that_vanishes_and_returns_under_another_number(tmp_path: Path) -> None:
    async with twin(tmp_path / "tty") as (device, pty):
        devices = {"probe": lines(tmp_path / "tty"), "missing": lines(tmp_path / "nowhere")}
        async with agent(tmp_path, settings_for(tmp_path, None, devices)) as one:
            await one.device("probe", "online")
            missing = await one.device("missing", "offline")
            assert missing["reason"] == "missing"
            assert "nowhere" in missing["message"]
            assert missing["hint"]
            first = pty.device
            await pty.vanish()
            await one.device("probe", "offline")
            await pty.appear()
            assert pty.device != first
            await one.device("probe", "online")
            seen = device.n
            await one.until(lambda: device.n > seen + 5)
            newest = (await one.client.data("probe", limit=1))["readings"][0]
            assert newest["n"] > seen
