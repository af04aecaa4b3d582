"""The link to the kernel's 1-wire files, with a folder that a test plays."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.onewire import link as w1_link
from gatepost.drivers.onewire.link import W1Link, sensor_file
from gatepost.drivers.onewire.twin import Ds18b20Twin, W1Folder
from tests.devices.fakes import execute
from tests.drivers.rig import Rig, until
from tests.support.failing import failing

SENSOR = "28-00000a1b2c3d"


class Heard:
    def __init__(self):
        self.data, self.lost = [], []


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def folder(tmp_path):
    made = W1Folder(Ds18b20Twin(seed=1), tmp_path / SENSOR)
    made.update()
    return made


def link_to(folder, heard, port=SENSOR, interval=0.005, **given):
    return W1Link(
        port, interval, on_data=heard.data.append, on_lost=heard.lost.append, root=folder.folder.parent, **given
    )


def test_a_sensor_has_three_names():
    root = Path("/sys/bus/w1/devices")
    file = root / SENSOR / "w1_slave"
    assert sensor_file(SENSOR) == sensor_file(SENSOR.upper()) == file
    assert sensor_file(str(root / SENSOR)) == sensor_file(str(file)) == file


async def test_it_reads_on_and_on(folder, heard):
    link = link_to(folder, heard)
    await link.open()
    await until(lambda: len(heard.data) >= 3)
    folder.write(b"changed\n")
    await until(lambda: heard.data[-1] == b"changed\n")
    await link.close()
    count = len(heard.data)
    await asyncio.sleep(0.03)
    assert len(heard.data) == count
    assert heard.lost == []
    await link.open()
    await until(lambda: len(heard.data) > count)
    await link.close()
    assert link.counters() == {"read-errors": 0, "timeouts": 0}


async def test_the_first_reading_comes_at_once(folder, heard):
    link = link_to(folder, heard, interval=3600)
    await link.open()
    await until(lambda: heard.data)
    await link.close()


async def test_a_sensor_that_is_not_there(folder, heard):
    link = link_to(folder, heard, port="28-000000000000")
    with failing(LinkFailed, reason=Reason.MISSING) as failed:
        await link.open()
    assert "w1-gpio" in failed.value.hint


async def test_a_sensor_that_goes_is_told_once_and_can_come_back(folder, heard):
    link = link_to(folder, heard)
    await link.open()
    await until(lambda: heard.data)
    folder.vanish()
    await until(lambda: heard.lost)
    assert isinstance(heard.lost[0], LinkFailed)
    await link.close()
    with pytest.raises(LinkFailed):
        await link.open()
    folder.update()
    await link.open()
    count = len(heard.data)
    await until(lambda: len(heard.data) > count)
    await link.close()
    assert len(heard.lost) == 1


async def test_a_read_that_fails_now_and_then_is_counted(folder, heard):
    """A folder in place of the file: reading it is an error that is not its absence."""
    link = link_to(folder, heard)
    await link.open()
    await until(lambda: heard.data)
    file = folder.folder / "w1_slave"
    file.unlink()
    file.mkdir()
    await until(lambda: heard.lost)
    assert link.counters()["read-errors"] == w1_link.MAX_FAILED_READS
    await link.close()


async def test_a_kernel_that_hangs_is_not_waited_for(folder, heard):
    file = folder.folder / "w1_slave"
    file.unlink()
    os.mkfifo(file)  # opening it waits for a writer
    link = link_to(folder, heard, limit=0.05)
    with pytest.raises(LinkFailed):
        await link.open()  # it is no file
    file.unlink()
    folder.update()
    await link.open()
    await until(lambda: heard.data)
    file.unlink()
    os.mkfifo(file)
    await until(lambda: heard.lost)
    assert heard.lost[0].reason is Reason.TIMEOUT
    assert link.counters()["timeouts"] == 1
    await link.close()
    with failing(LinkFailed, reason=Reason.TIMEOUT):
        await link.open()  # its thread still hangs in there
    with open(file, "wb"):  # noqa: ASYNC230  # lets it out
        pass
    folder.vanish()
    folder.update()
    await until(lambda: not link._reading)
    await link.open()
    count = len(heard.data)
    await until(lambda: len(heard.data) > count)
    await link.close()


async def test_paused_it_gives_nothing(folder, heard):
    link = link_to(folder, heard)
    await link.open()
    await until(lambda: heard.data)
    link.pause()
    await asyncio.sleep(0.02)
    count = len(heard.data)
    await asyncio.sleep(0.03)
    assert len(heard.data) == count
    link.resume()
    await until(lambda: len(heard.data) > count)
    await link.close()
    assert link.can_pause


async def test_whatever_is_said_it_reads_now(folder, heard):
    link = link_to(folder, heard, interval=3600)
    with pytest.raises(LinkFailed):
        await link.send(b"x")
    await link.open()
    await until(lambda: len(heard.data) == 1)
    await link.send(b"x")
    await until(lambda: len(heard.data) == 2)
    await link.close()


async def test_the_file_is_read_off_the_loop(folder, heard, monkeypatch):
    threads = []
    real = Path.open

    def spy(self, *given, **named):
        threads.append(threading.current_thread())
        return real(self, *given, **named)

    monkeypatch.setattr(Path, "open", spy)
    link = link_to(folder, heard)
    await link.open()
    await until(lambda: heard.data)
    await link.close()
    assert threads
    assert threading.main_thread() not in threads


async def test_through_the_agent(folder):
    async with Rig() as rig:
        await rig.run("ds18b20", folder.folder, interval=3600)
        await until(lambda: rig.readings)
        result = await execute(rig.devices, "d", "read_now", {})
        assert result["units"] == {"temperature": "Cel"}
        assert rig.readings[0]["metric_type"] == "temperature"
        assert rig.view["status"] == "online"


async def test_a_simulated_sensor_appears_measures_and_goes(tmp_path):
    ticks = asyncio.Event()

    async def sleep(seconds):
        ticks.set()
        await asyncio.sleep(0.001)

    folder = W1Folder(Ds18b20Twin(seed=1), tmp_path / SENSOR)
    running = asyncio.create_task(folder.run(sleep=sleep))
    await ticks.wait()
    first = (tmp_path / SENSOR / "w1_slave").read_bytes()
    await until(lambda: (tmp_path / SENSOR / "w1_slave").read_bytes() != first)
    running.cancel()
    await asyncio.wait([running])
    assert not (tmp_path / SENSOR).exists()
