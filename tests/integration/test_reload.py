"""Drops that come and go under a running agent."""

from __future__ import annotations

from pathlib import Path

import yaml

from gatepost.agent.settings_applier import _counted
from tests.uplink.broker import running

from .rig import Mosquitto, agent, lines, listening, settings_for, twin

EVENTS = "gateways/gw/events"


def without_holes(numbers: list[int]) -> bool:
    return sorted(numbers) == list(range(min(numbers), min(numbers) + len(numbers)))


async def test_drops_add_change_and_are_refused(tmp_path: Path) -> None:
    async with (
        running(Mosquitto(tmp_path / "m")) as broker,
        twin(tmp_path / "tty1") as (first, _),
        twin(tmp_path / "tty2"),
        listening(broker.url) as there,
        agent(tmp_path, settings_for(tmp_path, broker.url, {"one": lines(tmp_path / "tty1")})) as one,
    ):
        await one.until(lambda: there.readings("one"))
        opened = (await one.device("one", "online"))["since"]
        # a device comes with a drop: the other one is not opened again, the broker not connected again
        one.drop("20-two.yaml", yaml.safe_dump({"devices": {"two": lines(tmp_path / "tty2")}}))
        await one.until(lambda: there.readings("two"))
        assert (await one.device("one", "online"))["since"] == opened
        assert (await one.broker("a", "connected"))["connects"] == 1
        await one.until(lambda: any(event["event"] == "settings-applied" for event in there.on(EVENTS)))
        await one.until(lambda: without_holes(there.numbers("one")))  # the backlog's may come after live ones
        # a bad one is refused, seen in status, told as an event, and changes nothing
        one.drop("30-bad.yaml", "devices:\n  two:\n    every: soon\n")
        await one.until(lambda: any(event["event"] == "settings-refused" for event in there.on(EVENTS)))
        status = await one.cli("status")
        assert any("30-bad.yaml:3" in problem for problem in status["settings"]["problems"])
        assert (await one.device("one", "online"))["since"] == opened
        # and mended
        one.drop("30-bad.yaml", "devices:\n  two:\n    patient: P-9\n")
        await one.until(lambda: there.readings("two")[-1].get("patient_id") == "P-9")
        assert (await one.client.status())["settings"]["problems"] == []
        # routes change without a new connection
        one.drop("40-route.yaml", "brokers:\n  a:\n    routes:\n    - devices: [two]\n")
        await one.until(lambda: any("brokers" in str(event.get("changed")) for event in there.on(EVENTS)))
        assert (await one.broker("a", "connected"))["connects"] == 1
        two = len(there.readings("two"))
        await one.until(lambda: len(there.readings("two")) > two + 5)  # what was on its way before is there
        seen, at = len(there.readings("one")), first.n
        two = len(there.readings("two"))
        await one.until(lambda: first.n > at + 10 and len(there.readings("two")) > two + 10)
        assert len(there.readings("one")) <= seen + 5
        # the device goes
        (one.drops / "20-two.yaml").unlink()
        (one.drops / "30-bad.yaml").unlink()
        (one.drops / "40-route.yaml").unlink()
        await one.until(lambda: there.on("devices/two/status")[-1]["status"] == "offline")
        assert [device["id"] for device in (await one.client.devices())["devices"]] == ["one"]
        await one.stop()


def test_a_line_of_the_log_names_the_first_of_many_changes() -> None:
    changed = [f"devices.d{number} added" for number in range(100)]
    assert _counted(changed).endswith("devices.d19 added and 80 more")
    assert _counted(changed[:2]) == "devices.d0 added, devices.d1 added"
