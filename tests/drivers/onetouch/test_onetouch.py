import asyncio
import re
from datetime import datetime

import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, LocalTime, Registry, SyncTime, WrongDevice
from gatepost.drivers.link import LinkFailed
from gatepost.drivers.reading import BAD, GOOD, Reading, Reply
from gatepost.drivers.serial.onetouch import driver as onetouch
from gatepost.drivers.serial.onetouch.decoder import OneTouchDecoder
from gatepost.drivers.serial.onetouch.driver import OneTouchOptions, OneTouchUltra2
from gatepost.drivers.serial.onetouch.lines import (
    ClockReply,
    MemoryHeader,
    OneTouchRecord,
    SerialReply,
    UnitReply,
    VersionReply,
    decode_line,
    encode_line,
)
from gatepost.drivers.serial.onetouch.twin import OneTouchTwin
from gatepost.drivers.testing.pty import PtyTwin
from tests.devices.fakes import execute
from tests.drivers.rig import Rig, until
from tests.drivers.twin_exchange import TwinExchange

SAT = 'P "SAT","08/03/13","22:12:00   ","{}","{}","{}", 00'


def line(shown="  105 ", meal="N", comment="00"):
    return encode_line(SAT.format(shown, meal, comment))


def record(shown="  105 ", meal="N", comment="00"):
    return decode_line(line(shown, meal, comment).decode())


def test_a_record():
    assert record() == OneTouchRecord(datetime(2013, 8, 3, 22, 12), 105, False, False, "none", "00")  # noqa: DTZ001
    assert record("C 105 ").control_solution
    assert record("  105?").parity_error
    assert (record("  HIGH").mg_dl, record("  HIGH").over_range) == (None, True)
    assert (record("  LOW ").mg_dl, record("  LOW ").under_range) == (None, True)
    assert [record(meal=code).meal for code in "NBA"] == ["none", "before", "after"]


def test_other_lines():
    told = {
        'P 020,"ABC12345Y","MG/DL "': MemoryHeader(20, "ABC12345Y", "mg/dL"),
        'P 000,"ABC12345Y","MMOL/L"': MemoryHeader(0, "ABC12345Y", "mmol/L"),
        '@ "ABC12345Y"': SerialReply("ABC12345Y"),
        "?P02.00.00 30/08/06": VersionReply("P02.00.00 30/08/06"),
        'SU?,"MMOL/L"': UnitReply("mmol/L"),
        'F "SUN","11/22/26","08:09:10   "': ClockReply(datetime(2026, 11, 22, 8, 9, 10)),  # noqa: DTZ001
    }
    for text, expected in told.items():
        assert decode_line(encode_line(text).decode()) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "no_checksum"), ("% 13AZ\r", "no_checksum"), ('P 020,"ABC12345Y","MG/DL "', "no_checksum"),
     (line().decode().replace("105", "106"), "bad_checksum"), (encode_line("hello").decode(), "bad_format"),
     (encode_line(SAT.format("  1x5 ", "N", "00")).decode(), "bad_format"),
     (encode_line(SAT.format("  105 ", "Q", "00")).decode(), "bad_format"),
     (encode_line(SAT.format("  105 ", "N", "00").replace("08/03", "13/03")).decode(), "bad_format"),
     ("\u00e9 0000", "bad_checksum")],
)  # fmt: skip
def test_what_is_no_line_is_refused(text, kind):
    with pytest.raises(FrameError, match=kind):
        decode_line(text)


def read(*shown, bookmarks=None):
    decoder = OneTouchDecoder(bookmarks or {})
    items = decoder.feed(b"".join((encode_line('P 001,"ABC12345Y","MMOL/L"'), *shown)))
    return items[1:], decoder.faults.counts


def test_a_reading_is_in_mg_dl_whatever_the_display_shows():
    (reading,), faults = read(line())
    assert (reading.metric, reading.values, reading.units) == ("glucose", {"glucose": 105}, {"glucose": "mg/dL"})
    assert (reading.flags, reading.quality) == (("from-memory",), GOOD)
    assert reading.device_time == "2013-08-03T22:12:00"
    assert reading.bookmark[0].startswith("ABC12345Y/")
    assert faults == {}


