"""Sockets of connections without TLS: read together while devices speak, and ended like any transport."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from math import inf

import pytest

from gatepost.agent.listener import socket_transport, socket_watch
from gatepost.agent.listener.socket_transport import SocketTransport
from gatepost.agent.listener.socket_watch import SocketWatch
from tests.support.waiting import until

NEVER = 3600.0  # seconds of a step that does not end in a test


class Pair:
    """A watched socket, and the far end of it."""

    def __init__(self, watch: SocketWatch, buffer: int = 16) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.heard: list[bytes] = []
        self._watch = watch
        self._buffer = buffer
        watch.add(self.near.fileno(), self.read)

    def read(self) -> bool:
        self.heard.append(self.near.recv(self._buffer))
        return len(self.heard[-1]) == self._buffer

    def close(self) -> None:
        self._watch.remove(self.near.fileno())
        self.near.close()
        self.far.close()


async def turns(count: int = 5) -> None:
    """Some rounds of the loop, in which it looks at its sockets."""
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wake-ups always follow each other closely."""
    monkeypatch.setattr(socket_watch, "BUSY", inf)


async def test_what_comes_after_a_pause_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_watch, "BUSY", -1.0)
    watch = SocketWatch(NEVER)
    pair = Pair(watch)
    for octets in (b"a", b"b", b"c"):
        pair.far.send(octets)
        await until(lambda octets=octets: octets in pair.heard)
    pair.close()


@pytest.mark.usefixtures("busy")
async def test_while_devices_speak_their_sockets_are_read_together() -> None:
    watch = SocketWatch(NEVER)
    one, other = Pair(watch), Pair(watch)
    one.far.send(b"a")
    await until(lambda: one.heard)
    began = asyncio.get_running_loop().time()
    one.far.send(b"b")
    other.far.send(b"c")
    await turns()
    assert (one.heard, other.heard) == ([b"a"], [])
    arrivals = []
    read, other.read = other.read, lambda: arrivals.append(watch.arrived()) or read()  # type: ignore[method-assign]
    watch.remove(other.near.fileno())
    watch.add(other.near.fileno(), other.read)
    watch.look()
    assert (one.heard, other.heard) == ([b"a", b"b"], [b"c"])
    assert arrivals[0] <= began  # it may have come any time since the look before
    one.close()
    other.close()


@pytest.mark.usefixtures("busy")
async def test_an_answer_that_is_expected_is_read_at_once() -> None:
    watch = SocketWatch(NEVER)
    pair = Pair(watch)
    pair.far.send(b"a")
    await until(lambda: pair.heard)
    pair.far.send(b"b")
    await turns()
    assert pair.heard == [b"a"]
    watch.expect()
    await until(lambda: pair.heard == [b"a", b"b"])
    pair.close()


@pytest.mark.usefixtures("busy")
async def test_a_step_without_a_word_ends_the_looks() -> None:
    watch = SocketWatch(0.0)
    pair = Pair(watch)
    pair.far.send(b"a")
    await until(lambda: pair.heard)
    await until(lambda: watch._timer is None)
    pair.far.send(b"b")
    await until(lambda: pair.heard == [b"a", b"b"])
    pair.close()


@pytest.mark.usefixtures("busy")
async def test_what_is_more_than_one_look_takes_does_not_wait_for_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_watch, "AT_ONCE", 2)
    watch = SocketWatch(NEVER)
    pairs = [Pair(watch, buffer=4) for _ in range(5)]
    for pair in pairs:
        pair.far.send(b"0123456789")
    await until(lambda: all(b"".join(pair.heard) == b"0123456789" for pair in pairs))
    for pair in pairs:
        pair.close()


@pytest.mark.usefixtures("busy")
async def test_a_socket_may_go_during_a_look_and_the_last_one_leaves_nothing() -> None:
    watch = SocketWatch(NEVER)
    one, other = Pair(watch), Pair(watch)
    for pair, victim in ((one, other), (other, one)):
        watch.remove(pair.near.fileno())
        watch.add(pair.near.fileno(), lambda victim=victim: bool(victim.close()))  # type: ignore[func-returns-value]
        pair.far.send(b"a")
    await until(lambda: one.far.fileno() == -1 or other.far.fileno() == -1)
    left = one if other.far.fileno() == -1 else other
    left.close()
    assert watch._poll is None
    assert watch._timer is None
    again = Pair(watch)
    again.far.send(b"a")
    await until(lambda: again.heard)
    again.close()


class Heard:
    """A protocol that notes what it is told."""

    def __init__(self) -> None:
        self.octets = b""
        self.ended: list[Exception | None] = []
        self.paused = 0
        self.fails = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.fails:
            raise ValueError("a fault")
        self.octets += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.append(exc)

    def pause_writing(self) -> None:
        self.paused += 1


