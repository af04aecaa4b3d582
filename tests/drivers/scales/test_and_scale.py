import msgspec
import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reply
from gatepost.drivers.serial.scales.and_driver import AndOptions, AndScale
from gatepost.drivers.serial.scales.and_format import AndWeighing, decode_line, encode_line
from gatepost.drivers.serial.scales.scale_driver import ScaleReadNow
from tests.drivers.twin_exchange import TwinExchange


def read(*lines, **options):
    """Readings and faults, after a first line that may have been cut."""
    decoder = AndScale(AndOptions(**options)).decoder()
    decoder.feed(b"+0001.234 kg\r\n")
    data = b"".join(line if isinstance(line, bytes) else line.encode() + b"\r\n" for line in lines)
    return decoder.feed(data), decoder.faults.counts


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ST,+00123.45  g", AndWeighing("stable", 123.45, "g")),
        ("ST,+0001.234 kg", AndWeighing("stable", 1.234, "kg")),
        ("US,-0000.500 kg", AndWeighing("unstable", -0.5, "kg")),
        ("ST,+    1.25 lb", AndWeighing("stable", 1.25, "lb")),
        ("QT,+00000012 PC", AndWeighing("stable_count", 12, "PC")),
        ("ST,+000123.4  %", AndWeighing("stable", 123.4, "%")),
        ("ST,OK,+0001.234 kg", AndWeighing("stable", 1.234, "kg", "OK")),
        ("US,--,+0001.234 kg", AndWeighing("unstable", 1.234, "kg", "--")),
        ("ST,+00123,45  g", AndWeighing("stable", 123.45, "g")),
        ("OL,+9999999E+19", AndWeighing("overload", None)),
        ("OL,HI,+0012.345 kg", AndWeighing("overload", None, None, "HI")),
        ("OL,-9999999E+19", AndWeighing("overload", None, below=True)),
    ],
)
def test_the_format(line, expected):
    assert decode_line(line + "\r\n") == expected
    assert type(decode_line(line).value) is type(expected.value)


@pytest.mark.parametrize(
    ("line", "kind"),
    [("", "truncated"), ("ST", "truncated"), ("ST,", "truncated"), ("OL,", "truncated"), ("ST,+0001.23", "truncated"),
     ("ST,+0001.234 k", "truncated"), ("XX,+0001.234 kg", "bad_header"), ("+0001.234 kg", "bad_header"),
     ("ST,+0001.2.4 kg", "bad_format"), ("ST,+0001.234 kg ", "bad_format"), ("ST,00001.234 kg", "bad_format"),
     ("ST,+00O1.234 kg", "bad_format"), ("ST,+0001.234   ", "bad_format"), ("ST,XX,+0001.234 kg", "bad_format"),
     ("ST,+        1kg", "bad_format")],
)  # fmt: skip
def test_what_is_not_the_format_is_refused(line, kind):
    with pytest.raises(FrameError, match=kind):
        decode_line(line)


@pytest.mark.parametrize(("unit", "ucum"), [("g", "g"), ("kg", "kg"), ("lb", "[lb_av]"), ("oz", "[oz_av]")])
def test_mass_units_become_a_weight(unit, ucum):
    (reading,), _ = read(f"ST,+0001.234{unit:>3}")
    assert (reading.metric, reading.values, reading.units) == ("body_weight", {"weight": 1.234}, {"weight": ucum})
    assert (reading.quality, reading.flags) == (GOOD, ())


@pytest.mark.parametrize(
    ("line", "values", "units"),
    [
        ("QT,+00000012 PC", {"count": 12}, {"count": "{pieces}"}),
        ("ST,+000123.4  %", {"percent": 123.4}, {"percent": "%"}),
        ("ST,+000123.4 ct", {"carat": 123.4}, {"carat": "[car_m]"}),
        ("ST,+000123.4 tl", {"value": 123.4}, {}),
    ],
)
def test_other_units_never_become_a_weight(line, values, units):
    (reading,), _ = read(line)
    assert (reading.metric, reading.values, reading.units) == ("reading", values, units)


def test_the_header_decides():
    over, under, plausible, unstable = read("OL,+9999999E+19", "OL,-9999999E+19", "OL,+0012.345 kg", "US,+0012.345 kg")[
        0
    ]
    assert [r.flags for r in (over, under, plausible)] == [
        ("weight:over-range",), ("weight:under-range",), ("weight:over-range",)
    ]  # fmt: skip
    assert over.values == plausible.values == {}
    assert over.quality == BAD
    assert (unstable.values, unstable.flags, unstable.quality) == (
        {"weight": 12.345}, ("weight:unstable",), UNCERTAIN
    )  # fmt: skip


