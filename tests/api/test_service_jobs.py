"""Scans and tests of devices through the API of a real agent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import ExitStack

import pytest

from gatepost.client import AsyncGatewayClient, GatewayClient, GatewayError
from tests.api.real import running, written
from tests.cli.conftest import spawn
from tests.support.waiting import until


@pytest.fixture
def twin(tmp_path):
    """Starts a simulated device; gives where it is."""
    with ExitStack() as stack:

        def start(name):
            link = tmp_path / name
            process = stack.enter_context(spawn("simulate", name, "--link", link, "--json"))
            stack.callback(process.send_signal, signal.SIGTERM)
            process.stdout.readline()
            return str(link)

        yield start


async def ended(http):
    async with asyncio.timeout(60):
        while (scan := (await http.get("scan")).json()["scan"])["state"] == "running":
            await asyncio.sleep(0.1)
    return scan


async def test_a_scan_finds_a_device_and_the_form_that_configures_it(tmp_path, twin):
    port = twin("nonin")
    async with running(written(tmp_path)) as (_, http):
        assert (await http.get("scan")).json() == {"scan": None}
        answer = await http.post("scan", json={"kind": "serial", "seconds": 3, "ports": [port]})
        assert (answer.status_code, answer.json()["state"]) == (202, "running")
        again = await http.post("scan", json={"kind": "serial"})
        assert (again.status_code, again.json()["error"]["key"]) == (409, "scan-running")
        scan = await ended(http)
        assert scan["state"] == "done", scan
        [found] = scan["found"]
        assert (found["state"], found["driver"], found["settings"]["port"]) == ("recognised", "nonin", port)
        assert found["title"].startswith("Nonin")
        assert found["suggested_id"].startswith("nonin")
        added = await http.post("devices", json={"device_id": found["suggested_id"], **found["settings"]})
        assert added.status_code == 201, added.text
        refused = await http.post("scan", json={"kind": "serial", "ports": [port]})
        assert (refused.status_code, refused.json()["error"]["key"]) == (409, "port-in-use")


async def test_a_scan_is_cancelled_and_its_process_has_gone(tmp_path, twin):
    port = tmp_path / "silent"
    master, slave = os.openpty()
    port.symlink_to(os.ttyname(slave))
    try:
        async with running(written(tmp_path)) as (app, http):
            await http.post("scan", json={"kind": "serial", "seconds": 60, "ports": [str(port)]})
            job = app.api._jobs.scans._job
            await until(lambda: job._view["doing"], 30)
            scan = (await http.delete("scan")).json()["scan"]
            assert scan["state"] == "cancelled"
            assert job._process.returncode is not None
    finally:
        os.close(master)
        os.close(slave)


async def test_a_wrong_scan_is_refused(tmp_path):
    async with running(written(tmp_path)) as (_, http):
        for body in ({"kind": "smell"}, {"kind": "ble", "seconds": 0}, {"kind": "ble", "seconds": 61}):
            assert (await http.post("scan", json=body)).status_code == 422
        assert (await http.delete("scan")).status_code == 404


async def lines(http, body):
    async with http.stream("POST", "device-test", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        return [json.loads(line) async for line in answer.aiter_lines()]


async def test_a_device_shows_its_first_readings_and_nothing_is_stored(tmp_path, twin):
    port = twin("nonin")
    async with running(written(tmp_path)) as (app, http):
        head = app.store.head
        told = await lines(http, {"settings": {"driver": "nonin", "port": port}, "seconds": 5})
        assert told[0] == {"state": "opening"}
        readings = [line["reading"] for line in told if "reading" in line]
        assert readings[0]["metric_type"] == "pulse_oximetry"
        assert readings[0]["units"]
        assert told[-1]["end"]
        assert told[-1]["readings"] >= 1
        assert (app.store.head, app.current.settings.devices) == (head, {})
        again = await lines(http, {"settings": {"driver": "nonin", "port": port}, "seconds": 2})
        assert again[-1]["readings"] >= 1, "the port was closed"


async def test_both_clients_try_a_device(tmp_path):
    missing = {"driver": "nonin", "port": "/dev/ttyNONE"}
    async with running(written(tmp_path)) as _:
        path = tmp_path / "api.sock"
        waiting = [line async for line in AsyncGatewayClient(path).test_device(missing, seconds=1)]
        blocking = await asyncio.to_thread(lambda: list(GatewayClient(path).test_device(missing, seconds=1)))
        assert waiting[0] == blocking[0] == {"state": "opening"}
        assert waiting[-1]["reason"] == blocking[-1]["reason"] == "missing"
        with pytest.raises(GatewayError, match="driver"):
            await anext(AsyncGatewayClient(path).test_device({"driver": "nobody", "port": "/dev/ttyX"}))


async def test_a_device_that_is_not_there_says_why(tmp_path):
    async with running(written(tmp_path)) as (_, http):
        told = await lines(http, {"settings": {"driver": "nonin", "port": "/dev/ttyNONE"}, "seconds": 1})
        assert told[-1]["readings"] == 0
        assert (told[-1]["reason"], told[-1]["message"] != "") == ("missing", True)


async def test_a_port_that_a_device_has_is_left_to_it(tmp_path, twin):
    port = twin("nonin")
    config = written(tmp_path, devices={"ox": {"driver": "nonin", "port": port}})
    async with running(config) as (_, http):
        answer = await http.post("device-test", json={"settings": {"driver": "nonin", "port": port}})
        assert (answer.status_code, answer.json()["error"]["key"]) == (409, "port-in-use")


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"driver": "nonin"}, "devices.device-test.port"),
        ({"driver": "nobody", "port": "/dev/ttyX"}, "devices.device-test.driver"),
        ({"port": "/dev/ttyX"}, "devices.device-test.driver"),
        ({"driver": "lines", "port": "/dev/ttyX", "options": {"format": "xml"}}, "devices.device-test.options.format"),
    ],
)
async def test_wrong_settings_of_a_device_say_where(tmp_path, settings, where):
    async with running(written(tmp_path)) as (_, http):
        answer = await http.post("device-test", json={"settings": settings})
        assert answer.status_code == 422
        assert where in [problem["where"] for problem in answer.json()["error"]["problems"]]
