"""MT-SICS balances."""

import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reply
from gatepost.drivers.serial.scales.mt_sics_driver import MtSics, MtSicsOptions
from gatepost.drivers.serial.scales.mt_sics_format import SicsResponse, decode_line, encode_weight
from gatepost.drivers.serial.scales.scale_driver import ScaleReadNow
from tests.drivers.twin_exchange import TwinExchange
from tests.support.failing import failing


def read(*lines, **options):
    """What is decoded and the faults, after a first line that may have been cut."""
    decoder = MtSics(MtSicsOptions(**options)).decoder()
    decoder.feed(b"00.00 g\r\n")
    data = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
    return decoder.feed(data), decoder.faults.counts


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("S S     100.00 g", SicsResponse("stable", 100, "g", width=10)),
        ("S D     129.07 g", SicsResponse("dynamic", 129.07, "g", width=10)),
        ("S S      -0.53 g", SicsResponse("stable", -0.53, "g", width=10)),
        ("S S         12 PCS", SicsResponse("stable", 12, "PCS", width=10)),
        ("S S    72.3500 kg", SicsResponse("stable", 72.35, "kg", width=10)),
        ("S I", SicsResponse("not_executable")),
        ("S +", SicsResponse("overload")),
        ("S -", SicsResponse("underload")),
        ("S L", SicsResponse("error", code="L", command="S")),
        ("ES", SicsResponse("error", code="ES")),
        ("ET", SicsResponse("error", code="ET")),
        ("EL", SicsResponse("error", code="EL")),
        ('I4 A "B021002593"', SicsResponse("answer", command="I4", text="B021002593")),
        ("I4 I", SicsResponse("error", code="I", command="I4")),
        ("Z A", SicsResponse("answer", command="Z", text="")),
    ],
)
def test_answers(line, expected):
    assert decode_line(line + "\r\n") == expected


@pytest.mark.parametrize(
    ("line", "kind"),
    [("", "truncated"), ("S", "truncated"), ("S ", "truncated"), ("S S", "truncated"), ("S S 100", "truncated"),
     ("100.00 g", "bad_header"), ("S X     100.00 g", "bad_format"), ("S S     1OO.00 g", "bad_format"),
     ("S S     1.0.00 g", "bad_format"), ("S S     100.00 g g", "bad_format"), ("S S     100.00", "bad_format"),
     ("s s     100.00 g", "bad_header"), ("EX", "bad_header")],
)  # fmt: skip
def test_what_is_no_answer_is_refused(line, kind):
    with pytest.raises(FrameError, match=kind):
        decode_line(line)


@pytest.mark.parametrize(
    ("line", "values", "units", "flags", "quality"),
    [
        ("S S     100.00 g", {"weight": 100}, {"weight": "g"}, (), GOOD),
        ("S D     100.00 kg", {"weight": 100}, {"weight": "kg"}, ("weight:unstable",), UNCERTAIN),
        ("S I", {}, {}, ("weight:not-executable",), BAD),
        ("S +", {}, {}, ("weight:over-range",), BAD),
        ("S -", {}, {}, ("weight:under-range",), BAD),
        ("S S         12 PCS", {"count": 12}, {"count": "{pieces}"}, (), GOOD),
        ("S S      50.00 %", {"percent": 50}, {"percent": "%"}, (), GOOD),
        ("S S      50.00 tl", {"value": 50}, {}, ("unit-unknown",), GOOD),
    ],
)
def test_readings(line, values, units, flags, quality):
    (reading,), faults = read(line)
    assert (reading.values, reading.units, reading.flags, reading.quality) == (values, units, flags, quality)
    assert reading.metric == ("reading" if values and "weight" not in values else "body_weight")
    assert faults == {}


def test_a_weight_that_lost_a_character_is_refused():
    assert read("S S     10.00 g", "S S     100.00 g")[1] == {"bad_format": 1}


def test_replies_and_faults():
    items, faults = read('I4 A "SNR-1"', "ES", b"S S \xb1\xb0\r\n", "garbage")
    assert items == [
        Reply("answer", {"command": "I4", "text": "SNR-1"}), Reply("error", {"code": "ES", "command": None})
    ]  # fmt: skip
    assert faults == {"parity": 1, "bad_header": 1}


