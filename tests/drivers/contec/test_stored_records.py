"""What Contec oximeters have stored: fetched whole, given once, also when the agent is killed in between."""

import random
from datetime import datetime

import pytest

from gatepost.drivers.driver import CommandFailed, SessionOver
from gatepost.drivers.reading import BAD, Reading
from gatepost.drivers.serial.contec import records as contec_records
from gatepost.drivers.serial.contec import retry
from gatepost.drivers.serial.contec import v7_packets as v7
from gatepost.drivers.serial.contec.records import TakenOctets
from gatepost.drivers.serial.contec.retry import ConversationRetry
from gatepost.drivers.serial.contec.v5_driver import Contec5Options, ContecCms50dPlus
from gatepost.drivers.serial.contec.v5_frames import END_STORED, READ_STORED, encode_stored
from gatepost.drivers.serial.contec.v7_driver import Contec7Options, ContecCms50V7
from gatepost.drivers.serial.contec.v7_segments import decode_record
from gatepost.drivers.serial.contec.v7_twin import a_night
from tests.drivers.twin_exchange import Killed, TwinExchange
from tests.support.failing import failing

DRIVERS = {"v7": lambda: ContecCms50V7(), "five": lambda: ContecCms50dPlus()}


def records(items):
    return [item for item in items if isinstance(item, Reading) and item.bookmark is not None]


def commands(exchange):
    return [packet[2] for packet in exchange.sent]


@pytest.fixture
def table():
    """`table(driver)`: an exchange with its twin, which is live already."""

    def lay(driver, twin=None):
        exchange = TwinExchange(driver, twin or driver.twin(seed=1))
        for words in driver.on_open_bytes():
            exchange.twin.hear(words)
        return exchange

    return lay


