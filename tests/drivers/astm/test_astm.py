import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply
from gatepost.drivers.serial.astm import driver as astm
from gatepost.drivers.serial.astm.decoder import AstmDecoder, reading
from gatepost.drivers.serial.astm.driver import AstmGlucose, AstmOptions
from gatepost.drivers.serial.astm.frames import (
    ACK,
    ENQ,
    EOT,
    MAX_FRAME_LENGTH,
    NAK,
    AstmFrame,
    AstmReceiver,
    decode_frame,
    encode_frame,
)
from gatepost.drivers.serial.astm.records import AstmDelimiters, decode_header, decode_result, number, time_of, unescape
from gatepost.drivers.serial.astm.twin import AstmTwin
from gatepost.drivers.testing.pty import PtyTwin
from tests.drivers.rig import Rig, until

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "serial-bp-glucose.json").read_text("utf-8"))["vectors"]
CONTOUR = bytes.fromhex(next(vector for vector in VECTORS if vector["id"] == "astm-header")["input_hex"])
HEADER = "H|\\^&||x|Bayer7390^01.24\\01.04\\09.02.20^7390-2336773^7403-|A=1|3||||||1|201909221304"
RESULT = "R|8|^^^Glucose|133|mg/dL^P||B/X||201202052034"
ENQUIRY, END = bytes((ENQ,)), bytes((EOT,))


def frames(*records, first=1, last=True):
    count = len(records)
    return [
        encode_frame(AstmFrame((first + i) % 8, last and i == count - 1, record.encode("latin-1") + b"\r"))
        for i, record in enumerate(records)
    ]


def read(*records, bookmarks=None):
    """The readings of one message, and the faults."""
    decoder = AstmDecoder(bookmarks or {})
    items = decoder.feed(ENQUIRY + b"".join(frames(*records)) + END)
    return [item for item in items if isinstance(item, Reading)], decoder.faults.counts


# -- frames


def test_a_frame_among_other_octets():
    frame = decode_frame(CONTOUR)
    assert (frame.number, frame.last, frame.text[:6]) == (1, False, b"H|\\^&|")
    assert decode_frame(encode_frame(frame)) == frame


@pytest.mark.parametrize(
    ("octets", "kind"),
    [(b"", "truncated"), (b"\x05\x04", "bad_sync"), (b"\x021R|8", "truncated"), (b"\x021R|8\r\x03", "truncated"),
     (b"\x021R|8\r\x034", "truncated"), (b"\x021A\x0300\r\n", "bad_checksum"), (b"\x021A\x03zz\r\n", "bad_checksum"),
     (b"\x028A\x037C\r\n", "bad_frame"), (b"\x02\x0303\r\n", "bad_frame"), (b"\x021A\x02\x0377\r\n", "bad_frame"),
     (encode_frame(AstmFrame(1, True, b"A\r"))[:-2] + b"xy", "bad_frame")],
)  # fmt: skip
def test_what_is_no_frame_is_refused(octets, kind):
    with pytest.raises(FrameError, match=kind):
        decode_frame(octets)


def hear(receiver, *chunks):
    return [(event.kind, event.answer) for chunk in chunks for event in receiver.feed(chunk)]


def test_a_transfer():
    receiver = AstmReceiver(Faults())
    one, two = frames(HEADER, RESULT)
    assert hear(receiver, ENQUIRY, one, two, END) == [
        ("enquiry", b"\x06"), ("frame", b"\x06"), ("frame", b"\x06"), ("end", b"")
    ]  # fmt: skip


def test_a_damaged_frame_is_asked_for_again_and_a_repeated_one_taken_once():
    faults = Faults()
    receiver = AstmReceiver(faults)
    one, two = frames(HEADER, RESULT)
    assert hear(receiver, ENQUIRY, one, two.replace(b"133", b"134"), two, two, END) == [
        ("enquiry", b"\x06"), ("frame", b"\x06"), ("refused", b"\x15"), ("frame", b"\x06"), ("duplicate", b"\x06"),
        ("end", b""),
    ]  # fmt: skip
    assert faults.counts == {"bad_checksum": 1}


def test_numbers_go_round_and_a_missing_frame_is_noticed():
    receiver = AstmReceiver(Faults())
    many = frames(*[f"C|{i}" for i in range(20)])
    assert {kind for kind, _ in hear(receiver, ENQUIRY, *many)} == {"enquiry", "frame"}
    receiver = AstmReceiver(Faults())
    assert hear(receiver, ENQUIRY, many[0], many[2])[-1] == ("refused", b"\x15")
    assert hear(receiver, many[1], many[2]) == [("frame", b"\x06")] * 2


def test_without_an_enquiry_nothing_is_answered():
    faults = Faults()
    receiver = AstmReceiver(faults)
    assert hear(receiver, *frames(HEADER), b"\x02bad\x0300\r\n", END) == [("frame", b"")]
    assert faults.counts == {}
    assert receiver.feed(frames(HEADER)[0])[0].outside


