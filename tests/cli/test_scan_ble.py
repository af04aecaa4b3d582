"""`gatepost scan ble` with an emulated bluetoothd on a private bus."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from contextlib import ExitStack

import pytest
import yaml

from gatepost.agent.settings import load
from gatepost.drivers.ble.peripheral import ReceivedAdvert
from gatepost.drivers.ble.uuids import uuid
from gatepost.drivers.driver import Registry
from gatepost.drivers.link import LinkFailed, Reason
from tests.cli.conftest import spawn

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")


@pytest.fixture
def air(place, monkeypatch):
    """Puts simulated devices on a bus that counts as the system's; their addresses."""
    with ExitStack() as stack:

        def start(*names):
            process = stack.enter_context(spawn("simulate", *names, "--bus", place / "bus", "--json"))
            stack.callback(process.send_signal, signal.SIGTERM)
            told = json.loads(process.stdout.readline())
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", told["bus"])
            return [device["address"] for device in told["devices"]]

        yield start


@pytest.fixture
def main(settings, place):
    return settings(f"gateway: {{id: t, state_dir: {place}}}\napi: {{socket: {place}/none.sock}}\n")


def test_devices_their_drivers_and_a_drop_that_holds(gatepost, air, main, place):
    names = ("ble-heart-rate", "ble-polar-h10", "ble", "bthome", "ibeacon", "nonin-3230", "ble-weight-scale")
    addresses = air(*names)
    shown = gatepost("scan", "ble", "--for", "3s", "--config", main, "--write", "found", "--json")
    assert (shown.code, shown.err) == (0, "")
    told = json.loads(shown.out)
    drivers = {device["address"]: device["driver"] for device in told["devices"]}
    assert [drivers.get(address) for address in addresses[:-1]] == [
        "ble-heart-rate",
        "ble-polar-h10",
        "ble",
        "ble-advertisement",
        "ble-advertisement",
        "ble-pulse-oximeter",
    ]
    path = place / "conf.d" / "found.yaml"
    assert told["written"] == str(path)
    loaded = load(main, {}, Registry.installed())
    assert loaded.problems == []
    configured = {device.address: device for device in loaded.settings.devices.values()}
    assert configured[addresses[3]].options == {"format": "bthome"}
    assert {address: device.driver for address, device in configured.items()} == drivers
    assert gatepost("check", main).code == 0

    again = json.loads(gatepost("scan", "ble", "--for", "2s", "--config", main, "--json").out)
    assert again["drop"] == ""
    assert all(device["configured"]["id"] in loaded.settings.devices for device in again["devices"])


def test_people_see_a_table_and_a_drop_to_paste(gatepost, air, main, monkeypatch):
    (address,) = air("ble-glucose")
    monkeypatch.setenv("COLUMNS", "80")
    shown = gatepost("scan", "ble", "--for", "2s", "--config", main)
    assert shown.code == 0
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    drop = yaml.safe_load(shown.out[shown.out.index("\n# Found") :])
    assert list(drop["devices"].values()) == [{"driver": "ble-glucose", "address": address}]
    assert "glucose meter" in shown.out


def test_one_device_by_name_or_address(gatepost, air, main):
    first, second = air("ble-glucose", "ble-heart-rate")
    for wanted, found in ((first.lower(), first), ("Twin Heart*", second), ("Twin Heart", second)):
        shown = json.loads(gatepost("scan", "ble", "--for", "2s", "--device", wanted, "--config", main, "--json").out)
        assert [device["address"] for device in shown["devices"]] == [found]


def test_an_encrypted_sensor_needs_its_key(gatepost, main, place, monkeypatch):
    options = ["-o", "key=231d39c1d7cc1ab1aee224cd096db932"]
    with spawn("simulate", "bthome", *options, "--bus", place / "bus", "--json") as devices:
        told = json.loads(devices.stdout.readline())
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", told["bus"])
        shown = gatepost("scan", "ble", "--for", "2s", "--config", main, "--write", "key")
        devices.send_signal(signal.SIGTERM)
        devices.wait(20)
    assert "encrypted" in shown.out
    text = (place / "conf.d" / "key.yaml").read_text()
    assert "is encrypted: add its `key` under options" in text
    assert load(main, {}, Registry.installed()).problems == []


def test_what_the_agent_has_is_marked_and_what_it_holds_is_told(gatepost, agent, air):
    address, _ = air("ble-glucose", "ble-heart-rate")
    by_id = agent.app.devices.by_id
    by_id["oximeter-1"].state.update(driver="ble-glucose", port=address, status="offline")
    by_id["cuff-3"].state.update(driver="ble-blood-pressure", port="AA:BB:CC:DD:EE:FF", status="online")
    told = json.loads(gatepost("scan", "ble", "--for", "2s", "--json").out)
    mine = {device["address"]: device["configured"] for device in told["devices"]}
    assert mine.pop(address) == {"id": "oximeter-1", "driver": "ble-glucose", "status": "offline"}
    assert list(mine.values()) == [None]
    assert address not in told["drop"]
    (away,) = told["not_heard"]
    assert (away["id"], away["address"]) == ("cuff-3", "AA:BB:CC:DD:EE:FF")
    shown = gatepost("scan", "ble", "--for", "2s")
    assert "connected to the agent: it does not advertise" in shown.out
    assert "cuff-3 (online)" in shown.out


