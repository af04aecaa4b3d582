"""Devices that connect to the gateway: who may, whose a message is, and what happens when a connection goes."""

import asyncio
import contextlib
import logging
import os
import random
import socket
import ssl

import pytest

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.backoff import Backoff
from gatepost.drivers.driver import Registry
from gatepost.drivers.network import listener, listening_link
from gatepost.drivers.network.hl7 import mllp
from gatepost.drivers.network.hl7.twin import Hl7Twin
from gatepost.drivers.network.listen_address import ListenAddress, allows, parse_listen_address
from gatepost.drivers.network.listener import MAX_CONNECTIONS, MAX_OF_ONE_ADDRESS
from gatepost.drivers.network.twin_client import TcpTwin
from tests.devices.fakes import QUICK, MemoryStore
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.uplink.broker import Authority

HOST = "127.0.0.1"


class Ward:
    """Device manager with hl7-monitor devices at one port."""

    def __init__(self, allow="127.0.0.0/8"):
        self.port = free_port()
        self.url = f"listen://{HOST}:{self.port}?allow={allow}"
        self.store = MemoryStore()
        self.devices = DeviceManager(
            Registry.installed(),
            self.store,
            SystemClock(),
            EventBus(),
            random.Random(1),
            logging.getLogger("test.ward"),
            limits=QUICK,
        )

    async def run(self, **devices):
        await self.devices.apply(devices)

    def owner(self, **options):
        return DeviceSettings(driver="hl7-monitor", port=self.url, options=options)

    def bed(self, bed, via="ward"):
        return DeviceSettings(driver="hl7-monitor", options={"via": via, "match": {"bed": bed}})

    def twin(self, bed, seed=0):
        twin = Hl7Twin(bed, seed)
        return twin, TcpTwin(twin, HOST, self.port, Backoff(random.Random(seed), 0.05, 0.2), speed=50.0)

    def status(self, name):
        view = self.devices.get(name)
        return view["status"], view

    def key(self, name):
        reason = self.devices.state_of(name).reason
        return reason.key

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        await self.devices.close()


@pytest.fixture
async def ward():
    async with Ward() as one:
        yield one


async def test_a_monitor_connects_and_every_message_is_acknowledged_once_stored(ward):
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    twin, client = ward.twin("ICU^^5")
    async with client:
        await until(lambda: len(twin.acknowledged) >= 20, 20)
    assert ward.status("d")[0] == "online"
    readings = ward.store.readings("d")
    assert len(readings) >= 4 * len(twin.acknowledged)


async def test_many_beds_on_one_connection_each_to_its_own_device(ward):
    await ward.run(ward=ward.owner(), **{f"bed-{i}": ward.bed(f"ICU^^{i}") for i in range(4)})
    await until(lambda: ward.key("ward") == "waiting", 5)
    twins = [Hl7Twin(f"ICU^^{i}", i, first=1000 * i) for i in range(5)]  # the last is nobody's

    class All:
        interval = 1.0

        def tick(self):
            return b"".join(twin.tick() for twin in twins)

        def hear(self, data):
            for part in data.split(b"\x1c\r"):
                for twin in twins:
                    twin.hear(part)
            return b""

    async with TcpTwin(All(), HOST, ward.port, Backoff(random.Random(0), 0.05, 0.2), speed=20.0):
        await until(lambda: all(len(twin.acknowledged) >= 5 for twin in twins), 20)
        for i in range(4):
            assert ward.status(f"bed-{i}")[0] == "online"
            assert len(ward.store.readings(f"bed-{i}")) >= 20
        assert ward.store.readings("ward") == []
        assert ward.status("ward")[1]["faults"]["stray"] >= 5


async def test_a_sender_that_frames_nothing_is_understood_after_a_silence(ward, monkeypatch):
    monkeypatch.setattr(mllp, "SILENCE", 0.05)
    await ward.run(d=ward.owner(unframed=True))
    await until(lambda: ward.key("d") == "waiting", 5)
    reader, writer = await asyncio.open_connection(HOST, ward.port)
    for number in (b"1", b"2"):
        head, item = b"MSH|^~\\&|A|B|||20260101||ORU^R01|%b|P|2.3\r", b"OBX|1|NM|147842^^MDC||72\r"
        writer.write(head % number + item)
        answer = await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 10)
        assert b"MSA|AA|" + number in answer
    writer.close()
    assert [reading["heart_rate"] for reading in ward.store.readings("d")] == [72, 72]