def test_a_new_enquiry_starts_anew():
    receiver = AstmReceiver(Faults())
    one, two = frames(HEADER, RESULT)
    assert hear(receiver, ENQUIRY, one, two, ENQUIRY, one) == [
        ("enquiry", b"\x06"), ("frame", b"\x06"), ("frame", b"\x06"), ("enquiry", b"\x06"), ("frame", b"\x06")
    ]  # fmt: skip


def test_a_sender_that_stops():
    faults = Faults()
    receiver = AstmReceiver(faults)
    receiver.feed(ENQUIRY + b"\x021half")
    receiver.expire()
    assert faults.counts == {"timeout": 1}
    assert hear(receiver, *frames(HEADER)) == [("frame", b"")]
    receiver.expire()
    assert faults.counts == {"timeout": 1}


def test_a_frame_without_an_end_is_bounded():
    faults = Faults()
    receiver = AstmReceiver(faults)
    receiver.feed(ENQUIRY + b"\x021")
    for _ in range(100):
        receiver.feed(b"x" * 1000)
        assert len(receiver._rest) <= MAX_FRAME_LENGTH + 1
    assert faults.counts == {"too-long": 1}
    assert hear(receiver, *frames(HEADER)) == [("frame", b"\x06")]


@given(st.binary(max_size=400))
def test_after_anything_the_next_message_is_read(garbage):
    decoder = AstmDecoder({})
    decoder.feed(garbage)
    decoder.expire()
    items = decoder.feed(ENQUIRY + b"".join(frames(HEADER, RESULT)) + END)
    assert [item.values for item in items if isinstance(item, Reading)] == [{"glucose": 133}]


# -- records


def test_a_header_names_its_delimiters_and_the_meter():
    header = decode_header(HEADER)
    assert header.delimiters == AstmDelimiters("|", "\\", "^", "&")
    assert (header.product, header.serial_number) == ("Bayer7390", "7390-2336773")
    assert header.timestamp == [2019, 9, 22, 13, 4]
    other = decode_header("H!~@%!!!Maker@1.0@SN77")
    assert other.delimiters == AstmDelimiters("!", "~", "@", "%")
    assert other.serial_number == "SN77"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "truncated"),
        ("H|\\^", "truncated"),
        ("X|\\^&|", "bad_header"),
        ("H||||", "bad_header"),
        ("Habcd|", "bad_header"),
    ],
)
def test_what_is_no_header_is_refused(text, kind):
    with pytest.raises(FrameError, match=kind):
        decode_header(text)


def test_a_header_of_points_is_read_at_once():
    """What goes through it twice would hold up everything else."""
    points = "." * 1_000_000
    assert decode_header(f"H|\\^&|||Maker^{points}x^SN77").serial_number == f"{points}x"
    assert decode_header(f"H|\\^&|||Maker^V1.0^{points}^SN77").serial_number == "SN77"


def test_a_result_of_a_contour():
    result = decode_result(RESULT)
    assert (result.sequence, result.analyte, result.value, result.unit) == (8, "Glucose", 133, "mg/dL")
    assert (result.reference, result.markers, result.timestamp) == ("P", ["B", "X"], [2012, 2, 5, 20, 34])


def test_a_result_as_the_standard_has_it():
    result = decode_result("R|1|^^^HbA1c^1|6.10|%||H||F||op|20260101080000|20260101081500|SN1")
    assert (result.analyte, result.value, result.unit, result.status) == ("HbA1c", 6.1, "%", "F")
    assert (result.markers, result.timestamp, result.user_marks) == (["H"], [2026, 1, 1, 8, 15, 0], False)
    assert decode_result("R||GLU|5.5|mmol/L").analyte == "GLU"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "bad_header"), ("R|8|^^^Glucose", "truncated"), ("R|8|^^^|133", "bad_format"),
     ("R|x|^^^Glucose|133", "bad_format"),     ("R|8|^^^Glucose||mg/dL", "bad_format"), ("L|1||N", "bad_header")],
)  # fmt: skip
def test_what_is_no_result_is_refused(text, kind):
    with pytest.raises(FrameError, match=kind):
        decode_result(text)


def test_escapes_numbers_and_times():
    marks = AstmDelimiters()
    assert unescape("a&F&b&S&c&R&d&E&e&X41&f&.br&g", marks) == "a|b^c\\d&eAfg"
    assert unescape("a & b", marks) == "a & b"
    assert [number(text) for text in ("133", "7.40", "-1.", "1e5", "", "٣", "nan", "1" * 30)] == [
        133, 7.4, -1.0, None, None, None, None, None
    ]  # fmt: skip
    assert time_of("20120205203459") == [2012, 2, 5, 20, 34, 59]
    assert time_of("20120205") == [2012, 2, 5]
    assert [time_of(text) for text in ("20121305", "2012", "201202052", "x")] == [None] * 4