@pytest.mark.parametrize(
    ("shown", "why"),
    [("C 105 ", "control-solution"), ("  105?", "parity-error"), ("  HIGH", "over-range"), ("  LOW ", "under-range")],
)
def test_what_is_no_patients_value(shown, why):
    (reading,), _ = read(line(shown))
    assert (reading.values, reading.units, reading.quality) == ({}, {}, BAD)
    assert f"glucose:{why}" in reading.flags
    assert reading.bookmark is not None


def test_meals_and_comments_are_told():
    (reading,), _ = read(line(meal="B", comment="06"))
    assert reading.flags == ("from-memory", "meal-before", "comment-stress")


def test_records_that_are_stored_are_not_given_again():
    first, _ = read(line(), line("  106 "))
    bookmarks = dict(item.bookmark for item in first)
    assert read(line(), line("  106 "), bookmarks=bookmarks)[0] == [Reply("known", {}), Reply("known", {})]
    assert [type(item) for item in read(line(), line("  107 "), bookmarks=bookmarks)[0]] == [Reply, Reading]


def test_records_of_an_unknown_meter_are_left_for_the_next_dump():
    decoder = OneTouchDecoder({})
    assert decoder.feed(b"\r\n" + line()) == [Reply("bad", {})]
    assert decoder.faults.counts == {}
    decoder.feed(encode_line('@ "ABC12345Y"'))
    assert isinstance(decoder.feed(line())[0], Reading)


def test_bad_lines_are_counted():
    items, faults = read(line()[:-6] + b"0000\r\n", b"noise\r\n", line())
    assert [type(item) for item in items] == [Reply, Reply, Reading]
    assert faults == {"bad_checksum": 1, "no_checksum": 1}


# -- the conversation


class Talk(TwinExchange):
    """With a meter that speaks when it is asked; the look of another round ends the test."""

    def __init__(self, twin, driver, trusted=True):
        super().__init__(driver, twin, ticks=False)
        self._trusted = trusted

    def now(self):
        return LocalTime(datetime(2026, 1, 6, 12, 0), self._trusted)  # noqa: DTZ001


def damage(twin, *ways):
    """The next dumps arrive damaged."""
    hear, left = twin.hear, list(ways)
    twin.hear = lambda data: left.pop(0)(hear(data)) if b"DMP" in data and left else hear(data)


class Over(Exception):
    pass


@pytest.fixture
def one_look(monkeypatch):
    async def sleep(seconds):
        raise Over

    monkeypatch.setattr(asyncio, "sleep", sleep)


async def test_a_meter_that_is_plugged_in_is_read_and_introduced(one_look):
    driver = OneTouchUltra2()
    io = Talk(OneTouchTwin(seed=1, records=30), driver)
    with pytest.raises(Over):
        await driver.run_session(io)
    assert len(io.readings) == 30
    assert io.known["serial_number"] == "TWN00001Y"
    assert io.known["firmware"].startswith("P02")
    assert io.known["display_unit"] == "mg/dL"
    assert isinstance(io.known["clock_offset"], int)
    assert io.stores == 1
    assert io.progressed[-1][1:] == (30, 30)


async def test_a_dump_with_a_wrong_or_lost_line_is_asked_for_again(one_look):
    driver = OneTouchUltra2()
    io = Talk(OneTouchTwin(seed=1), driver)
    damage(io.twin, lambda data: data.replace(b'","N","00"', b'","N","01"', 1), lambda data: data[:400])
    with pytest.raises(Over):
        await driver.run_session(io)
    assert sum(b"DMP" in words for words in io.sent) == 3
    assert len({reading.device_time for reading in io.readings}) == len(io.readings) == 20


async def test_a_dump_without_its_beginning_is_asked_for_again(one_look):
    driver = OneTouchUltra2()
    io = Talk(OneTouchTwin(seed=1), driver)
    damage(io.twin, lambda data: data[10:])
    with pytest.raises(Over):
        await driver.run_session(io)
    assert sum(b"DMP" in words for words in io.sent) == 2
    assert len(io.readings) == 20


