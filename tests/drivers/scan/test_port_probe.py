"""One port, from its opening to the verdict: PTYs of twins, and a line whose speed has to be found."""

from __future__ import annotations

import asyncio
import os
import random
import threading

import pytest
from serial.tools.list_ports_common import ListPortInfo

from gatepost.drivers.driver import Registry, SerialSettings
from gatepost.drivers.scan import port_probe as module
from gatepost.drivers.scan.port_probe import PortProbe, settings
from gatepost.drivers.scan.ports import given, ports, sensors
from gatepost.drivers.serial.port.open_port import change_line, close_port, open_port
from gatepost.drivers.testing.pty import PtyTwin

REGISTRY = Registry.installed()


async def heard(path, seconds=1.0, **more):
    return await asyncio.to_thread(PortProbe(str(path), REGISTRY, seconds, **more).run)


class Mute:
    """Says nothing, keeps what it hears."""

    interval = 60.0

    def __init__(self):
        self.heard = b""

    def tick(self):
        return b""

    def hear(self, data):
        self.heard += data
        return b""


@pytest.mark.parametrize("name", ["contec-cms50d-plus", "and-scale", "nonin", "protocentral-ads1292r"])
async def test_a_twin_is_known_and_its_port_is_free_again(tmp_path, name):
    async with PtyTwin(REGISTRY.get(name).twin(None, 2), tmp_path / "port", speed=2) as twin:
        found = await heard(twin.path)
        assert found.state == "recognised"
        assert settings(found.verdicts[0], REGISTRY) == {"driver": name}
        close_port(open_port(str(twin.path), SerialSettings(), None, None))


async def test_a_silent_port_hears_nothing_from_us(tmp_path):
    mute = Mute()
    async with PtyTwin(mute, tmp_path / "port"):
        found = await heard(tmp_path / "port", 0.3)
    assert (found.state, found.verdicts, mute.heard) == ("silent", (), b"")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("mt-sics", None, {"driver": "mt-sics"}),
        ("and-scale", {"mode": "poll"}, {"driver": "and-scale", "options": {"mode": "poll"}}),
        ("onetouch-ultra2", None, {"driver": "onetouch-ultra2"}),
        ("contec-cms50-v7", None, {"driver": "contec-cms50-v7"}),
    ],
)
async def test_who_speaks_only_when_asked_is_asked(tmp_path, monkeypatch, name, options, told):
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.3)
    kind = REGISTRY.get(name)
    twin = kind.twin(kind.options_type(**options) if options else None, 1)
    async with PtyTwin(twin, tmp_path / "port"):
        found = await heard(tmp_path / "port", 0.2, ask=True)
    assert settings(found.verdicts[0], REGISTRY) == told


async def test_only_what_no_rule_forbids_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.02)
    mute = Mute()
    async with PtyTwin(mute, tmp_path / "port"):
        assert (await heard(tmp_path / "port", 0.1, ask=True)).state == "silent"
    asked = [question.request for driver in REGISTRY for question in driver.scan_hints.probes]
    assert len(asked) >= 4
    assert sorted(mute.heard) == sorted(2 * b"".join(asked))
    for driver in REGISTRY:
        for question in driver.scan_hints.probes:
            assert driver().violation(question.request) is None


async def test_a_port_that_vanishes_is_told(tmp_path):
    async with PtyTwin(Mute(), tmp_path / "port") as twin:
        listening = threading.Event()
        task = asyncio.create_task(heard(twin.path, 20.0, step=lambda what: listening.set()))
        await asyncio.to_thread(listening.wait, 10)
        await twin.vanish()
        found = await asyncio.wait_for(task, 10)
    assert found.state == "io"
    assert "was lost" in found.message


async def test_what_cannot_be_opened_is_told(tmp_path):
    assert (await heard(tmp_path / "nothing")).state == "missing"
    (tmp_path / "file").write_text("x")
    assert (await heard(tmp_path / "file")).state == "settings"
    async with PtyTwin(Mute(), tmp_path / "port"):
        port = open_port(str(tmp_path / "port"), SerialSettings(), None, None)
        try:
            assert (await heard(tmp_path / "port")).state == "busy"
        finally:
            close_port(port)