def test_a_reading():
    (found,), faults = read(HEADER, "P|1", RESULT, "L|1||N|1")
    assert (found.metric, found.values, found.units) == ("glucose", {"glucose": 133}, {"glucose": "mg/dL"})
    assert found.flags == ("from-memory", "reference-plasma", "meal-before", "activity")
    assert (found.quality, found.device_time) == (GOOD, "2012-02-05T20:34:00")
    assert found.bookmark[0].startswith("7390-2336773/")
    assert faults == {}


@pytest.mark.parametrize(
    ("record", "flag"),
    [("R|1|^^^Glucose|133|mg/dL^P||C||201202052034", "glucose:control-solution"),
     ("R|1|^^^Glucose|600|mg/dL^P||>||201202052034", "glucose:over-range"),
     ("R|1|^^^Glucose|20|mg/dL^P||<||201202052034", "glucose:under-range"),
     ("R|1|^^^Glucose|>600|mg/dL^P||||201202052034", "glucose:over-range"),
     ("R|1|^^^Glucose|LO|mg/dL^P||||201202052034", "glucose:under-range"),
     ("R|1|^^^Glucose|ERR|mg/dL^P||||201202052034", "glucose:not-a-number")],
)  # fmt: skip
def test_what_is_no_patients_value(record, flag):
    (found,), _ = read(HEADER, record)
    assert (found.metric, found.values, found.quality) == ("glucose", {}, BAD)
    assert flag in found.flags
    assert found.bookmark is not None


def test_a_control_by_its_order_until_the_next_order():
    control = "O|1|QC1||^^^Glucose|||||||Q"
    found, _ = read(HEADER, "P|1", control, "R|1|^^^Glucose|100|mg/dL", "P|2", "O|1|S1||^^^Glucose", RESULT)
    assert [item.values for item in found] == [{}, {"glucose": 133}]


def test_other_analytes_are_readings_of_their_own():
    found, _ = read(HEADER, "R|1|^^^Beta-Ketone|0.4|mmol/L||H||F", "R|2|^^^Colour|straw|")
    assert [(item.metric, item.values) for item in found] == [
        ("reading", {"beta_ketone": 0.4}), ("reading", {"colour": "straw"})
    ]  # fmt: skip
    assert found[0].flags == ("from-memory", "abnormal-high")


def test_the_unit_is_the_records():
    found, _ = read(HEADER, "R|1|^^^Glucose|7.4|MMOL/L^P||||201202052034", "R|2|^^^Glucose|7.4|zork||||201202052034")
    assert [item.units for item in found] == [{"glucose": "mmol/L"}, {"glucose": "zork"}]


def test_a_record_over_two_frames_and_two_in_one():
    decoder = AstmDecoder({})
    one = encode_frame(AstmFrame(1, False, HEADER.encode() + b"\r" + RESULT[:12].encode()))
    two = encode_frame(AstmFrame(2, True, RESULT[12:].encode() + b"\r" + b"L|1"))
    items = decoder.feed(ENQUIRY + one + two + END)
    assert [item.values for item in items if isinstance(item, Reading)] == [{"glucose": 133}]
    assert decoder.faults.counts == {}


def test_a_message_that_ends_in_the_middle_of_a_record_is_counted():
    decoder = AstmDecoder({})
    decoder.feed(ENQUIRY + encode_frame(AstmFrame(1, False, b"R|1|^^^Gluc")) + END)
    assert decoder.faults.counts == {"incomplete": 1}


def test_stored_records_are_not_given_again_though_their_numbers_change():
    found, _ = read(HEADER, RESULT)
    bookmarks = dict(item.bookmark for item in found)
    renumbered = RESULT.replace("R|8", "R|7")
    assert read(HEADER, renumbered, bookmarks=bookmarks)[0] == []
    assert len(read(HEADER.replace("2336773", "9999999"), renumbered, bookmarks=bookmarks)[0]) == 1


def test_the_header_that_some_meters_show_before_they_ask():
    decoder = AstmDecoder({})
    items = decoder.feed(CONTOUR)
    assert [item.kind for item in items if isinstance(item, Reply)] == ["device", "astm"]
    assert items[0].fields["serial_number"] == "7390-2336773"
    assert [ask.answer for ask in decoder.asks] == [b"\x06"]


def test_results_outside_of_a_transfer_are_not_taken():
    assert AstmDecoder({}).feed(frames(RESULT)[0]) == []


@given(st.lists(st.text("R^&\\H0123>C/BGlucosemg dL\x00é", max_size=12), max_size=9))
def test_any_record_of_letters(fields):
    try:
        found = reading(decode_result("|".join(("R", "8", *fields))))
    except FrameError:
        return
    assert found.metric in ("glucose", "reading")
    assert len(found.values) <= 1


