"""UDP links: the device's address alone is heard, and it may come late, go and be flooded around."""

import asyncio
import logging
import random
import socket

import pytest

from gatepost.agent.core.clock import SystemClock
from gatepost.agent.core.events import EventBus
from gatepost.agent.devices.manager import DeviceManager
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.driver import Registry
from gatepost.drivers.link import LinkEvents, LinkFailed, Reason
from gatepost.drivers.network.datagram import Datagram
from gatepost.drivers.network.intellivue.driver import PhilipsIntellivue
from gatepost.drivers.network.intellivue.twin import IntellivueTwin
from gatepost.drivers.network.udp_address import UdpAddress, parse_udp_address
from gatepost.drivers.network.udp_link import UdpLink
from gatepost.drivers.network.udp_twin import UdpTwin
from gatepost.drivers.recording import RecordedMoment, RecordingHeader, line, read
from tests.devices.fakes import QUICK, MemoryStore
from tests.support.failing import failing
from tests.support.waiting import until

HOST = "127.0.0.1"


class Heard:
    def __init__(self):
        self.data = []
        self.lost = []
        self.events = LinkEvents(self.data.append, self.lost.append, lambda status, key, text: None, lambda known: None)


@pytest.fixture
def device():
    """A socket where a device would be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        one.settimeout(5)
        yield one


async def test_only_the_device_is_heard(device):
    heard = Heard()
    link = UdpLink(UdpAddress(HOST, device.getsockname()[1]), heard.events)
    await link.open(5)
    await link.send(b"hello", 5)
    data, gateway = device.recvfrom(100)
    assert data == b"hello"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number in range(2000):
            stranger.sendto(b"x" * 1000, gateway)
            if number % 100 == 0:
                await asyncio.sleep(0)
    device.sendto(b"mine", gateway)
    await until(lambda: heard.data, 5)
    assert heard.data == [b"mine"]
    assert isinstance(heard.data[0], Datagram)
    await link.close(1)
    with pytest.raises(LinkFailed):
        await link.send(b"x", 1)


async def test_what_comes_while_it_is_paused_waits(device):
    heard = Heard()
    link = UdpLink(UdpAddress(HOST, device.getsockname()[1]), heard.events)
    await link.open(5)
    await link.send(b"hello", 5)
    gateway = device.recvfrom(100)[1]
    link.pause()
    for number in range(5):
        device.sendto(bytes((number,)), gateway)
    await asyncio.sleep(0)
    assert heard.data == []
    link.resume()
    await until(lambda: len(heard.data) == 5, 5)
    assert heard.data == [bytes((number,)) for number in range(5)]
    await link.close(1)


async def test_nobody_there_is_told(device):
    port = device.getsockname()[1]
    device.close()
    heard = Heard()
    link = UdpLink(UdpAddress(HOST, port), heard.events)
    await link.open(5)
    await link.send(b"hello", 5)
    await until(lambda: heard.lost, 5)
    assert heard.lost[0].reason is Reason.GONE
    assert link.counters() == {"datagrams-unreachable": 1}
    await link.close(1)


async def test_a_port_that_is_taken_and_a_name_that_is_none(device):
    heard = Heard()
    with failing(LinkFailed, reason=Reason.BUSY):
        await UdpLink(UdpAddress(HOST, 9, device.getsockname()[1]), heard.events).open(5)
    with pytest.raises(LinkFailed) as caught:
        await UdpLink(UdpAddress("nobody.invalid", 9), heard.events).open(5)
    assert caught.value.reason in (Reason.MISSING, Reason.TIMEOUT)


@pytest.mark.parametrize(
    "url",
    ["udp://", "udp://host", "udp://host:0", "udp://host:70000", "udp://h:1?local=x", "udp://h:1?spy=1", "udp://[::1"],
)
def test_addresses_with_mistakes(url):
    with pytest.raises(ValueError, match=r"udp://|port"):
        parse_udp_address(url)


def test_addresses():
    assert parse_udp_address("udp://[2001:db8::1]:24105?local=24106") == UdpAddress("2001:db8::1", 24105, 24106)
    assert UdpAddress("2001:db8::1", 1).place == "[2001:db8::1]:1"


async def test_a_monitor_comes_late_loses_datagrams_and_goes():
    store = MemoryStore()
    log = logging.getLogger("test.udp")
    devices = DeviceManager(Registry.installed(), store, SystemClock(), EventBus(), random.Random(1), log, limits=QUICK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        port = one.getsockname()[1]
    settings = DeviceSettings(driver="philips-intellivue", port=f"udp://{HOST}:{port}", options={"waveforms": ["ii"]})
    await devices.apply({"m": settings})
    await until(lambda: devices.get("m")["status"] == "error" or devices.get("m")["status"] == "offline", 5)
    rng = random.Random(3)
    async with UdpTwin(IntellivueTwin(), HOST, port, lose=lambda: rng.random() < 0.02):
        await until(lambda: sum(reading["metric_type"] == "ecg" for reading in store.readings("m")) >= 2, 20)
        assert devices.get("m")["status"] == "online"
    await until(lambda: devices.get("m")["status"] != "online", 10)
    await devices.close()


def test_a_recording_of_datagrams_is_played_as_datagrams():
    driver = PhilipsIntellivue()
    twin = IntellivueTwin()
    said = twin.hear(b"\x0d")
    lines = [RecordingHeader(driver.name).line(), *(line(RecordedMoment(1.0, Datagram(data))) for data in said)]
    _, moments = read(lines)
    decoder = driver.decoder()
    found = [item for moment in moments for item in decoder.feed(moment.heard)]
    assert [item.fields["message"] for item in found] == ["association-accepted", "mds-create-event"]
    assert decoder.faults.counts == {}