async def test_it_ends_early(tmp_path):
    over = threading.Event()
    over.set()
    async with PtyTwin(Mute(), tmp_path / "port"):
        found = await asyncio.wait_for(heard(tmp_path / "port", 600.0, over=over.is_set), 10)
    assert found.state == "silent"


class Wire:
    """An Ear at a real line: what is said makes sense only with the right settings."""

    plain = False
    right = SerialSettings()
    twin = Mute()
    tuned: list[SerialSettings]

    def __init__(self, port, line, over):
        self.line = line
        self.__class__.tuned = [line]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def tune(self, line):
        self.line = line
        self.tuned.append(line)

    def hear(self, seconds, take, enough):
        for _ in range(int(seconds / self.twin.interval)):
            data = self.twin.tick()
            take(data if self.line == self.right else random.Random(len(data)).randbytes(len(data)))
            if enough():
                return

    def say(self, data):
        pytest.fail("it only listens")


@pytest.mark.parametrize("name", ["and-scale", "contec-cms50d-plus", "protocentral-ads1292r", "nmea0183"])
def test_the_speed_is_found(monkeypatch, name):
    kind = REGISTRY.get(name)
    monkeypatch.setattr(module, "BlockingPort", Wire)
    monkeypatch.setattr(Wire, "right", kind.line)
    monkeypatch.setattr(Wire, "twin", kind.twin(None, 3))
    found = PortProbe("/dev/wire", REGISTRY, 4.0).run()
    assert settings(found.verdicts[0], REGISTRY) == {"driver": name}
    assert Wire.tuned[-1] == kind.line  # and then no further


def test_another_speed_of_lines_is_told(monkeypatch):
    monkeypatch.setattr(module, "BlockingPort", Wire)
    monkeypatch.setattr(Wire, "right", SerialSettings(115200))
    monkeypatch.setattr(Wire, "twin", REGISTRY.get("lines").twin(None, 3))
    found = PortProbe("/dev/wire", REGISTRY, 10.0).run()
    assert settings(found.verdicts[0], REGISTRY) == {
        "driver": "lines",
        "baudrate": 115200,
        "options": {"format": "json"},
    }


async def test_an_open_port_takes_other_settings(tmp_path):
    """Reading goes on as before: nothing there is no hang-up."""
    async with PtyTwin(Mute(), tmp_path / "port"):
        port = open_port(str(tmp_path / "port"), SerialSettings(), None, None)
        try:
            change_line(port, SerialSettings(4800))
            assert port.baudrate == 4800
            with pytest.raises(BlockingIOError):
                os.read(port.fileno(), 10)
        finally:
            close_port(port)


def test_sensors_of_the_bus_and_nothing_else_of_it(tmp_path):
    for name in ("28-0316a2794bff", "10-0008001122aa", "w1_bus_master1", "29-000000000001"):
        (tmp_path / name).mkdir()
    assert sensors(tmp_path) == ["10-0008001122aa", "28-0316a2794bff"]
    assert sensors(tmp_path / "none") == []


def test_ports_are_named_by_what_stays(tmp_path, monkeypatch):
    """By id before by path; the kernel's name where there is no other."""
    devices = [tmp_path / name for name in ("ttyUSB0", "ttyUSB1", "ttyUSB2")]
    for device in devices:
        device.touch()
    for kind, name, device in (("by-id", "usb-A", 0), ("by-path", "pci-0", 0), ("by-path", "pci-1", 1)):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / name).symlink_to(devices[device])
    known = [ListPortInfo(str(device)) for device in reversed(devices)]
    known[2].vid, known[2].pid, known[2].serial_number = 0x0403, 0x6001, "A5"
    monkeypatch.setattr("gatepost.drivers.serial.port.open_port.listed", lambda: known)
    found = ports(tmp_path)
    names = ("by-id/usb-A", "by-path/pci-1", "ttyUSB2")
    assert [port.path for port in found] == [str(tmp_path / name) for name in names]
    assert (found[0].usb, found[0].serial_number, found[1].usb) == ("0403:6001", "A5", "")


def test_a_port_that_a_person_names_keeps_its_name(tmp_path):
    assert given(str(tmp_path / "port")).path == str(tmp_path / "port")
    assert given("socket://host:1").path == "socket://host:1"
