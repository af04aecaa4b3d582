"""The serial link over real PTYs and sockets, on both event loops."""

import asyncio
import contextlib
import errno
import os
import pty
import socket
import threading
import tty

import pytest

from gatepost.drivers.driver import SerialSettings
from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.serial.port import open_port as ports
from gatepost.drivers.serial.port.link import SerialLink
from gatepost.drivers.serial.port.port_watch import PortWatch
from tests.support.failing import failing
from tests.support.waiting import until

LINE = SerialSettings(9600)


class Port:
    """A PTY of the test's own; `master` is the device's end."""

    def __init__(self):
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)

    def hang_up(self):
        for descriptor in (self._slave, self.master):
            if descriptor >= 0:
                os.close(descriptor)
        self._slave = self.master = -1


@pytest.fixture
def port():
    port = Port()
    yield port
    port.hang_up()


class Ears:
    """What a link told."""

    def __init__(self):
        self.data = b""
        self.lost = []

    def link(self, path, line=LINE, **more):
        return SerialLink(path, line, on_data=self.heard, on_lost=self.lost.append, **more)

    async def opened(self, path, line=LINE, **more):
        link = self.link(path, line, **more)
        await link.open()
        return link

    def heard(self, data):
        self.data += data


@pytest.fixture
def ears():
    return Ears()


@pytest.mark.parametrize(
    "line", [SerialSettings(19200, 8, "O", 1), SerialSettings(2400, 7, "E", 1), SerialSettings(9600, 7, "N", 2)]
)
async def test_a_pty_is_opened_again_whatever_the_line_settings(port, ears, line):
    """It has neither parity nor byte size; the C library refuses the second request for what cannot be."""
    for _ in range(3):
        link = await ears.opened(port.path, line)
        await link.close()


@pytest.mark.parametrize(
    "url",
    [
        "spy://{path}?file={file}",
        "SPY://{path}?file={file}",
        "alt://{path}?class=PosixPollSerial",
        "hwgrep://.*",
        "cp2110://0",
        "socket://127.0.0.1:1?logging=debug",
        "loop://?logging=debug",
    ],
)
def test_a_url_that_is_not_on_the_list_is_not_opened_and_touches_no_file(port, tmp_path, url):
    kept = tmp_path / "gatepost.db"
    kept.write_text("readings")
    with pytest.raises(ValueError, match=r"URL|option"):
        ports.open_port(url.format(path=port.path, file=kept), SerialSettings(9600), None, None)
    assert kept.read_text() == "readings"


def test_a_real_port_is_asked_for_its_line_settings(monkeypatch):
    asked = {}

    def made(url, **settings):
        asked.update(settings)
        raise OSError(2, "enough")

    monkeypatch.setattr(ports.serial, "serial_for_url", made)
    with pytest.raises(OSError, match="enough"):
        ports.open_port("/dev/null", SerialSettings(2400, 7, "E", 2), None, None)
    assert (asked["bytesize"], asked["parity"], asked["stopbits"]) == (7, "E", 2)


async def test_hears_and_speaks(port, ears):
    link = await ears.opened(port.path)
    assert link.is_open
    os.write(port.master, b"\x00\x11\x13\r\n\xff")  # nothing is translated or obeyed
    await until(lambda: ears.data == b"\x00\x11\x13\r\n\xff")
    await link.send(b"\x03\x04\r\n\x80")
    assert os.read(port.master, 100) == b"\x03\x04\r\n\x80"
    await link.close()
    assert not link.is_open
    assert ears.lost == []


async def test_all_of_a_flood_arrives_in_order(port, ears):
    flood = os.urandom(1_000_000)
    link = await ears.opened(port.path)
    writer = threading.Thread(target=_write_all, args=(port.master, flood), daemon=True)
    writer.start()
    await until(lambda: len(ears.data) == len(flood))
    writer.join()
    assert ears.data == flood
    await link.close()


async def test_what_waits_in_a_pty_is_not_thrown_away(port, ears):
    os.write(port.master, b"early\n")
    link = await ears.opened(port.path)
    await until(lambda: ears.data == b"early\n")
    await link.close()


async def test_a_hang_up_is_told_once(port, ears):
    link = await ears.opened(port.path)
    port.hang_up()
    await until(lambda: ears.lost)
    assert not link.is_open
    assert link.counters()["read-errors"] == 1
    with failing(LinkFailed, reason=Reason.IO):
        await link.send(b"x")
    await link.close()
    assert [failure.reason for failure in ears.lost] == [Reason.IO]