def test_the_comparator_is_told():
    low, fine = read("ST,LO,+0001.234 kg", "ST,OK,+0001.234 kg")[0]
    assert (low.flags, fine.flags) == (("comparator-low",), ())


def test_wrong_line_settings_are_hinted_at():
    decoder = AndScale().decoder()
    decoder.feed(b"\n\xd3\xd4,+0001.234 kg\r\n")
    assert decoder.faults.counts == {"parity": 1}
    assert "parity" in decoder.faults.last


def test_bad_lines_are_counted_and_the_first_one_is_not():
    assert read("hello", "ST,+1", "ST,+0001.234 kg")[1] == {"bad_header": 1, "truncated": 1}


def test_errors_and_acknowledgements_are_replies():
    assert read("EC,E01", b"\x06\r\n", "?")[0] == [
        Reply("error", {"code": "E01"}), Reply("acknowledge", {}), Reply("error", {"code": "?"})
    ]  # fmt: skip


def test_another_metric():
    (reading,), _ = read("ST,+0001.234 kg", metric="sample_weight")
    assert reading.metric == "sample_weight"


def test_modes():
    stream, repeat, poll = (AndScale(AndOptions(mode=mode, interval=2)) for mode in ("stream", "repeat", "poll"))
    assert (stream.on_open_bytes(), stream.on_close_bytes(), stream.keep_alive) == ((), (), None)
    assert (repeat.on_open_bytes(), repeat.on_close_bytes(), repeat.keep_alive) == ((b"SIR\r\n",), (b"C\r\n",), None)
    assert poll.on_open_bytes() == (b"Q\r\n",)
    assert (poll.keep_alive.data, poll.keep_alive.interval) == (b"Q\r\n", 2)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"mode": "poll", "interval": 0}, AndOptions)


FORBIDDEN = {b"Z", b"T", b"R", b"P", b"ON", b"OFF", b"CAL", b"EXC", b"U"}  # zero, tare, re-zero, power, calibrate, unit


async def test_it_only_ever_asks():
    driver = AndScale(AndOptions(mode="repeat"))
    exchange = TwinExchange(driver, driver.twin(AndOptions(mode="poll"), seed=1))
    for stable in (False, True):
        await driver.execute("read_now", ScaleReadNow(stable), exchange)
    spoken = {words.strip() for words in (*exchange.sent, *driver.on_open_bytes(), *driver.on_close_bytes())}
    assert spoken == {b"Q", b"S", b"SIR", b"C"}
    assert not spoken & FORBIDDEN


async def test_read_now_and_when_stable():
    driver = AndScale()
    twin = driver.twin(AndOptions(mode="poll"), seed=1)
    exchange = TwinExchange(driver, twin)
    twin._settling = 3
    now = await driver.execute("read_now", ScaleReadNow(), exchange)
    assert now["quality"] == UNCERTAIN
    assert now["units"] == {"weight": "kg"}
    stable = await driver.execute("read_now", ScaleReadNow(stable=True), exchange)
    assert (stable["quality"], stable["flags"]) == (GOOD, [])
    assert stable["weight"] == twin._weight


async def test_an_error_of_the_scale_fails_the_command():
    driver = AndScale()
    exchange = TwinExchange(driver, driver.twin())
    exchange.twin.hear = lambda data: b"EC,E02\r\n"
    with pytest.raises(CommandFailed, match="E02"):
        await driver.execute("read_now", ScaleReadNow(), exchange)


async def test_a_scale_that_is_off_times_out():
    driver = AndScale()
    exchange = TwinExchange(driver, driver.twin(AndOptions(mode="poll")))
    exchange.twin.hear = lambda data: b""
    with pytest.raises(TimeoutError):
        await driver.execute("read_now", ScaleReadNow(), exchange)


def test_encoding_is_the_other_way_round():
    for weighing in (
        AndWeighing("stable", 72.35, "kg"),
        AndWeighing("unstable", -1.5, "lb", "LO"),
        AndWeighing("overload", None),
    ):
        assert decode_line(encode_line(weighing).decode()) == weighing


def test_a_scale_that_prints_by_itself_keeps_no_pace():
    kind = AndScale.options_type
    assert not AndScale().streams
    assert AndScale(kind(mode="poll")).streams
