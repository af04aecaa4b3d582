"""Simulated devices on PTYs, read back through the link and the driver's decoder."""

import asyncio
import contextlib
import os

import pytest

from gatepost.drivers.driver import LocalTime, Registry
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.lines.driver import LinesOptions, LinesTwin
from gatepost.drivers.serial.port.link import SerialLink
from gatepost.drivers.testing import driver_kit
from gatepost.drivers.testing.pty import PtyTwin
from gatepost.drivers.testing.virtual_session import EPOCH
from tests.support.waiting import until


class Steps:
    """Pacing by hand: a tick happens when the test says so."""

    def __init__(self):
        self._steps = asyncio.Queue()

    async def sleep(self, seconds):
        await self._steps.get()

    def step(self, times=1):
        for _ in range(times):
            self._steps.put_nowait(None)


class Talk:
    """A conversation over a link; what was decoded since the last `send` is waited for."""

    def __init__(self, link, driver, decoder):
        self.link, self.driver, self.decoder = link, driver, decoder
        self.items, self._heard = [], []
        self.update_status = self.progress = lambda *_, **__: None

    def hear(self, data):
        found = self.decoder.feed(data)
        self.items += found
        self._heard += found

    feed = hear

    async def send(self, data):
        assert self.driver.violation(data) is None
        self._heard.clear()
        await self.link.send(data)

    async def wait(self, match, timeout):
        async with asyncio.timeout(timeout):
            while True:
                while self._heard:
                    if (found := match(self._heard.pop(0))) is not None:
                        return found
                await asyncio.sleep(0.002)

    async def stored(self, timeout=30.0):
        return

    def now(self):
        return LocalTime(EPOCH, True)


SERIAL = sorted(kind.name for kind in Registry.installed() if kind.transport == "serial")


@pytest.mark.parametrize("name", SERIAL)
async def test_every_driver_reads_its_twin_over_a_pty(name, tmp_path):
    driver = driver_kit.maker(Registry.installed().get(name))()
    twin = driver.twin(driver.options, seed=1)
    steps, lost = Steps(), []
    async with PtyTwin(twin, tmp_path / "device", sleep=steps.sleep) as device:
        io = Talk(None, driver, driver.decoder())
        io.link = SerialLink(str(device.path), driver.line, on_data=io.hear, on_lost=lost.append)
        await io.link.open()
        for words in driver.on_open_bytes():
            await io.send(words)
        talking = asyncio.create_task(driver.run_session(io))

        loop, due = asyncio.get_running_loop(), 0.0

        def some():
            nonlocal due
            if loop.time() >= due:  # slow devices wait some ticks for an answer, and an answer takes 20 ms
                due = loop.time() + min(0.05, twin.interval / 10)
                steps.step()
            return any(isinstance(item, Reading) for item in io.items)

        await until(some)
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await talking
        await io.link.close()
    assert io.decoder.faults.total == 0
    assert lost == []
    assert any(item.values for item in io.items if isinstance(item, Reading))


async def test_it_vanishes_and_comes_back_under_another_number(tmp_path):
    twin = PtyTwin(LinesTwin(LinesOptions(), seed=1), tmp_path / "by-id", speed=1000)
    await twin.appear()
    first, lost, data = twin.device, [], []
    link = SerialLink(str(twin.path), Registry.installed().get("lines").line, on_data=data.append, on_lost=lost.append)
    await link.open()
    await until(lambda: data)
    await twin.vanish()
    assert not twin.present
    assert not twin.path.exists()
    await until(lambda: lost)
    await twin.appear()
    assert twin.device != first
    data.clear()
    await link.open()
    await until(lambda: data)
    await link.close()
    await twin.close()
    await twin.close()
    assert not twin.path.is_symlink()


async def test_without_a_reader_ticks_are_dropped_and_counted(tmp_path):
    async with PtyTwin(LinesTwin(LinesOptions(), 1), tmp_path / "p", speed=1e6) as device:
        await until(lambda: device.dropped > 10)


async def test_a_patient_twin_waits_for_its_reader(tmp_path):
    steps, data = Steps(), bytearray()
    device = PtyTwin(LinesTwin(LinesOptions(), 1), tmp_path / "p", patient=True, sleep=steps.sleep)
    await device.appear()
    steps.step(4000)
    await until(lambda: device.sent > 100)
    reader = os.open(device.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)

    def all_read():
        with contextlib.suppress(BlockingIOError):
            data.extend(os.read(reader, 65536))
        return data.count(b"\n") == 4001

    await until(all_read)
    assert device.dropped == 0
    assert device.sent == 4001
    os.close(reader)
    await device.close()