async def test_a_hang_up_while_sending_fails_the_send(port, ears):
    link = await ears.opened(port.path)
    sending = asyncio.create_task(link.send(b"x" * 1_000_000, timeout=10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    port.hang_up()
    with failing(LinkFailed, reason=Reason.IO):
        await sending
    await until(lambda: ears.lost)
    await link.close()


async def test_nothing_is_told_after_close(port, ears):
    link = await ears.opened(port.path)
    await link.close()
    port.hang_up()
    await asyncio.sleep(0.05)
    assert ears.lost == []
    await link.close()  # again is harmless


async def test_what_was_sent_last_is_not_taken_back_by_close(port, ears):
    link = await ears.opened(port.path)
    await link.send(b"x" * 10_000)  # more than the far end's buffer: some of it is on its way
    await link.close()
    os.set_blocking(port.master, False)
    got = bytearray()

    def all_came():
        with contextlib.suppress(BlockingIOError):
            got.extend(os.read(port.master, 10_000))
        return len(got) == 10_000

    await until(all_came)


async def test_the_same_path_may_lead_to_another_port_next_time(port, ears, tmp_path):
    name = tmp_path / "usb-Some_Adapter-if00"
    other = Port()
    assert other.path != port.path
    link = ears.link(str(name))
    name.symlink_to(port.path)
    await link.open()
    port.hang_up()
    name.unlink()
    await until(lambda: ears.lost)
    with failing(LinkFailed, reason=Reason.MISSING):
        await link.open()
    name.symlink_to(other.path)
    await link.open()
    os.write(other.master, b"back")
    await until(lambda: ears.data == b"back")
    await link.close()
    other.hang_up()


async def test_a_port_has_one_holder(port, ears):
    first, second = ears.link(port.path), ears.link(port.path)
    await first.open()
    with failing(LinkFailed, reason=Reason.BUSY) as failed:
        await second.open()
    assert "in use" in failed.value.message
    with pytest.raises(LinkFailed):
        await first.open()
    await first.close()
    await second.open()
    await second.close()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/dev/serial/by-id/usb-nothing", Reason.MISSING),
        ("/dev/null", Reason.SETTINGS),
        (__file__, Reason.SETTINGS),
        ("/", Reason.SETTINGS),
        ("socket://nohost", Reason.SETTINGS),
        ("socket://127.0.0.1:1", Reason.MISSING),
        ("carrier-pigeon://x", Reason.SETTINGS),
        ("bad\0path", Reason.SETTINGS),
    ],
)
async def test_what_cannot_be_opened_says_why(ears, path, reason):
    with failing(LinkFailed, reason=reason) as failed:
        await ears.link(path).open()
    assert failed.value.hint


@pytest.mark.parametrize(
    "line", [SerialSettings(-5), SerialSettings(9600, 9), SerialSettings(9600, 8, "X"), SerialSettings(9600, 8, "N", 3)]
)
async def test_impossible_line_settings(port, ears, line):
    with failing(LinkFailed, reason=Reason.SETTINGS):
        await ears.link(port.path, line).open()


async def test_pause_slows_the_far_end_and_resume_loses_nothing(port, ears):
    flood = os.urandom(300_000)
    link = await ears.opened(port.path)
    assert link.can_pause
    link.pause()
    writer = threading.Thread(target=_write_all, args=(port.master, flood), daemon=True)
    writer.start()
    await asyncio.sleep(0.1)
    assert ears.data == b""
    assert writer.is_alive()  # it does not fit what the kernel holds
    link.resume()
    await until(lambda: len(ears.data) > 10_000)
    link.pause()
    held = len(ears.data)
    await asyncio.sleep(0.05)
    assert len(ears.data) == held
    link.resume()
    await until(lambda: len(ears.data) == len(flood))
    assert ears.data == flood
    writer.join()
    await link.close()


def test_a_real_line_without_flow_control_cannot_be_paused():
    def link(path, flow):
        return Ears().link(path, SerialSettings(9600, flow=flow))

    assert not link("/dev/ttyUSB0", "none").can_pause
    assert link("/dev/ttyUSB0", "rtscts").can_pause
    assert link("socket://host:1", "none").can_pause


async def test_a_far_end_that_takes_nothing_times_the_send_out(port, ears):
    link = await ears.opened(port.path)
    with failing(LinkFailed, reason=Reason.TIMEOUT):
        await link.send(b"x" * 1_000_000, timeout=0.05)
    while len(os.read(port.master, 65536)) == 65536:
        pass
    await link.close()