class Connected:
    """A transport on one end of a TCP connection, the other end in the test's hands."""

    def __init__(self, watch: SocketWatch | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.far = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.heard = Heard()
        self.watch = watch or SocketWatch(0.0)
        self.transport = SocketTransport(accepted, self.heard, self.watch, bytearray(16))
        self.far.settimeout(5)


@pytest.fixture
async def connected() -> Iterator[Connected]:  # type: ignore[misc]
    made = Connected()
    yield made
    made.transport.abort()
    made.far.close()
    await until(lambda: made.heard.ended)
    assert made.watch._poll is None


async def test_a_peer_that_is_still_sending_hears_the_last_word_and_the_end(connected: Connected) -> None:
    """Closed with unread octets, the kernel would reset the connection."""
    connected.transport.pause_reading()
    connected.far.sendall(b"x" * 1000)
    connected.transport.write(b"the reason")
    connected.transport.close()
    assert connected.far.recv(100) == b"the reason"
    connected.far.sendall(b"y" * 1000)
    assert connected.far.recv(100) == b""
    connected.far.close()
    await until(lambda: connected.heard.ended)
    assert connected.heard.octets == b""
    assert connected.heard.ended == [None]


async def test_a_peer_that_sends_on_after_the_end_is_cut_off(
    connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected.transport._left = 2000
    monkeypatch.setattr(socket_transport, "LAST_WORDS", 2000)
    connected.transport.pause_reading()
    connected.far.sendall(b"x" * 3000)
    connected.transport.close()
    await until(lambda: connected.heard.ended)


async def test_a_peer_that_said_nothing_more_costs_no_wait(connected: Connected) -> None:
    connected.transport.close()
    await turns(2)
    assert connected.heard.ended == [None]
    assert connected.far.recv(100) == b""


async def test_octets_go_both_ways(connected: Connected) -> None:
    connected.far.sendall(b"0123456789" * 5)
    await until(lambda: connected.heard.octets == b"0123456789" * 5)
    connected.transport.write(b"answer")
    assert connected.far.recv(100) == b"answer"
    assert connected.transport.get_extra_info("peername") == connected.far.getsockname()
    assert connected.transport.get_extra_info("ssl_object") is None


async def test_what_the_peer_does_not_take_yet_is_sent_later_also_after_close(connected: Connected) -> None:
    connected.transport.set_write_buffer_limits(high=100_000_000)
    sent = bytes(range(256)) * 40_000
    connected.transport.write(sent[:100])
    connected.transport.write(sent[100:])
    connected.transport.write(b"")
    assert connected.transport.get_write_buffer_size()
    connected.transport.close()
    connected.transport.write(b"too late")
    got = await asyncio.to_thread(all_of, connected.far)
    assert got == sent
    await until(lambda: connected.heard.ended == [None])


def all_of(far: socket.socket) -> bytes:
    parts = []
    while part := far.recv(65536):
        parts.append(part)
    return b"".join(parts)


async def test_a_peer_that_takes_nothing_is_told_of(connected: Connected) -> None:
    connected.transport.set_write_buffer_limits(high=1000)
    for _ in range(200):
        connected.transport.write(bytes(100_000))
        if connected.heard.paused:
            break
    assert connected.heard.paused == 1


async def test_reading_can_pause(connected: Connected) -> None:
    connected.transport.pause_reading()
    connected.transport.pause_reading()
    connected.far.sendall(b"a")
    await turns()
    assert not connected.transport.is_reading()
    assert connected.heard.octets == b""
    connected.transport.resume_reading()
    await until(lambda: connected.heard.octets == b"a")


@pytest.mark.parametrize("reset", [False, True])
async def test_the_end_of_the_peer_ends_it(connected: Connected, reset: bool) -> None:
    if reset:
        connected.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connected.far.close()
    await until(lambda: connected.heard.ended)
    assert connected.transport.is_closing()
    assert isinstance(connected.heard.ended[0], ConnectionResetError if reset else type(None))
    assert connected.transport.get_extra_info("peername") is None


async def test_a_fault_ends_this_connection_only(connected: Connected) -> None:
    connected.heard.fails = True
    connected.far.sendall(b"a")
    await until(lambda: connected.heard.ended)
    assert isinstance(connected.heard.ended[0], ValueError)


@pytest.mark.parametrize("reading", [True, False])
async def test_what_a_peer_said_before_it_went_is_read_also_where_it_cannot_be_answered(reading: bool) -> None:
    connected = Connected(SocketWatch(NEVER))
    connected.watch._looked = inf  # wake-ups follow each other closely
    connected.far.sendall(b"a")
    await until(lambda: connected.heard.octets == b"a")
    connected.far.sendall(b"b")
    connected.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connected.far.close()
    if not reading:
        connected.transport.pause_reading()
    for _ in range(3):
        connected.transport.write(b"answer")
    assert connected.heard.octets == b"a"
    if reading:
        connected.watch.look()
        connected.watch.look()
        assert connected.heard.octets == b"ab"
    await until(lambda: connected.heard.ended)