# -- the conversation


class Over(Exception):
    pass


class Line:
    """An Exchange whose far end is a twin; nothing more to hear ends the test."""

    def __init__(self, twin, driver):
        self.twin, self.items, self.log, self.known = twin, [], [], {}
        self.driver = driver
        self.damage = set()  # numbers of the frames, as sent, that arrive damaged
        self._decoder = driver.decoder()
        self._heard = []
        self._count = 0
        self.quiet = 0

    def arrive(self, data):
        if data[:1] == b"\x02":
            self._count += 1
            if self._count in self.damage:
                data = data[:3] + b"#" + data[4:]
        found = self._decoder.feed(data)
        self._heard += found
        self.items += found
        self.log += ["reading" for item in found if isinstance(item, Reading)]

    async def send(self, data):
        assert self.driver.violation(data) is None
        self._heard.clear()
        self.log.append({ACK: "ack", NAK: "nak", EOT: "eot"}[data[0]])
        self.arrive(self.twin.hear(data))

    async def wait(self, match, timeout):
        while self._heard:
            found = match(self._heard.pop(0))
            if found is not None:
                return found
        self.quiet += 1
        if self.quiet > 1:
            raise Over
        raise TimeoutError

    async def stored(self, timeout=30.0):
        self.log.append("stored")

    def update_status(self, **known):
        self.known |= known

    def progress(self, what, done, total=None):
        self.done = done

    @property
    def readings(self):
        return [item for item in self.items if isinstance(item, Reading)]


async def transfer(damage=(), twin=None, driver=None):
    driver = driver or AstmGlucose()
    line = Line(twin or AstmTwin(seed=1), driver)
    line.damage = set(damage)
    line.arrive(line.twin.ask())
    with pytest.raises(Over):
        await driver.run_session(line)
    return line


async def test_a_whole_memory():
    line = await transfer()
    assert len(line.readings) == 10
    assert line.twin.transfers == 1
    assert line.known == {"serial_number": "7390-0000001", "model": "Bayer7390"}


async def test_a_frame_is_acknowledged_after_its_records_are_stored():
    line = await transfer()
    log = line.log
    for i, what in enumerate(log):
        if what == "reading":
            assert log[i + 1 : i + 3] == ["stored", "ack"]


async def test_damaged_frames_come_again_and_nothing_twice():
    line = await transfer(damage=(1, 2, 5, 6))
    assert len({item.device_time for item in line.readings}) == len(line.readings) == 10
    assert line.log.count("nak") == 4
    assert line.twin.transfers == 1


async def test_a_sender_that_gives_up_is_heard_the_next_time():
    driver = AstmGlucose()
    line = await transfer(damage=range(4, 20), driver=driver)
    assert line.twin.transfers == 0
    line.damage, line.quiet = set(), 0
    line.arrive(line.twin.ask())
    with pytest.raises(Over):
        await driver.run_session(line)
    assert line.twin.transfers == 1
    assert len({item.device_time for item in line.readings}) == len(line.readings) == 10


async def test_a_disk_that_does_not_answer_ends_the_session_unacknowledged():
    driver = AstmGlucose()
    line = Line(AstmTwin(), driver)

    async def stuck(timeout):
        assert timeout < 15  # the sender's patience
        raise TimeoutError

    line.stored = stuck
    line.arrive(line.twin.ask())
    with pytest.raises(TimeoutError):
        await driver.run_session(line)
    assert line.log == ["ack"]


def test_it_never_says_anything_but_answers():
    driver = AstmGlucose()
    assert [driver.violation(bytes((octet,))) for octet in (ACK, NAK, EOT)] == [None] * 3
    assert driver.violation(ENQUIRY) == "command"
    assert driver.violation(b"\x06\x021R") == "command"
    assert driver.on_open_bytes() == ()
    assert AstmGlucose(AstmOptions(wake="eot")).on_open_bytes() == (END,)
    assert astm.STORE_TIMEOUT < 15 < astm.TRANSFER_TIMEOUT


async def test_on_a_port_over_a_restart(tmp_path):
    twin = AstmTwin(seed=5, results=25)
    twin.interval = 0.02
    async with PtyTwin(twin, tmp_path / "meter"), Rig() as rig:
        await rig.run("astm-glucose", tmp_path / "meter")
        await until(lambda: len(rig.readings) >= 27)
        await rig.restart()
        before = twin.transfers
        await until(lambda: twin.transfers >= before + 2)
        times = [reading["device_timestamp"] for reading in rig.readings]
        assert len(times) == len(set(times))
        assert {reading["metric_type"] for reading in rig.readings} == {"glucose"}
        assert rig.view["status"] == "online"