async def test_nobody_else_may_connect():
    async with Ward(allow="10.1.2.3") as ward:
        await ward.run(d=ward.owner())
        await until(lambda: ward.key("d") == "waiting", 5)
        for _ in range(50):
            reader, writer = await asyncio.open_connection(HOST, ward.port)
            writer.write(b"\x0bMSH|^~\\&|X\x1c\r")
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
        assert ward.status("d")[0] != "online"
        assert ward.status("d")[1]["faults"]["connections-refused"] == 50
        assert ward.store.rows == []


async def opened(ward, count, local=HOST):
    """Connections that say nothing."""
    made = [await asyncio.open_connection(HOST, ward.port, local_addr=(local, 0)) for _ in range(count)]
    return [writer for _, writer in made]


def fault(ward, kind):
    return ward.status("d")[1]["faults"].get(kind, 0)


async def test_too_many_connections_are_refused_those_of_one_address_first(ward):
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    writers = await opened(ward, MAX_OF_ONE_ADDRESS + 5)
    await until(lambda: fault(ward, "connections-too-many") == 5, 10)
    writers += await opened(ward, MAX_CONNECTIONS - MAX_OF_ONE_ADDRESS, "127.0.0.2")
    writers += await opened(ward, 3, "127.0.0.3")
    await until(lambda: fault(ward, "connections-too-many") == 8, 10)
    for writer in writers:
        writer.close()
    twin, client = ward.twin("ICU^^5")
    async with client:
        await until(lambda: twin.acknowledged, 20)


async def test_silent_connections_make_room_and_end(ward, monkeypatch):
    monkeypatch.setattr(listener, "QUIET", 0.0)
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    writers = await opened(ward, MAX_OF_ONE_ADDRESS)
    twin, client = ward.twin("ICU^^5")
    async with client:
        await until(lambda: twin.acknowledged, 20)
        assert fault(ward, "connections-idle") == 1
    monkeypatch.setattr(listener, "IDLE", 0.05)
    writers += await opened(ward, 1)
    await until(lambda: fault(ward, "connections-idle") >= 2, 10)
    for writer in writers:
        writer.close()


async def test_messages_that_do_not_end_are_not_all_kept(ward, monkeypatch):
    monkeypatch.setattr(listener, "MOST_HELD", 20_000)
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    writers = await opened(ward, 4)
    for size, writer in enumerate(writers, 5):
        writer.write(b"\x0bMSH" + b"x" * size * 1000)  # 5 to 8 kB: the first that are too much make the largest go
    await until(lambda: fault(ward, "connections-too-large") >= 1, 10)
    twin, client = ward.twin("ICU^^5")
    async with client:
        await until(lambda: twin.acknowledged, 20)
    for writer in writers:
        writer.close()


@pytest.mark.parametrize("mutual", [False, True])
async def test_tls(ward, tmp_path, mutual):
    authority = Authority(tmp_path / "ca")
    cert, key = authority.issue("gateway", ("localhost",))
    ward.url += f"&cert={cert}&key={key}" + (f"&ca={authority.ca}" if mutual else "")
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    _, plain = await asyncio.open_connection(HOST, ward.port)
    plain.write(b"\x0bMSH|^~\\&|X\x1c\r")
    await until(lambda: fault(ward, "connections-broken-off") == 1, 10)
    plain.close()
    context = ssl.create_default_context(cafile=str(authority.ca))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # of Python 3.13: this authority names no key identifiers
    if mutual:
        with contextlib.suppress(OSError):  # without its certificate
            reader, _ = await asyncio.open_connection("localhost", ward.port, ssl=context)
            assert await reader.read() == b""
        await until(lambda: fault(ward, "connections-broken-off") == 2, 10)
        context.load_cert_chain(*authority.issue("monitor", ("monitor",)))
    twin = Hl7Twin("ICU^^5")
    reader, writer = await asyncio.open_connection("localhost", ward.port, ssl=context)
    writer.write(twin.tick())
    twin.hear(await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 10))
    assert twin.acknowledged == [1]
    writer.close()
    assert ward.status("d")[0] == "online"


async def test_a_certificate_that_cannot_be_read_is_an_error_of_the_device(ward, tmp_path):
    ward.url += f"&cert={tmp_path}/none&key={tmp_path}/none"
    await ward.run(d=ward.owner())
    await until(lambda: "cannot listen" in ward.status("d")[1]["message"], 5)