async def test_an_open_that_hangs_is_given_up_and_its_port_not_leaked(port, ears, monkeypatch):
    release, started, closed = threading.Event(), [], []
    real_open, real_close = ports.open_port, ports.close_port

    def slow(*arguments):
        started.append(arguments)
        release.wait(10)
        return real_open(*arguments)

    def close(handle):
        real_close(handle)
        closed.append(handle)

    monkeypatch.setattr(ports, "open_port", slow)
    monkeypatch.setattr(ports, "close_port", close)
    link = ears.link(port.path)
    for _ in range(2):  # the second does not start another thread beside the one that hangs
        with failing(LinkFailed, reason=Reason.TIMEOUT):
            await link.open(timeout=0.05)
    assert len(started) == 1
    release.set()
    await until(lambda: closed)
    assert not closed[0].is_open
    await link.open()
    await link.close()


async def test_a_cancelled_open_does_not_leak(port, ears, monkeypatch):
    release, closed = threading.Event(), []
    real_open, real_close = ports.open_port, ports.close_port

    def slow(*arguments):
        release.wait(10)
        return real_open(*arguments)

    monkeypatch.setattr(ports, "open_port", slow)
    monkeypatch.setattr(ports, "close_port", lambda handle: (real_close(handle), closed.append(handle)))
    opening = asyncio.create_task(ears.link(port.path).open())
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    release.set()
    await until(lambda: closed)


async def test_a_close_that_hangs_does_not_hold_the_loop(port, ears, monkeypatch):
    release = threading.Event()
    real_close = ports.close_port
    monkeypatch.setattr(ports, "close_port", lambda handle: (release.wait(10), real_close(handle)))
    link = await ears.opened(port.path)
    await link.close(timeout=0.05)
    assert not link.is_open
    asyncio.get_running_loop().call_later(0.1, release.set)
    await link.open()  # waits until the old handle has given its lock back
    await link.close()


def test_a_silent_port_wakes_nobody(port, ears):
    class Counting(asyncio.SelectorEventLoop):
        turns = 0

        def _run_once(self):
            self.turns += 1
            super()._run_once()

    async def scenario():
        loop = asyncio.get_running_loop()
        link = await ears.opened(port.path)
        os.write(port.master, b"x")
        await until(lambda: ears.data)
        await asyncio.sleep(0.1)  # the pause after the read is over
        before = loop.turns
        await asyncio.sleep(0.3)
        assert loop.turns - before <= 2  # the end of the sleep itself
        assert ears.lost == []
        os.write(port.master, b"y")
        await until(lambda: ears.data == b"xy")
        await link.close()

    with asyncio.Runner(loop_factory=Counting) as runner:
        runner.run(scenario())


async def test_a_socket_is_a_port_too(ears):
    server = socket.create_server(("127.0.0.1", 0))
    link = await ears.opened(f"socket://127.0.0.1:{server.getsockname()[1]}")
    far, _ = server.accept()
    far.sendall(b"at once")
    await until(lambda: ears.data == b"at once")
    await link.send(b"hello")
    assert far.recv(100) == b"hello"
    far.close()
    await until(lambda: ears.lost)
    await link.close()
    server.close()


async def test_a_port_without_a_descriptor_is_read_by_a_thread(ears):
    link = await ears.opened("loop://")
    await link.send(b"round")
    await until(lambda: ears.data == b"round")
    link.pause()
    await link.send(b" and round")
    await asyncio.sleep(0.05)
    assert ears.data == b"round"
    link.resume()
    await until(lambda: ears.data == b"round and round")
    await link.close()
    assert ears.lost == []


def _write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


async def test_a_fault_in_whoever_listens_to_a_port_ends_that_port_only(port, ears):
    other = Port()
    try:
        watch, deaf = PortWatch(), Ears()
        deaf.heard = lambda data: 1 // 0
        links = [deaf.link(other.path, watch=watch), ears.link(port.path, watch=watch)]
        for link in links:
            await link.open()
        os.write(other.master, b"1")
        await until(lambda: deaf.lost)
        os.write(port.master, b"2")
        await until(lambda: ears.data == b"2")
        assert [error.reason for error in deaf.lost] == [Reason.IO]
        assert ears.lost == []
        for link in links:
            await link.close()
    finally:
        other.hang_up()


async def test_a_port_that_cannot_be_watched_is_lost_and_not_deaf(port, ears):
    """A process with as many files open as it may."""

    class FullWatch(PortWatch):
        def add(self, loop, descriptor, read):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    link = await ears.opened(port.path, watch=FullWatch())
    await until(lambda: ears.lost)
    assert str(ears.lost[0]).endswith("Too many open files")
    assert not link.is_open
    await link.close()