async def test_the_segments_of_v7_in_the_order_of_the_paper(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    exchange.twin.segments = [a_night(5), a_night(7, index=False, start=datetime(2026, 11, 21, 23, 59, 58))]  # noqa: DTZ001
    assert await driver.execute("read_stored", None, exchange) == {"recordings": 2, "new_records": 12}
    assert commands(exchange) == [
        0xA2, 0xAA, 0xA3, 0xA5, 0xA4, 0xA5, 0xA4, 0xA6, 0xA7, 0xA6, 0xA7, 0xA1
    ]  # fmt: skip
    found = records(exchange.given)
    assert len(found) == 12
    assert found[0].values == {"spo2": 90, "heart_rate": 60, "perfusion_index": 3.2}
    assert found[0].units == {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}
    assert (found[0].flags, found[0].device_time) == (("from-memory",), "2026-11-20T22:10:00")
    assert found[4].device_time == "2026-11-20T22:10:04"
    assert found[5].values == {"spo2": 90, "heart_rate": 60}
    assert [reading.device_time for reading in found[5:8]] == [
        "2026-11-21T23:59:58", "2026-11-21T23:59:59", "2026-11-22T00:00:00"
    ]  # fmt: skip
    assert exchange.known["serial_number"] == "SIM0001"
    assert found[-1].bookmark == (
        "stored:SIM0001:0", [["2026-11-20T22:10:00/20", 20], ["2026-11-21T23:59:58/14", 14]]
    )  # fmt: skip


async def test_live_data_and_stored_data_never_overlap(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    hear, talking = exchange.twin.hear, []

    def listen(data):
        if data[2] in (0xA3, 0xA4, 0xA5, 0xA6):
            talking.append(exchange.twin.live)
        return hear(data)

    exchange.twin.hear = listen
    await driver.execute("read_stored", None, exchange)
    assert talking == [False] * 4
    assert exchange.twin.live


async def test_a_device_that_was_told_to_be_silent_stays_so(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    await driver.execute("stop_live", None, exchange)
    await driver.execute("read_stored", None, exchange)
    assert not exchange.twin.live


async def test_the_recording_of_the_older_generation(table):
    driver = ContecCms50dPlus()
    exchange = table(driver)
    exchange.twin.stored = [(72, 97), (201, 96), (0, 0), (73, 0)]
    assert await driver.execute("read_stored", None, exchange) == {"new_records": 4}
    assert exchange.sent == [READ_STORED, END_STORED]
    first, second, third, fourth = records(exchange.given)
    assert first.values == {"spo2": 97, "heart_rate": 72, "sequence_number": 0}
    assert second.values == {"spo2": 96, "heart_rate": 201, "sequence_number": 1}
    assert (third.values, third.quality) == ({"sequence_number": 2}, BAD)
    assert third.flags[2:] == ("spo2:no-signal", "heart_rate:no-signal")
    assert fourth.flags[2:] == ("spo2:no-signal",)
    assert first.flags[0] == "from-memory"
    assert first.flags[1].startswith("recording-")
    assert first.device_time is None
    assert first.bookmark[0] == "stored"


@pytest.mark.parametrize("name", DRIVERS)
async def test_what_is_stored_is_not_given_again(name, table):
    driver = DRIVERS[name]()
    exchange = table(driver)
    await driver.execute("read_stored", None, exchange)
    assert len(records(exchange.given)) == 90
    again = DRIVERS[name]()
    again.bookmarks = exchange.marks
    second = table(again)
    assert (await again.execute("read_stored", None, second))["new_records"] == 0
    assert records(second.given) == []
    if name == "v7":
        assert v7.ASK_STORED not in commands(second)  # it is not even transferred


@pytest.mark.parametrize("name", DRIVERS)
async def test_nor_in_the_same_session(name, table):
    driver = DRIVERS[name]()
    exchange = table(driver)
    await driver.execute("read_stored", None, exchange)
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 0
    assert len(records(exchange.given)) == 90
    assert driver.bookmarks == exchange.marks


@pytest.mark.parametrize("name", DRIVERS)
async def test_nor_after_a_store_that_was_slow(name, table):
    driver = DRIVERS[name]()
    exchange = table(driver)
    exchange.twin.segments, exchange.twin.stored = [a_night(5000)], [(60 + i % 100, 97) for i in range(5000)]
    good, slow = exchange.stored, [True]

    async def stored(timeout=30.0):
        if slow.pop() if slow else False:
            raise TimeoutError
        await good(timeout)

    exchange.stored = stored
    with pytest.raises(SessionOver):
        await driver.execute("read_stored", None, exchange)
    await driver.execute("read_stored", None, exchange)
    assert len(records(exchange.given)) == 5000


@pytest.mark.parametrize("name", DRIVERS)
async def test_killed_in_mid_download_any_number_of_times(name, table):
    rng, marks, found = random.Random(7), {}, []
    for _ in range(50):
        driver = DRIVERS[name]()
        driver.bookmarks = dict(marks)
        exchange = table(driver)
        exchange.dies_after = rng.randrange(6)
        try:
            await driver.execute("read_stored", None, exchange)
        except Killed:
            pass
        else:
            break
        finally:
            marks = marks | exchange.marks
            found += records(exchange.given)
    assert len(found) == 90
    key = (lambda r: r.device_time) if name == "v7" else (lambda r: r.values["sequence_number"])
    assert len({key(reading) for reading in found}) == 90


async def test_a_longer_recording_with_the_same_start_is_another_one(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    exchange.twin.segments = [a_night(5)]
    await driver.execute("read_stored", None, exchange)
    driver.bookmarks = exchange.marks
    exchange.twin.segments = [a_night(6)]
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 6
    assert exchange.marks == {"stored:SIM0001:0": [["2026-11-20T22:10:00/24", 24]]}  # what is gone is forgotten


async def test_another_device_on_the_port_starts_anew(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    await driver.execute("read_stored", None, exchange)
    driver.bookmarks = exchange.marks
    hear = exchange.twin.hear
    other = v7.encode_reply(v7.V7Packet(v7.IDENTITY, b"OTHER\0\0"))
    exchange.twin.hear = lambda data: other if data[2] == v7.DEVICE_ID else hear(data)
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 90
    assert set(exchange.marks) == {"stored:SIM0001:0", "stored:OTHER:0"}


async def test_the_recordings_remembered_of_the_older_generation_are_bounded(table):
    driver = ContecCms50dPlus()
    exchange = table(driver)
    for i in range(30):
        exchange.twin.stored = [(72 + i, 97)]
        await driver.execute("read_stored", None, exchange)
        driver.bookmarks = exchange.marks
    assert len(exchange.marks["stored"]) == 16


def lossy(exchange, drop):
    """The twin's line loses what `drop(said)` takes away."""
    tick = exchange.twin.tick
    exchange.twin.tick = lambda: drop(tick())


@pytest.mark.parametrize("lost", [1, 6])  # an octet; a whole packet, which no check of the wire can see
async def test_a_lost_octet_or_packet_never_shifts_the_times(table, lost):
    driver = ContecCms50V7()
    exchange = table(driver)
    times = []

    def drop(said):
        if said[:1] == b"\x09" and not times:
            times.append(1)
            return said[:12] + said[12 + lost :]
        return said

    lossy(exchange, drop)
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 90
    assert times
    found = records(exchange.given)
    assert [reading.values["spo2"] for reading in found] == [90 + i % 9 for i in range(90)]
    assert commands(exchange).count(v7.ASK_STORED) == 2


@pytest.mark.parametrize("lost", [1, 3])
async def test_the_same_for_the_older_generation(table, lost):
    driver = ContecCms50dPlus()
    exchange = table(driver)
    times = []

    def drop(said):
        if len(said) > 40 and not times:
            times.append(1)
            return said[:30] + said[30 + lost :]
        return said

    lossy(exchange, drop)
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 90
    assert [reading.values["heart_rate"] for reading in records(exchange.given)] == [60 + i % 20 for i in range(90)]
    assert exchange.sent.count(READ_STORED) == 2


@pytest.mark.parametrize("name", DRIVERS)
async def test_a_line_that_always_loses_something_gives_nothing_wrong(name, table):
    driver = DRIVERS[name]()
    exchange = table(driver)
    lossy(exchange, lambda said: said[:20] + said[21:] if len(said) > 30 else said)
    with failing(CommandFailed, key="incomplete"):
        await driver.execute("read_stored", None, exchange)
    assert records(exchange.given) == []


async def test_an_answer_that_was_lost_is_asked_for_again(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    hear, lost = exchange.twin.hear, set()

    def once(data):
        said = hear(data)
        if data[2] in (v7.ASK_SEGMENTS, v7.ASK_START, v7.ASK_LENGTH) and data[2] not in lost:
            lost.add(data[2])
            return b""
        return said

    exchange.twin.hear = once
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 90
    assert len(lost) == 3


async def test_a_device_that_records_just_now_refuses(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    hear = exchange.twin.hear
    busy = v7.encode_reply(v7.V7Packet(v7.FEEDBACK, bytes((v7.ASK_STORED, 3))))
    exchange.twin.hear = lambda data: busy if data[2] == v7.ASK_STORED else hear(data)
    with failing(CommandFailed, key="recording"):
        await driver.execute("read_stored", None, exchange)
    assert exchange.twin.live


@pytest.mark.parametrize("name", DRIVERS)
async def test_a_device_without_an_answer_times_out(name, table):
    driver = DRIVERS[name]()
    exchange = table(driver)
    exchange.twin.hear = lambda data: b""
    with pytest.raises(TimeoutError):
        await driver.execute("read_stored", None, exchange)


@pytest.mark.parametrize("kind", [ContecCms50V7, ContecCms50dPlus])
async def test_the_option_fetches_when_the_port_opens(kind, table):
    driver = kind(kind.options_type(records=True))
    exchange = table(driver)
    await driver.run_session(exchange)
    assert len(records(exchange.given)) == 90
    assert exchange.known["stored_records"] == "read"
    assert exchange.progressed[-1] == ("stored records", 90, 90)
    quiet = kind()
    silent = table(quiet)
    await quiet.run_session(silent)
    assert silent.sent == []


async def test_a_full_day_passes_in_batches_at_the_speed_of_the_disk(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    exchange.twin.segments = [a_night(86_400, index=False)]
    most, waits, given = [0], [], 0

    async def stored(timeout=30.0):
        nonlocal given
        fresh = len(records(exchange.given))
        exchange.given.clear()
        given += fresh
        waits.append(fresh)
        most[0] = max(most[0], fresh)

    exchange.stored = stored
    await driver.execute("read_stored", None, exchange)
    assert given == 86_400
    assert most[0] <= contec_records.BATCH * contec_records.WINDOW
    assert driver._download.received == 0  # nothing is kept


async def test_a_store_that_takes_nothing_ends_the_session(table):
    driver = ContecCms50V7()
    exchange = table(driver)

    async def stored(timeout=30.0):
        raise TimeoutError

    exchange.stored = stored
    with pytest.raises(SessionOver):
        await driver.execute("read_stored", None, exchange)


async def test_one_download_at_a_time(table):
    driver = ContecCms50V7()
    exchange = table(driver)
    refused = []
    hear = exchange.twin.hear

    async def stored(timeout=30.0):
        for command in ("read_stored", "device_id", "start_live", "stop_live"):
            with pytest.raises(CommandFailed) as failed:
                await driver.execute(command, None, exchange)
            refused.append(failed.value.key)

    exchange.stored, exchange.twin.hear = stored, hear
    await driver.execute("read_stored", None, exchange)
    assert set(refused) == {"busy"}


async def test_a_failed_attempt_is_tried_again_later_and_told(monkeypatch, table):
    pauses, outcomes = [], [TimeoutError(), CommandFailed("recording", ""), None]

    async def sleep(seconds):
        pauses.append(seconds)

    async def work():
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(retry.asyncio, "sleep", sleep)
    exchange = table(ContecCms50V7())
    await ConversationRetry(random.Random(1), first=10.0).until_done(exchange, work)
    assert exchange.known["stored_records"] == "read"
    assert 5.0 <= pauses[0] <= 10.0
    assert 10 <= pauses[1] <= 20
    outcomes.append(CommandFailed("connection-lost", ""))
    with pytest.raises(CommandFailed):
        await ConversationRetry(random.Random(1)).until_done(exchange, work)


@pytest.mark.parametrize("value", [None, 7, {}, [1], [["a"]], [["a", "b"], ["c", 3]]])
def test_a_strange_bookmark_is_no_bookmark(value):
    assert TakenOctets.read(value).octets in ({}, {"c": 3})


def test_special_values_of_records():
    assert decode_record(bytes((0x7F, 0xFF, 0xFF, 0xFF))) == {"spo2": None, "pulse_rate": None, "pi_pct": None}
    assert decode_record(bytes((97, 0))) == {"spo2": 97, "pulse_rate": None}


def test_a_stored_recording_that_nobody_asked_for_is_no_live_data():
    decoder = ContecCms50dPlus(Contec5Options()).decoder()
    assert decoder.feed(encode_stored([(72, 97)] * 50)) == []


def test_stored_packets_that_nobody_asked_for_are_not_kept():
    driver = ContecCms50V7(Contec7Options())
    decoder = driver.decoder()
    decoder.feed(v7.encode_reply(v7.V7Packet(v7.STORED, bytes(6))) * 1000)
    assert driver._download.received == 0
    assert decoder.feed(b"") == []


def test_a_lost_octet_is_noticed_at_once():
    driver = ContecCms50V7()
    decoder = driver.decoder()
    driver._download.expect(600)
    packet = v7.encode_reply(v7.V7Packet(v7.STORED, bytes((97, 72) * 3)))
    decoder.feed(packet * 3 + packet[:-1] + packet)
    assert driver._download.damaged
    assert not driver._download.complete


async def test_octets_beyond_the_last_record_are_taken_with_it(table):
    """A length that is no multiple of a record, as the paper's own example has one."""
    driver = ContecCms50V7()
    exchange = table(driver)
    exchange.twin.segments = [a_night(5, index=False)]
    hear = exchange.twin.hear
    odd = v7.encode_reply(v7.V7Packet(v7.LENGTH, bytes((0, 0, 11, 0, 0, 0))))
    exchange.twin.hear = lambda data: odd if data[2] == v7.ASK_LENGTH else hear(data)
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 5
    exchange.sent.clear()
    assert (await driver.execute("read_stored", None, exchange))["new_records"] == 0
    assert v7.ASK_STORED not in commands(exchange)
