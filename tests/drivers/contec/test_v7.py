from datetime import UTC, datetime

import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, SyncTime
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply
from gatepost.drivers.serial.contec import v7_packets as v7
from gatepost.drivers.serial.contec.v7_driver import Contec7Options, ContecCms50V7
from gatepost.drivers.serial.contec.v7_twin import Contec7Twin
from tests.drivers.twin_exchange import TwinExchange
from tests.support.failing import failing

CAPTURED = bytes.fromhex("01e085b396c1e1ffff")  # 65/min, 97 %, no PI
NO_FINGER = bytes.fromhex("01e9808090ffffffff")
IDLE = bytes.fromhex("0c80")
NOW = datetime(2026, 11, 22, 10, 30, 59, tzinfo=UTC)  # a Sunday


def decoder(**options):
    return ContecCms50V7(Contec7Options(**options)).decoder()


def feedback(command, reason=0):
    return v7.encode_reply(v7.V7Packet(v7.FEEDBACK, bytes((command, reason))))


def with_pi(percent):
    return v7.encode_live(v7.V7LiveData(5, False, False, False, False, 51, False, 6, True, 165, 97, percent))


def test_a_captured_packet():
    (reading,) = decoder().feed(CAPTURED * 2)
    assert reading.values == {"spo2": 97, "heart_rate": 65}
    assert reading.units == {"spo2": "%", "heart_rate": "/min"}
    assert (reading.flags, reading.quality) == ((), GOOD)


def test_perfusion_index():
    (reading,) = decoder().feed(with_pi(3.27) * 2)
    assert reading.values == {"spo2": 97, "heart_rate": 165, "perfusion_index": 3.27}
    assert reading.units["perfusion_index"] == "%"


def test_no_finger():
    (reading,) = decoder().feed(NO_FINGER * 2)
    assert (reading.values, reading.quality) == ({}, BAD)
    assert reading.flags == ("spo2:no-finger", "heart_rate:no-finger")


@pytest.mark.parametrize("octet", range(7))
def test_bit_7_of_every_octet_travels_in_octet_1(octet):
    data = bytes(0x80 if i == octet else 0x01 for i in range(7))
    wire = v7.encode_reply(v7.V7Packet(v7.IDENTITY, data))
    assert all(byte & 0x80 for byte in wire[1:])
    assert v7.decode_packet(wire) == (v7.IDENTITY, data)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [("", "truncated"), ("01e085b396c1e1ff", "truncated"), ("01e085b396c1e1ffff80", "bad_length"),
     ("81e085b396c1e1ffff", "bad_sync"), ("01e085b31601e1ffff", "bad_sync"), ("0280", "unsupported"),
     ("1380808080", "unsupported")],
)  # fmt: skip
def test_what_is_no_packet_is_refused(frame, kind):
    with pytest.raises(FrameError, match=kind):
        v7.decode_packet(bytes.fromhex(frame))


def test_undocumented_types_are_skipped_without_losing_sync():
    found = decoder()
    data = CAPTURED * 2 + bytes.fromhex("0280818283") + CAPTURED + bytes.fromhex("1385858585858585") + CAPTURED
    assert len(found.feed(data)) == 3
    assert found.faults.counts == {"unknown-type": 2}


def test_a_packet_cut_short_costs_the_trust():
    found = decoder()
    assert len(found.feed(CAPTURED * 2)) == 1
    assert found.feed(CAPTURED[:5] + CAPTURED) == []
    assert len(found.feed(CAPTURED)) == 1
    assert found.faults.counts == {"resync": 1}


def test_replies():
    found = decoder()
    identity = v7.encode_reply(v7.V7Packet(v7.IDENTITY, b"CMS50F\0"))
    support = v7.encode_reply(v7.V7Packet(v7.PI_SUPPORT, b"\0"))
    replies = found.feed(
        IDLE + identity + support + feedback(0xA1, 5) + bytes.fromhex("088080808fd08180") + b"\x10\x80\x82"
    )
    assert replies == [
        Reply("idle", {}),
        Reply("identity", {"id": "CMS50F"}),
        Reply("pi-support", {"supported": True}),
        Reply("feedback", {"command": 0xA1, "reason": 5, "text": "unsupported"}),
        Reply("length", {"user": 0, "segment": 0, "length": 86031}),
        Reply("packet", {"type": 0x10, "data": [2]}),
    ]


def test_waveform_blocks():
    blocks = [r.waveform for r in decoder(waveform=True).feed(CAPTURED * 61) if isinstance(r, Reading) and r.waveform]
    assert [block.samples for block in blocks] == [[51] * 60]


