"""`gatepost simulate` with BLE devices."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gatepost.agent.cli.support.simulate_ble import made_of
from gatepost.agent.settings import load
from gatepost.drivers.driver import Registry
from tests.cli.conftest import spawn

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")

# Looks for devices by an unmodified bleak, and prints their addresses.
LOOK = """
import asyncio, sys
from bleak import BleakScanner

async def look(wanted):
    found = set()
    async with BleakScanner() as scanner:
        async for device, _ in scanner.advertisement_data():
            found.add(device.address)
            if found == wanted:
                return

asyncio.run(asyncio.wait_for(look(set(sys.argv[1:])), 20))
"""


def test_simulated_devices_are_found_until_they_end(place):
    with spawn("simulate", "ble-heart-rate", "ble-heart-rate", "ruuvi", "--bus", place / "bus", "--json") as devices:
        told = json.loads(devices.stdout.readline())
        assert told["bus"] == f"unix:path={place / 'bus'}"
        assert stat.S_ISSOCK(os.stat(place / "bus").st_mode)
        assert [each["driver"] for each in told["devices"]] == ["ble-heart-rate", "ble-heart-rate", "ble-advertisement"]
        addresses = [each["address"] for each in told["devices"]]
        assert len(set(addresses)) == 3
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": told["bus"]}
        subprocess.run([sys.executable, "-c", LOOK, *addresses], check=True, timeout=60, env=environment)
        devices.send_signal(signal.SIGTERM)
        assert devices.wait(20) == 0
        assert devices.stderr.read() == b""
    assert not (place / "bus").exists()


def test_a_passkey_is_no_number(place):
    with spawn("simulate", "ble-glucose", "-o", "passkey=123456", "--bus", place / "bus", "--json") as devices:
        drop = json.loads(devices.stdout.readline())["drop"]
        devices.send_signal(signal.SIGINT)
        assert devices.wait(20) == 0
    assert yaml.safe_load(drop)["devices"]["ble-glucose-1"]["options"] == {"passkey": "123456"}


def test_a_device_goes_by_the_bonding_of_its_options():
    kind = Registry.installed().get("ble-glucose")

    def made(**options):
        chosen = [("ble-glucose", kind, kind.options_type(**options))]
        ((_, _, device),) = made_of(chosen, 0)
        return device

    meter = made(passkey="012345")
    assert (meter.pairing, meter.passkey, meter.find(0x2A52).encrypted) == ("passkey", 12345, True)
    meter = made(pair="always")
    assert (meter.pairing, meter.find(0x2A52).encrypted) == ("just-works", True)
    assert not made().find(0x2A52).encrypted


def test_the_drop_holds(place):
    options = ["-o", "key=231d39c1d7cc1ab1aee224cd096db932"]
    with spawn("simulate", "bthome", *options, "--bus", place / "bus", "--json") as devices:
        drop = json.loads(devices.stdout.readline())["drop"]
        devices.send_signal(signal.SIGINT)
        assert devices.wait(20) == 0
    assert yaml.safe_load(drop)["devices"]["bthome-1"]["options"] == {"key": "231d39c1d7cc1ab1aee224cd096db932"}
    path = place / "gatepost.yaml"
    path.write_text(f"gateway: {{id: t, state_dir: {place}}}\n{drop}")
    loaded = load(path, {}, Registry.installed())
    assert loaded.settings is not None, loaded.problems
    assert loaded.settings.devices["bthome-1"].driver == "ble-advertisement"


def test_what_to_do_is_told_to_people(place):
    with spawn("simulate", "ble-glucose", "--bus", place / "bus") as devices:
        lines = [devices.stdout.readline().decode() for _ in range(9)]
        devices.send_signal(signal.SIGTERM)
        assert devices.wait(20) == 0
    assert f"  export DBUS_SYSTEM_BUS_ADDRESS=unix:path={place / 'bus'}\n" in lines
    assert "    driver: ble-glucose\n" in lines


def test_a_bus_needs_its_program_and_its_place(gatepost, place, monkeypatch):
    (place / "notes").write_text("precious")
    taken = gatepost("simulate", "ble", "--bus", place / "notes")
    assert taken.code == 1
    assert "is in use" in taken.err
    assert (place / "notes").read_text() == "precious"
    assert "short path" in gatepost("simulate", "ble", "--bus", place / ("x" * 120)).err
    monkeypatch.setenv("PATH", str(place))
    missing = gatepost("simulate", "ble")
    assert missing.code == 1
    assert "dbus-daemon is not installed" in missing.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ble-heart-rate", "--link", "/tmp/x"], 2, "no --link"),
        (["ble-heart-rate", "lines"], 1, "not a BLE device"),
        (["ble-advertisement", "bthome"], 2, "one address"),
        (["ble-hart-rate"], 1, "did you mean ble-heart-rate"),
        (["ble-heart-rate", "-o", "colour=red"], 2, "colour"),
        (["lines", "--link", "/tmp/x", "--bus", "/tmp/y"], 2, "not --bus"),
        (["lines", "lines", "--link", "/tmp/x"], 2, "one serial device"),
        (["lines"], 2, "needs --link"),
    ],
)
def test_what_fits_no_device_is_refused(gatepost, arguments, code, said):
    outcome = gatepost("simulate", *arguments)
    assert outcome.code == code
    assert said in " ".join(outcome.err.split())


def test_a_bus_that_ends_is_told(place):
    with spawn("simulate", "ble-glucose", "--bus", place / "bus", "--json") as devices:
        devices.stdout.readline()
        (bus,) = Path(f"/proc/{devices.pid}/task/{devices.pid}/children").read_text().split()
        os.kill(int(bus), signal.SIGKILL)
        assert devices.wait(20) == 1
        assert f"the bus at {place / 'bus'} ended" in devices.stderr.read().decode()
