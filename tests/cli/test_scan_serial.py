"""`gatepost scan serial` at PTYs of simulated devices."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from contextlib import ExitStack

import pytest
import yaml

from gatepost.agent.cli.support.output import screen
from gatepost.agent.settings import load
from gatepost.drivers.driver import Registry, SerialSettings
from gatepost.drivers.onewire import link as w1_link
from gatepost.drivers.scan.ports import SerialPort
from gatepost.drivers.serial.port.open_port import close_port, open_port
from tests.cli.conftest import spawn

SETTINGS = """
gateway: {id: t, state_dir: PLACE}
api: {socket: PLACE/none.sock}
devices:
  MINE: {driver: nonin, port: PLACE/mine}
"""


@pytest.fixture
def twins(place):
    """Starts simulated devices, `twins("nonin", "lines")`, and gives where they are."""
    with ExitStack() as stack:

        def start(*names, options=()):
            links = []
            for number, name in enumerate(names):
                link = place / f"{name}.{number}"
                process = stack.enter_context(spawn("simulate", name, "--link", link, "--json", *options))
                stack.callback(process.send_signal, signal.SIGTERM)
                process.stdout.readline()
                links.append(link)
            return links

        yield start


@pytest.fixture
def main(settings, place):
    return settings(filled(SETTINGS, place))


def filled(text, place, mine="mine"):
    return text.replace("PLACE", str(place)).replace("MINE", mine)


def ports(links):
    return [part for link in links for part in ("--port", link)]


def loaded(path):
    return load(path, {}, Registry.installed())


def test_devices_are_known_and_configured_by_the_drop(gatepost, twins, main, place):
    links = twins("contec-cms50d-plus", "lines", "nmea0183")
    shown = gatepost("scan", "serial", *ports(links), "--config", main, "--write", "found", "--for", "5s")
    assert (shown.code, shown.err) == (0, "")
    drop = place / "conf.d" / "found.yaml"
    assert f"{drop} is written" in shown.out
    assert "when the agent is started" in shown.out
    assert stat.S_IMODE(drop.stat().st_mode) == 0o640
    assert drop.stat().st_gid == drop.parent.stat().st_gid
    assert sorted(os.listdir(drop.parent)) == ["found.yaml"]
    found = loaded(main)
    assert found.problems == []
    devices = {device.port: device for name, device in found.settings.devices.items() if name != "mine"}
    assert {port: device.driver for port, device in devices.items()} == {
        str(links[0]): "contec-cms50d-plus",
        str(links[1]): "lines",
        str(links[2]): "nmea0183",
    }
    assert devices[str(links[1])].options == {"format": "json"}
    assert gatepost("check", main).code == 0

    again = gatepost("scan", "serial", *ports(links), "--config", main, "--for", "5s", "--json")
    told = json.loads(again.out)
    assert told["drop"] == ""  # all of them are configured now
    assert all(port["configured"]["id"] in found.settings.devices for port in told["ports"])
    unwritten = gatepost("scan", "serial", *ports(links[:1]), "--config", main, "--write", "more", "--for", "5s")
    assert unwritten.code == 0
    assert "nothing is written" in unwritten.err
    assert not drop.with_name("more.yaml").exists()


def test_the_drop_is_shown_to_paste(gatepost, twins, main):
    (link,) = twins("lines", options=("-o", "format=csv", "-o", 'columns=["a","b"]', "--speed", "5"))
    shown = gatepost("scan", "serial", "--port", link, "--config", main, "--for", "5s")
    assert shown.code == 0
    drop = yaml.safe_load(shown.out[shown.out.index("\n# Found") :])
    assert drop["devices"] == {
        "lines-lines-0": {
            "driver": "lines",
            "port": str(link),
            "options": {"format": "csv", "columns": ["column_1", "column_2"]},
        }
    }


def test_nothing_is_overwritten_and_that_is_said_before_listening(gatepost, main, place):
    (place / "conf.d").mkdir()
    drop = place / "conf.d" / "mine.yaml"
    drop.write_text("# precious\n")
    shown = gatepost("scan", "serial", "--port", place / "x", "--config", main, "--write", "mine")
    assert shown.code == 1
    assert "already exists" in shown.err
    assert drop.read_text() == "# precious\n"


@pytest.mark.parametrize(
    ("text", "name", "code", "said"),
    [
        (SETTINGS, "../evil", 1, "is not a valid name"),
        ("devices: {a: {driver: nobody}}", "x", 78, "are invalid"),
        (None, "x", 1, "no settings at"),
    ],
)
def test_where_a_drop_cannot_be_written(gatepost, settings, place, text, name, code, said):
    path = place / "gatepost.yaml" if text is None else settings(filled(text, place))
    shown = gatepost("scan", "serial", "--port", place / "x", "--config", path, "--write", name)
    assert shown.code == code
    assert said in shown.err


def test_ids_that_are_taken_are_not_given_again(gatepost, twins, settings, place):
    (link,) = twins("contec-cms50d-plus")
    path = settings(filled(SETTINGS, place, f"contec-cms50d-plus-{link.name.replace('.', '-')}"))
    assert gatepost("scan", "serial", "--port", link, "--config", path, "--write", "x", "--for", "30s").code == 0
    found = loaded(path)
    assert found.problems == []
    assert len(found.settings.devices) == 2


def test_a_port_that_cannot_be_heard_is_a_line(gatepost, main, place, twins):
    (link,) = twins("contec-cms50d-plus")
    port = open_port(str(link), SerialSettings(), None, None)
    try:
        shown = gatepost(
            "scan", "serial", "--port", link, "--port", place / "none", "--config", main, "--json", "--for", "30s"
        )
    finally:
        close_port(port)
    assert shown.code == 0
    busy, missing = json.loads(shown.out)["ports"]
    assert (busy["state"], missing["state"]) == ("busy", "missing")
    assert busy["hint"]
    assert missing["driver"] is None


def test_ports_of_the_running_agent_are_left_to_it(gatepost, agent, twins, monkeypatch):
    (link,) = twins("contec-cms50d-plus")
    agent.app.devices.by_id["oximeter-1"].state["port"] = str(link)
    monkeypatch.setattr("gatepost.drivers.scan.ports.ports", lambda: [SerialPort(str(link), str(link))])
    shown = json.loads(gatepost("scan", "serial", "--json").out)
    (port,) = shown["ports"]
    assert port["state"] == "left-alone"
    assert port["octets"] == 0
    assert port["configured"] == {"id": "oximeter-1", "driver": "lines", "status": "online"}
    assert shown["drop"] == ""
    port = open_port(str(link), SerialSettings(), None, None)
    try:
        busy = json.loads(gatepost("scan", "serial", "--port", link, "--json").out)["ports"][0]
    finally:
        close_port(port)
    assert (busy["state"], busy["message"]) == ("busy", "the running agent has it")
    named = json.loads(gatepost("scan", "serial", "--port", link, "--json", "--for", "30s").out)["ports"][0]
    assert named["state"] == "recognised"  # a person insists, and nobody has it open
    assert named["configured"]["id"] == "oximeter-1"


def test_sensors_of_the_1_wire_bus(gatepost, main, place, monkeypatch):
    (place / "w1" / "28-0316a2794bff").mkdir(parents=True)
    monkeypatch.setattr(w1_link, "ROOT", place / "w1")
    monkeypatch.setattr("gatepost.drivers.scan.ports.ports", list)
    shown = gatepost("scan", "serial", "--config", main, "--write", "w1")
    assert shown.code == 0
    device = loaded(main).settings.devices["ds18b20-28-0316a2794bff"]
    assert (device.driver, device.port) == ("ds18b20", "28-0316a2794bff")
    assert loaded(main).problems == []


def test_usb_adapters_are_named(gatepost, main, monkeypatch):
    long = "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
    port = SerialPort(long, "/dev/ttyUSB7", 0x0403, 0x6001, "FTDI", "FT232R USB UART", "A50285BI")
    monkeypatch.setattr("gatepost.drivers.scan.ports.ports", lambda: [port])
    monkeypatch.setenv("COLUMNS", "80")
    shown = gatepost("scan", "serial", "--config", main)
    assert screen() == 80
    assert all(len(line) <= 80 for line in shown.out.splitlines())
    assert "0403:6001 FT232R USB UART A50285BI" in shown.out
    assert long in " ".join(shown.out.split())
    told = json.loads(gatepost("scan", "serial", "--config", main, "--json").out)["ports"][0]
    assert told["usb"]["serial_number"] == "A50285BI"
    assert told["state"] == "missing"


def test_nothing_there(gatepost, main, monkeypatch):
    monkeypatch.setattr("gatepost.drivers.scan.ports.ports", list)
    assert "no serial port" in gatepost("scan", "serial", "--config", main).out


def test_settings_that_do_not_hold_are_no_reason_not_to_look(gatepost, settings, place, monkeypatch):
    monkeypatch.setattr("gatepost.drivers.scan.ports.ports", list)
    shown = gatepost("scan", "serial", "--config", settings("devices: {a: {driver: nobody}}"))
    assert shown.code == 0
    assert "are invalid" in shown.err


@pytest.mark.parametrize("duration", ["0s", "soon", "2h"])
@pytest.mark.parametrize("what", ["ble", "serial"])
def test_the_duration_must_make_sense(gatepost, what, duration):
    shown = gatepost("scan", what, "--for", duration)
    assert shown.code == 2
    assert "--for" in shown.err


def test_ctrl_c_ends_it_with_what_was_found(twins, main, place):
    (link,) = twins("contec-cms50d-plus")
    (quiet,) = twins("mt-sics")
    with spawn("scan", "serial", *ports([link, quiet]), "--for", "50m", "--config", main, "--json") as process:
        end = time.monotonic() + 30
        while not _is_open(process.pid, quiet) and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    states = {port["port"]: port["state"] for port in json.loads(out)["ports"]}
    assert states[str(quiet)] == "silent"


def _is_open(pid, link):
    device = os.path.realpath(link)
    try:
        return any(os.path.realpath(f"/proc/{pid}/fd/{each}") == device for each in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False