def test_host_packets():
    assert v7.encode_packet(v7.START_LIVE) == bytes.fromhex("7d81a1808080808080")
    assert v7.encode_packet(0xB2, bytes((20, 130))) == bytes.fromhex("7d85b2948280808080")
    with pytest.raises(ValueError, match="arguments"):
        v7.encode_packet(0xB2, bytes(7))


def test_the_gateway_never_erases():
    assert set(v7.FORBIDDEN) == {0xAE}
    with pytest.raises(ValueError, match="erases"):
        v7.encode_packet(0xAE)
    driver = ContecCms50V7()
    spoken = [*driver.on_open_bytes(), *driver.on_close_bytes(), driver.keep_alive.data]
    assert not any(packet[2] in v7.FORBIDDEN for packet in spoken)
    assert [packet[2] for packet in spoken] == [0xA2, 0xA1, 0xA2, 0xAF]
    assert driver.keep_alive.interval == 5.0


@pytest.fixture
def table():
    """A driver, and an exchange with its twin that is live already."""
    driver = ContecCms50V7(now=lambda: NOW)
    exchange = TwinExchange(driver, driver.twin(seed=1))
    for words in driver.on_open_bytes():
        exchange.twin.hear(words)
    return driver, exchange


async def test_start_and_stop(table):
    driver, exchange = table
    assert await driver.execute("stop_live", None, exchange) == {"live": False}
    assert not exchange.twin.live
    assert driver.silence is None  # the watchdog must not reopen a device that is meant to be silent
    assert [packet[2] for packet in driver.on_open_bytes()] == [0xA2]
    assert await driver.execute("start_live", None, exchange) == {"live": True}
    assert exchange.twin.live
    assert driver.silence == ContecCms50V7.silence
    assert [packet[2] for packet in driver.on_open_bytes()] == [0xA2, 0xA1]


async def test_identity_while_live_data_rests(table):
    driver, exchange = table
    assert await driver.execute("device_id", None, exchange) == {"id": "SIM0001"}
    assert [packet[2] for packet in exchange.sent] == [0xA2, 0xAA, 0xA1]
    assert exchange.twin.live


@pytest.mark.parametrize(
    ("given", "date", "time"),
    [
        (None, (20, 26, 11, 22, 0), (10, 30, 59)),
        (datetime(2032, 2, 29, 23, 5, 7), (20, 32, 2, 29, 0), (23, 5, 7)),  # noqa: DTZ001
        (datetime(2026, 11, 21), (20, 26, 11, 21, 6), (0, 0, 0)),  # noqa: DTZ001
    ],
)
async def test_the_clock_is_set(table, given, date, time):
    driver, exchange = table
    await driver.execute("sync_time", SyncTime(given), exchange)
    assert exchange.twin.clock_date == date
    assert exchange.twin.clock_time == time
    assert exchange.twin.live


async def test_a_refusal_of_the_device_fails_the_command_and_live_data_goes_on(table):
    driver, exchange = table
    obey = exchange.twin.hear
    exchange.twin.hear = lambda data: feedback(0xB2, 3) if data[2] == 0xB2 else obey(data)
    with failing(CommandFailed, key="recording"):
        await driver.execute("sync_time", SyncTime(), exchange)
    assert exchange.twin.live


async def test_a_device_that_does_not_answer_times_out(table):
    driver, exchange = table
    exchange.twin.hear = lambda data: b""
    exchange.twin.live = False
    with pytest.raises(TimeoutError):
        await driver.execute("device_id", None, exchange)
    with pytest.raises(TimeoutError):
        await driver.execute("start_live", None, exchange)


async def test_an_unknown_command(table):
    driver, exchange = table
    with failing(CommandFailed, key="unknown-command"):
        await driver.execute("erase", None, exchange)


@pytest.mark.parametrize("speed", [1, 3, 100])
def test_the_twin_stops_without_a_keep_alive_in_the_hosts_time_however_fast_it_is(speed):
    passed = 0.0
    twin = Contec7Twin(now=lambda: passed)
    twin.hear(v7.encode_packet(v7.START_LIVE))

    def ticks(seconds):
        nonlocal passed
        said = []
        for _ in range(int(seconds * speed / twin.interval)):
            passed += twin.interval / speed
            said.append(twin.tick())
        return said

    for _ in range(6):
        assert all(ticks(5))
        twin.hear(ContecCms50V7().keep_alive.data)
    assert not all(ticks(11))
    assert not twin.live


def test_memory_is_bounded():
    reader = v7.V7PacketReader(Faults())
    reader.feed(b"\x01\x80" * 10000)
    assert len(reader._rest) < v7.LONGEST