async def test_a_dump_that_is_never_whole_gives_what_it_has_and_says_so():
    driver = OneTouchUltra2()
    io = Talk(OneTouchTwin(seed=1), driver)
    damage(io.twin, *[lambda data: data[:400]] * 3)
    with pytest.raises(CommandFailed, match="lost or wrong"):
        await driver.execute("read_stored", None, io)
    assert io.readings


async def test_a_meter_that_is_not_there():
    driver, twin = OneTouchUltra2(), OneTouchTwin()
    twin.plugged = False
    io = Talk(twin, driver)
    with pytest.raises(LinkFailed) as found:
        await driver.run_session(io)
    assert found.value.reason.name == "SILENT"
    assert len(io.sent) == onetouch.READ_TRIES


async def test_a_meter_of_another_model_and_something_else_on_the_port():
    driver = OneTouchUltra2()
    with pytest.raises(WrongDevice, match="end in Y"):
        await driver.run_session(Talk(OneTouchTwin(serial="ABC12345T"), driver))
    io = Talk(OneTouchTwin(), driver)
    io.twin.hear = lambda data: b"hello\r\n"
    with pytest.raises(WrongDevice, match="check `port`"):
        await driver.run_session(io)


async def test_read_stored_gives_only_what_is_new():
    driver, twin = OneTouchUltra2(), OneTouchTwin(seed=1)
    io = Talk(twin, driver)
    assert await driver.execute("read_stored", None, io) == {"records": 20, "new": 20}
    twin.measure()
    assert await driver.execute("read_stored", None, io) == {"records": 21, "new": 1}
    assert io.stores == 2


async def test_the_clock_is_set_only_when_asked_and_only_to_a_sure_time():
    driver, twin = OneTouchUltra2(), OneTouchTwin()
    io = Talk(twin, driver)
    assert await driver.execute("sync_time", SyncTime(), io) == {"time": "2026-01-06T12:00:00"}
    assert twin.clock == datetime(2026, 1, 6, 12, 0)  # noqa: DTZ001
    given = SyncTime(datetime(2026, 11, 20, 10, 30))  # noqa: DTZ001
    assert await driver.execute("sync_time", given, Talk(twin, driver, trusted=False)) == {
        "time": "2026-11-20T10:30:00"
    }
    with pytest.raises(CommandFailed, match="not synchronised"):
        await driver.execute("sync_time", SyncTime(), Talk(twin, driver, trusted=False))


def test_nothing_is_ever_erased():
    driver = OneTouchUltra2()
    assert driver.violation(b"\x11\rDMZ\r") == "erase"
    assert driver.violation(b"DMZ") == "erase"
    assert driver.violation(b"\x11\rDMP\r") is None


async def test_the_conversation_says_only_what_it_should(one_look):
    driver = OneTouchUltra2()
    io = Talk(OneTouchTwin(seed=1), driver)
    with pytest.raises(Over):
        await driver.run_session(io)
    said = {re.sub(rb"\W", b"", words) for words in io.sent}
    assert said == {b"DM", b"DMSU", b"DMF", b"DMP"}
    assert not io.twin.erased


async def test_on_a_port_over_restarts_and_unplugging(tmp_path):
    twin = OneTouchTwin(seed=4, records=40)
    twin.interval = 1000.0
    async with PtyTwin(twin, tmp_path / "meter"), Rig() as rig:
        await rig.run("onetouch-ultra2", tmp_path / "meter", interval=1, reread=10)
        await until(lambda: len(rig.readings) >= 41)  # the twin's first tick is a measurement
        assert rig.view["status"] == "online"
        await rig.restart()
        twin.measure()
        await until(lambda: len(rig.readings) >= 42)
        await until(lambda: rig.view["status"] == "online")
        assert len({reading["device_timestamp"] for reading in rig.readings}) == len(rig.readings) == 42
        result = await execute(rig.devices, "d", "read_stored", {})
        assert (result["records"], result["new"]) == (42, 0)
        assert {reading["metric_type"] for reading in rig.readings} == {"glucose"}


def test_it_is_found_by_its_name():
    kind = Registry.installed().get("onetouch-ultra2")
    assert kind is OneTouchUltra2
    assert kind(OneTouchOptions(interval=5)).options.interval == 5
    assert kind.keeps_records