def test_unknown_devices_are_counted_and_listed_when_wanted(gatepost, main, monkeypatch):
    async def survey(seconds, adapter, **more):
        return [
            ReceivedAdvert("C0:00:00:00:00:01", "Toaster", -50, {}, {0x1234: b"x"}),
            ReceivedAdvert("C0:00:00:00:00:02"),
        ]

    monkeypatch.setattr("gatepost.drivers.ble.stack.survey.survey", survey)
    shown = gatepost("scan", "ble", "--config", main)
    assert "Toaster" not in shown.out
    assert "2 other devices without a driver" in shown.out
    everything = gatepost("scan", "ble", "--config", main, "--all")
    assert "Toaster" in everything.out
    assert "data of company 1234" in everything.out
    assert "A drop" not in everything.out


def test_no_bus_no_service_no_adapter(gatepost, main, air, place, monkeypatch):
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={place}/nobody")
    none = gatepost("scan", "ble", "--for", "1s", "--config", main)
    assert none.code == 1
    assert "the Bluetooth service is not running" in none.err
    assert "systemctl enable --now bluetooth" in " ".join(none.err.split())
    air("ble-glucose")
    missing = gatepost("scan", "ble", "--for", "1s", "--adapter", "hci7", "--config", main)
    assert missing.code == 1
    assert "the adapter hci7 was not found" in missing.err


@pytest.mark.parametrize(("reason", "hint"), [(Reason.ADAPTER_OFF, "power on"), (Reason.PERMISSION, "group")])
def test_every_failure_is_told_with_its_hint(gatepost, main, monkeypatch, reason, hint):
    async def survey(seconds, adapter, **more):
        raise LinkFailed(reason, "hci0: it cannot be", hint)

    monkeypatch.setattr("gatepost.drivers.ble.stack.survey.survey", survey)
    shown = gatepost("scan", "ble", "--config", main)
    assert shown.code == 1
    assert shown.err == f"gatepost: hci0: it cannot be\n  {hint}\n"


def test_ctrl_c_ends_it_with_what_was_heard(gatepost, main, monkeypatch):
    async def survey(seconds, adapter, *, on_seen, timing):
        on_seen(ReceivedAdvert("C0:00:00:00:00:01", "Far", -90, services=(uuid(0x1808),)))
        on_seen(ReceivedAdvert("C0:00:00:00:00:02", "Near", -40, services=(uuid(0x1808),)))
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)
        pytest.fail("it went on")

    monkeypatch.setattr("gatepost.drivers.ble.stack.survey.survey", survey)
    shown = gatepost("scan", "ble", "--config", main, "--json")
    assert shown.code == 0
    assert [device["name"] for device in json.loads(shown.out)["devices"]] == ["Near", "Far"]


def test_a_device_that_changes_its_address_is_configured_by_its_name(gatepost, main, monkeypatch):
    glucose = (uuid(0x1808),)
    adverts = [
        ReceivedAdvert("4C:11:22:33:44:55", "meter 7", -50, services=glucose, passing=True),
        ReceivedAdvert("00:1B:63:00:00:07", "meter 8", -60, services=glucose),
    ]
    monkeypatch.setattr("gatepost.agent.cli.support.scan_ble._listen", lambda seconds, adapter: adverts)
    shown = gatepost("scan", "ble", "--config", main)
    drop = yaml.safe_load(shown.out[shown.out.index("\n# Found") :])
    passing, fixed = drop["devices"].values()
    assert passing == {"driver": "ble-glucose", "name": "meter 7"}
    assert fixed == {"driver": "ble-glucose", "address": "00:1B:63:00:00:07"}
    assert "changes its address" in " ".join(shown.out.split())
    told = json.loads(gatepost("scan", "ble", "--config", main, "--json").out)
    assert [device["changes_address"] for device in told["devices"]] == [True, False]


def test_the_agent_knows_a_device_by_its_identity(gatepost, agent, monkeypatch):
    state = agent.app.devices.by_id["oximeter-1"].state
    state.update(driver="ble-glucose", port="4C:11:22:33:44:55", status="offline", address="00:1B:63:00:00:07")
    adverts = [ReceivedAdvert("00:1B:63:00:00:07", "meter 7", -50, services=(uuid(0x1808),))]
    monkeypatch.setattr("gatepost.agent.cli.support.scan_ble._listen", lambda seconds, adapter: adverts)
    told = json.loads(gatepost("scan", "ble", "--json", "--socket", agent.socket).out)
    assert told["devices"][0]["configured"]["id"] == "oximeter-1"
