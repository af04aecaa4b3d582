"""A port of another machine over RFC 2217, against the server part of pyserial."""

import asyncio
import contextlib
import socket
import threading

import pytest
import serial
import serial.rfc2217

from gatepost.drivers.driver import SerialSettings
from gatepost.drivers.link import LinkFailed, Reason
from gatepost.drivers.serial.port.link import SerialLink
from tests.support.failing import failing
from tests.support.waiting import until

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's own thread


class Server:
    """One port, `loop://` of the far machine, and one caller: what it writes comes back."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self.settings = None
        self._caller = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            self._caller, _ = self._listener.accept()
            self._talk(self._caller)

    def _talk(self, caller):
        class Connection:
            write = staticmethod(caller.sendall)

        port = serial.serial_for_url("loop://", timeout=0)
        manager = serial.rfc2217.PortManager(port, Connection())
        while data := caller.recv(1024):
            said = b"".join(manager.filter(data))
            self.settings = (port.baudrate, port.bytesize, port.parity)
            if said:
                caller.sendall(b"".join(manager.escape(said)))

    def hang_up(self):
        for end in (self._caller, self._listener):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.hang_up()


async def test_it_sets_the_line_talks_and_notices_the_end(server):
    heard, lost = bytearray(), []
    link = SerialLink(server.url, SerialSettings(19200, 7, "E"), on_data=heard.extend, on_lost=lost.append)
    await link.open()
    assert link.can_pause
    assert server.settings == (19200, 7, "E")
    await link.send(b"over \xff and out")
    await until(lambda: bytes(heard) == b"over \xff and out")
    server.hang_up()
    await until(lambda: lost)
    assert lost[0].reason is Reason.IO
    await link.close()
    assert len(lost) == 1


async def test_a_paused_link_keeps_a_bounded_amount(server):
    heard = bytearray()
    link = SerialLink(server.url, SerialSettings(9600), on_data=heard.extend, on_lost=lambda exc: None)
    await link.open()
    link.pause()
    words = bytes(range(256)) * 400  # more than the handler's own queue may hold

    async def talk():
        for at in range(0, len(words), 4096):
            await link.send(words[at : at + 4096], timeout=20)

    talking = asyncio.create_task(talk())
    queue = link._handle._read_buffer  # one octet an item
    await until(lambda: queue.qsize() >= 65536)
    await asyncio.sleep(0.05)
    assert queue.qsize() == 65536
    assert not heard
    link.resume()
    await until(lambda: len(heard) == len(words))
    assert bytes(heard) == words
    await talking
    await link.close()


async def test_a_server_that_is_none():
    link = SerialLink("rfc2217://127.0.0.1:1", SerialSettings(9600), on_data=print, on_lost=print)
    with failing(LinkFailed, reason=Reason.MISSING):
        await link.open()