@pytest.mark.parametrize("part", ["cert", "key", "ca"])
async def test_a_fifo_in_the_place_of_a_certificate_holds_no_thread(ward, tmp_path, part):
    cert, key = Authority(tmp_path / "ca").issue("gateway", ("localhost",))
    os.mkfifo(tmp_path / "fifo")
    files = {"cert": cert, "key": key, part: tmp_path / "fifo"}
    ward.url += "".join(f"&{name}={file}" for name, file in files.items())
    await ward.run(d=ward.owner())
    await until(lambda: "not a regular file" in ward.status("d")[1]["message"], 5)


async def test_a_lost_connection_is_a_state_and_the_device_comes_back(ward, monkeypatch):
    monkeypatch.setattr(listening_link, "GRACE", 0.05)
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    for _ in range(3):
        twin, client = ward.twin("ICU^^5")
        async with client:
            await until(lambda twin=twin: len(twin.acknowledged) >= 3, 20)
        await until(lambda: ward.status("d")[0] == "offline", 10)
    assert len(ward.store.readings("d")) >= 9


async def test_a_removed_device_gives_its_port_back_at_once(ward):
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    await ward.run()

    def refused():
        with socket.socket() as one:
            return one.connect_ex((HOST, ward.port)) != 0

    await until(refused, 5)


async def test_a_port_changes_hands_under_a_monitor(ward):
    await ward.run(d=ward.owner())
    await until(lambda: ward.key("d") == "waiting", 5)
    twin, client = ward.twin("ICU^^5")
    async with client:
        await until(lambda: twin.acknowledged, 20)
        await ward.run(d=ward.owner(waveforms=True))  # changed
        before = len(twin.acknowledged)
        await until(lambda: len(twin.acknowledged) > before, 20)
        await ward.run(e=ward.owner())  # removed, and another has its port
        await until(lambda: ward.store.readings("e"), 20)


async def test_a_port_that_is_taken_is_an_error_of_the_device():
    async with Ward() as ward:
        with socket.create_server((HOST, ward.port)):
            await ward.run(d=ward.owner())
            await until(lambda: "cannot listen" in ward.status("d")[1]["message"], 5)


async def test_any_serial_driver_can_be_listened_for(ward):
    await ward.run(d=DeviceSettings(driver="lines", port=ward.url, options={"format": "json"}))
    await until(lambda: ward.key("d") == "waiting", 5)
    _, writer = await asyncio.open_connection(HOST, ward.port)
    writer.write(b'{"t":1}\n{"t":2}\n')
    await until(lambda: ward.store.readings("d"), 5)
    _, newer = await asyncio.open_connection(HOST, ward.port)  # after a power cut: the old connection is dead
    newer.write(b'{"t":3}\n{"t":4}\n{"t":5}\n')
    await until(lambda: any(reading.get("t") == 5 for reading in ward.store.readings("d")), 5)
    writer.close()
    newer.close()


@pytest.mark.parametrize(
    "url",
    [
        "listen://0.0.0.0:2575",
        "listen://0.0.0.0:2575?allow=",
        "listen://0.0.0.0?allow=10.0.0.1",
        "listen://0.0.0.0:2575?allow=ward-3",
        "listen://0.0.0.0:2575?allow=10.0.0.1&cert=a",
        "listen://0.0.0.0:2575?allow=10.0.0.1&spy=a",
        "listen://0.0.0.0:99999?allow=10.0.0.1",
        "listen://[::1?allow=10.0.0.1",
    ],
)
def test_an_address_without_an_allow_list_or_with_mistakes_is_none(url):
    with pytest.raises(ValueError, match=r"listen://|allow|TLS"):
        parse_listen_address(url)


def test_the_allow_list():
    address = parse_listen_address("listen://0.0.0.0:2575?allow=10.1.0.0/16, 192.168.7.9,2001:db8::/32")
    assert isinstance(address, ListenAddress)
    networks = address.networks()
    assert allows(networks, "10.1.255.1")
    assert allows(networks, "::ffff:10.1.0.9")
    assert allows(networks, "2001:db8::5%eth0")
    assert not any(allows(networks, peer) for peer in ("10.2.0.1", "192.168.7.8", "::1", "", "x"))