def test_modes():
    poll, repeat, stream = (MtSics(MtSicsOptions(mode=mode, interval=2)) for mode in ("poll", "repeat", "stream"))
    assert (poll.on_open_bytes(), poll.on_close_bytes()) == ((b"SI\r\n",), ())
    assert (poll.keep_alive.data, poll.keep_alive.interval) == (b"SI\r\n", 2)
    assert (repeat.on_open_bytes(), repeat.on_close_bytes(), repeat.keep_alive) == ((b"SIR\r\n",), (b"SI\r\n",), None)
    assert (stream.on_open_bytes(), stream.on_close_bytes(), stream.keep_alive) == ((), (), None)
    assert (poll.silence, repeat.silence, stream.silence) == (15, 15, None)
    assert MtSics(MtSicsOptions(interval=60)).silence == 300
    assert (poll.streams, repeat.streams, stream.streams) == (True, True, False)
    assert MtSics(MtSicsOptions(mode="repeat", permit=("reset",))).on_close_bytes() == (b"@\r\n",)


def test_the_farewell_ends_the_repetition():
    driver = MtSics(MtSicsOptions(mode="repeat"))
    twin = driver.twin(driver.options)
    twin.hear(driver.on_open_bytes()[0])
    assert twin.tick()
    twin.hear(driver.on_close_bytes()[0])
    assert not twin.tick()


async def test_the_serial_number_goes_into_the_status():
    driver = MtSics()
    exchange = TwinExchange(driver, driver.twin())
    await driver.run_session(exchange)
    assert exchange.known == {"serial_number": "B021002593"}
    assert exchange.sent == [b"I4\r\n"]


async def test_a_balance_without_a_serial_number_weighs_all_the_same():
    driver = MtSics()
    for answer, questions in ((b"ES\r\n", 1), (b"I4 I\r\n", 1), (b"", 3)):
        exchange = TwinExchange(driver, driver.twin())
        exchange.twin.hear = lambda data, answer=answer: answer
        await driver.run_session(exchange)
        assert exchange.known == {}
        assert len(exchange.sent) == questions


async def test_read_now_and_when_stable():
    driver = MtSics()
    exchange = TwinExchange(driver, driver.twin(seed=1))
    exchange.twin._settling = 3
    now = await driver.execute("read_now", ScaleReadNow(), exchange)
    assert (now["quality"], now["units"]) == (UNCERTAIN, {"weight": "kg"})
    stable = await driver.execute("read_now", ScaleReadNow(stable=True), exchange)
    assert (stable["quality"], stable["weight"]) == (GOOD, exchange.twin._weight)


async def test_a_question_in_between_does_not_end_the_repetition():
    driver = MtSics(MtSicsOptions(mode="repeat"))
    exchange = TwinExchange(driver, driver.twin(driver.options))
    exchange.twin.hear(driver.on_open_bytes()[0])
    await driver.execute("read_now", ScaleReadNow(stable=True), exchange)
    assert exchange.twin.streams
    assert exchange.sent == [b"S\r\n", b"SIR\r\n"]


@pytest.mark.parametrize(
    ("answer", "key"), [(b"S I\r\n", "not-executable"), (b"ES\r\n", "device-error"), (b"S L\r\n", "device-error")]
)
async def test_a_refusal_fails_the_command(answer, key):
    driver = MtSics()
    exchange = TwinExchange(driver, driver.twin())
    exchange.twin.hear = lambda data: answer
    with failing(CommandFailed, key=key):
        await driver.execute("read_now", ScaleReadNow(), exchange)


async def test_a_balance_that_is_off_times_out():
    driver = MtSics()
    exchange = TwinExchange(driver, driver.twin())
    exchange.twin.hear = lambda data: b""
    with pytest.raises(TimeoutError):
        await driver.execute("read_now", ScaleReadNow(), exchange)
    with pytest.raises(CommandFailed):
        await driver.execute("tare", None, exchange)


def test_encoding_is_the_other_way_round():
    assert decode_line(encode_weight(72.35, "kg", True).decode()) == SicsResponse("stable", 72.35, "kg", width=10)
    assert decode_line(encode_weight(-7, "g", False, 0).decode()) == SicsResponse("dynamic", -7, "g", width=10)


def test_the_twin_refuses_what_changes_it():
    twin = MtSics.twin()
    assert twin.hear(b"T\r\nZ\r\n") == b"ES\r\nES\r\n"
