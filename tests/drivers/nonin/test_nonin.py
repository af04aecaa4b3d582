"""Nonin data formats 1, 2, 7, 8 and 13."""

import random
from datetime import datetime

import msgspec
import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import WrongDevice
from gatepost.drivers.options import WrongOptions
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Faults, Reading, Reply
from gatepost.drivers.serial.nonin import formats as form
from gatepost.drivers.serial.nonin.driver import Nonin, NoninOptions
from gatepost.drivers.serial.nonin.stream import NoninFrameReader
from gatepost.drivers.serial.nonin.twin import NoninTwin, frame2, frame7, spot_check
from tests.drivers.twin_exchange import TwinExchange

NOW = datetime(2026, 11, 20, 8, 30, 45)  # noqa: DTZ001


def packet(number=2, status=0x80, rate=72, spo2=97, stat2=0, pleth=50, **changes):
    """25 frames; `changes`: the status of single frames, `s7=0xa0`."""
    floats = [rate >> 7, rate & 0x7F, spo2, 48, 0, 1, 2, stat2, spo2, spo2, spo2, 0, 0, 0, rate & 0x7F, spo2, spo2]
    floats += [0, 0, rate >> 7, rate & 0x7F, rate >> 7, rate & 0x7F, 0, 0]
    make = frame2 if number == 2 else frame7
    statuses = [changes.get(f"s{i}", status) | (i == 0) for i in range(25)]
    return b"".join(
        make(state, pleth + i, value) for i, (state, value) in enumerate(zip(statuses, floats, strict=True))
    )


def decoder(number="auto", bookmarks=None, **options):
    driver = Nonin(NoninOptions(format=number, **options))
    driver.bookmarks = bookmarks or {}
    return driver.decoder()


def readings(items):
    return [item for item in items if isinstance(item, Reading) and item.waveform is None]


@pytest.mark.parametrize("rate", [0, 72, 127, 128, 200, 255, 256, 510])
@pytest.mark.parametrize("number", [2, 7])
def test_the_pulse_rate_is_put_together_from_two_and_seven_bits(number, rate):
    found = form.decode_packet(packet(number, rate=rate), wide=number == 7)
    assert (found.pulse_rate, found.pulse_rate_display, found.spo2) == (rate, rate, 97)
    assert (found.revision, found.timer) == (48, 1 << 7 | 2)


def test_511_and_127_are_no_values():
    (reading,) = readings(decoder(2).feed(packet(rate=511, spo2=127)))
    assert (reading.values, reading.units, reading.quality) == ({}, {}, BAD)
    assert reading.flags == ("spo2:no-signal", "heart_rate:no-signal")


@pytest.mark.parametrize("number", [2, 7])
def test_a_reading(number):
    (reading,) = readings(decoder(number).feed(packet(number)))
    assert (reading.metric, reading.values) == ("pulse_oximetry", {"spo2": 97, "heart_rate": 72})
    assert reading.units == {"spo2": "%", "heart_rate": "/min"}
    assert (reading.flags, reading.quality) == ((), GOOD)


@pytest.mark.parametrize(
    ("changes", "flags", "quality"),
    [
        ({"s7": 0xA0}, ("artifact",), UNCERTAIN),
        ({"s7": 0x90}, ("out-of-track",), UNCERTAIN),
        ({"s7": 0xC0}, ("no-sensor",), UNCERTAIN),
        ({"s7": 0x88}, ("sensor-fault",), UNCERTAIN),
        ({"s7": 0x82}, (), GOOD),  # green
        ({"s7": 0x84}, ("low-perfusion",), UNCERTAIN),
        ({"s7": 0x86}, ("marginal-perfusion",), GOOD),
        ({"s7": 0x82, "s8": 0x84}, ("low-perfusion",), UNCERTAIN),  # the worst of a packet counts
        ({"stat2": 0x20}, ("smartpoint",), GOOD),
        ({"stat2": 0x01}, ("low-battery",), GOOD),
        ({"rate": 511, "s7": 0xC0}, ("heart_rate:no-sensor", "no-sensor"), UNCERTAIN),
    ],
)
def test_flags_of_a_packet(changes, flags, quality):
    (reading,) = readings(decoder(2).feed(packet(**changes)))
    assert (reading.flags, reading.quality) == (flags, quality)


@pytest.mark.parametrize(
    ("octets", "kind"),
    [("", "truncated"), ("01800100", "truncated"), ("018001008200", "bad_length"), ("0180010083", "bad_checksum"),
     ("0280010083", "bad_frame"), ("0100010002", "bad_sync")],
)  # fmt: skip
def test_what_is_no_frame_is_refused(octets, kind):
    with pytest.raises(FrameError, match=kind):
        form.decode_frame2(bytes.fromhex(octets))


def test_what_is_no_packet_is_refused():
    good = packet()
    for wrong, kind in (
        (good[:-5], "truncated"), (good + frame2(0x80, 1, 0), "bad_length"), (good[5:] + good[:5], "bad_sync"),
        (packet(s9=0x81), "bad_sync"), (good[:-1] + b"\x00", "bad_checksum"), (good[:-2], "truncated"),
    ):  # fmt: skip
        with pytest.raises(FrameError, match=kind):
            form.decode_packet(wrong)


@pytest.mark.parametrize("number", [2, 7])
def test_a_packet_with_a_bad_frame_is_dropped_and_the_next_is_read(number):
    found = decoder(number)
    good, broken = packet(number), bytearray(packet(number))
    broken[32] ^= 0x10
    assert len(readings(found.feed(good + bytes(broken) + good))) == 2
    assert found.faults.counts == {"resync": 1, "packet": 1}


def test_a_packet_cut_short_is_dropped():
    found = decoder(2)
    assert len(readings(found.feed(packet() + packet()[:60] + packet()))) == 2
    assert found.faults.counts == {"packet": 1}


def test_beginning_in_mid_packet_is_no_fault():
    found = decoder(2)
    assert len(readings(found.feed(packet()[57:] + packet()))) == 1
    assert found.faults.total == 0


@pytest.mark.parametrize("number", [2, 7])
def test_auto_tells_the_formats_with_a_checksum(number, pieces):
    rng = random.Random(number)
    data = bytes(rng.randrange(256) for _ in range(100)) + packet(number) * 4
    found = decoder()
    items = [item for piece in pieces(data, [1, 7, 3]) for item in found.feed(piece)]
    assert len(readings(items)) == 4
    assert found.faults.counts.get("format-unknown") is None


def test_auto_tells_spot_checks():
    found = decoder()
    assert [r.values for r in readings(found.feed(b"\x06" + spot_check(NOW, 72, 97, 0)))] == [
        {"spo2": 97, "heart_rate": 72}
    ]


@pytest.mark.parametrize(("number", "size"), [(1, 3), (8, 4)])
def test_auto_says_which_format_it_looks_like(number, size):
    found = decoder()
    assert found.feed(bytes((0x80, 72, 97, 0x20))[:size] * 150) == []
    assert found.faults.counts == {"format-unknown": 1}
    assert f"`format: {number}`" in found.faults.last


def test_auto_that_recognises_nothing_says_so():
    found = decoder()
    found.feed(b"hello, world\r\n" * 50)
    assert found.faults.counts == {"format-unknown": 1}
    assert "set `format`" in found.faults.last


@pytest.mark.parametrize(("number", "size"), [(1, 3), (8, 4)])
def test_formats_without_a_checksum_need_two_consistent_frames(number, size):
    frame = bytes((0x81, 72, 97, 0x20))[:size]  # 128 + 72
    found = decoder(number)
    assert found.feed(frame) == []
    (reading,) = readings(found.feed(frame))
    assert reading.values == {"spo2": 97, "heart_rate": 200}
    assert found.feed(bytes((5,)) + frame) == []
    assert len(readings(found.feed(frame))) == 1
    assert found.faults.counts == {"resync": 1}
    assert decoder(number).feed((frame + bytes((0x80, 40, 60, 0))[:size]) * 5) == []


@pytest.mark.parametrize(
    ("frame", "flags", "quality"),
    [
        ("80486120", ("smartpoint",), GOOD),
        ("80486101", ("low-battery",), GOOD),
        ("80486108", ("sensor-fault",), UNCERTAIN),
        ("c37f7f00", ("spo2:no-sensor", "heart_rate:no-sensor"), BAD),
        ("a37f7f00", ("spo2:out-of-track", "heart_rate:out-of-track"), BAD),
        ("a0486100", ("out-of-track",), UNCERTAIN),
        ("90486100", ("low-perfusion",), UNCERTAIN),
        ("88486100", ("marginal-perfusion",), GOOD),
        ("84486100", ("artifact",), UNCERTAIN),
        ("80487f00", ("spo2:no-signal",), UNCERTAIN),
    ],
)
def test_flags_of_format_8(frame, flags, quality):
    (reading,) = readings(decoder(8).feed(bytes.fromhex(frame) * 2))
    assert (reading.flags, reading.quality) == (flags, quality)


@pytest.mark.parametrize(
    ("frame", "kind"), [("8048", "truncated"), ("8048612000", "bad_length"), ("00486120", "bad_sync"),
                        ("80c86120", "bad_sync")]
)  # fmt: skip
def test_what_is_no_frame_of_format_8_is_refused(frame, kind):
    with pytest.raises(FrameError, match=kind):
        form.decode_numbers(bytes.fromhex(frame))


def test_a_spot_check():
    (reading,) = readings(decoder(13).feed(spot_check(NOW, 72, 97, 0x0200)))
    assert reading.values == {"spo2": 97, "heart_rate": 72}
    assert (reading.device_time, reading.flags) == ("2026-11-20T08:30:45", ("smartpoint",))


@pytest.mark.parametrize(
    ("spot", "flags", "quality"),
    [
        (spot_check(NOW, 72, 97, 0x0010), ("from-memory",), GOOD),
        (spot_check(NOW, 511, 127, 0), ("spo2:no-signal", "heart_rate:no-signal"), BAD),
        (spot_check(NOW, 72, 97, 0x0100), ("spo2:no-measurement", "heart_rate:no-measurement"), BAD),
        (spot_check(NOW, 72, 97, 0x0211), ("from-memory", "smartpoint", "low-battery"), GOOD),
    ],
)
def test_status_of_a_spot_check(spot, flags, quality):
    (reading,) = readings(decoder(13).feed(spot))
    assert (reading.flags, reading.quality) == (flags, quality)


def remade(spot, at, octets):
    """A spot check with other octets, and the right sum."""
    data = bytearray(spot)
    data[at : at + len(octets)] = octets
    data[-2] = sum(data[6:-2]) & 0xFF
    return bytes(data)


def test_a_clock_that_was_never_set():
    (reading,) = readings(decoder(13).feed(remade(spot_check(NOW, 72, 97, 0), 6, bytes(7))))
    assert reading.device_time is None
    assert reading.flags == ("device_time:not-set",)


def test_hundredths_of_a_second():
    (reading,) = readings(decoder(13).feed(remade(spot_check(NOW, 72, 97, 0), 13, b"\x07")))
    assert reading.device_time == "2026-11-20T08:30:45.07"


def test_a_later_model_may_send_more_data():
    spot = spot_check(NOW, 72, 97, 0)
    data = spot[6:-2] + b"\x01\x02"
    longer = spot[:4] + len(data).to_bytes(2, "big") + data + bytes((sum(data) & 0xFF, 0x03))
    assert len(readings(decoder(13).feed(longer))) == 1


@pytest.mark.parametrize(
    ("change", "kind"),
    [(lambda s: s[:10], "truncated"), (lambda s: s[:-1] + b"\x04", "bad_frame"),
     (lambda s: b"\x01" + s[1:], "bad_header"), (lambda s: s[:8] + b"\x0c" + s[9:], "bad_checksum"),
     (lambda s: s + b"\x00", "bad_length"), (lambda s: s[:5] + b"\x0d" + s[6:], "bad_length"),
     (lambda s: s[:3], "truncated"), (lambda s: b"\x05", "bad_header")],
)  # fmt: skip
def test_what_is_no_spot_check_is_refused(change, kind):
    with pytest.raises(FrameError, match=kind):
        form.decode_spot_check(change(spot_check(NOW, 72, 97, 0)))


def test_a_damaged_spot_check_costs_only_itself():
    good = [spot_check(NOW.replace(minute=i), 72, 97, 0) for i in range(3)]
    found = decoder(13)
    data = good[0] + good[1][:9] + good[1] + good[2][:-4] + b"\x00\x03" + good[2]
    assert [r.device_time[-5:] for r in readings(found.feed(data))] == ["00:45", "01:45", "02:45"]
    assert found.faults.total


def test_spot_checks_are_given_once_across_restarts():
    old = [spot_check(NOW.replace(minute=i), 70 + i, 97, 0x0010) for i in range(20)]
    first = readings(decoder(13).feed(b"".join(old[:12])))
    assert len(first) == 12
    name, value = first[-1].bookmark
    msgspec.json.encode(value)
    again = readings(decoder(13, bookmarks={name: value}).feed(b"".join(old) * 2))
    assert [reading.values["heart_rate"] for reading in again] == list(range(82, 90))


def test_one_that_was_sent_when_it_was_taken_is_not_given_again_from_memory():
    found = decoder(13)
    (reading,) = readings(found.feed(spot_check(NOW, 72, 97, 0) + spot_check(NOW, 72, 97, 0x0010)))
    assert reading.bookmark is None


def test_the_mark_of_spot_checks_is_bounded():
    found = decoder(13)
    for minute in range(60):
        for second in range(5):
            (reading,) = readings(found.feed(spot_check(NOW.replace(minute=minute, second=second), 72, 97, 16)))
    assert len(reading.bookmark[1]) == 64
    assert readings(decoder(13, bookmarks={"spot-checks": 7}).feed(spot_check(NOW, 72, 97, 0)))


def test_the_battery_is_told_when_it_changes():
    found = decoder(2)
    items = found.feed(packet() * 2 + packet(stat2=1) * 2 + packet())
    assert [item.fields["battery_low"] for item in items if isinstance(item, Reply)] == [False, True, False]
    assert not [item for item in decoder(1).feed(bytes((0x80, 72, 97)) * 5) if isinstance(item, Reply)]


@pytest.mark.parametrize("number", [2, 7])
def test_the_waveform(number):
    found = decoder(number, waveform=True)
    items = found.feed(packet(number) * 6)
    blocks = [item.waveform for item in items if isinstance(item, Reading) and item.waveform]
    assert [block.samples for block in blocks] == [list(range(50, 75)) * 3] * 2
    assert {block.rate_hz for block in blocks} == {75.0}
    lost = found.feed(packet(number) + b"\xff\xff" + packet(number) * 3)
    blocks = [item for item in lost if isinstance(item, Reading) and item.waveform]
    assert [(len(item.waveform.samples), item.flags) for item in blocks] == [(25, ()), (75, ("gap",))]


def test_a_checksum_by_chance_is_no_frame():
    """After garbage one good frame of eight bits of checksum is not believed."""
    reader = NoninFrameReader(Faults(), wide=True)
    chance = frame7(0x80, 5, 5)
    assert reader.feed(chance + b"\x01\x02\x03" * 10) == []


@pytest.mark.parametrize("number", [1, 2, 7, 8, 13])
def test_the_twin_speaks_every_format(number):
    driver = Nonin(NoninOptions(format=number))
    twin, found = driver.twin(driver.options, seed=3), driver.decoder()
    assert len(readings([item for _ in range(20) for item in found.feed(twin.tick())])) >= 18
    twin.finger = False
    assert readings(found.feed(twin.tick()))[0].quality == BAD


async def test_a_format_is_selected():
    driver = Nonin(NoninOptions(format=8, select=True))
    exchange = TwinExchange(driver, NoninTwin(number=2))
    await driver._select(exchange)
    assert exchange.sent == [bytes.fromhex("027002020803")]
    assert exchange.twin.number == 8


async def test_an_oximeter_that_refuses_is_the_wrong_one():
    driver = Nonin(NoninOptions(format=8, select=True))
    exchange = TwinExchange(driver, NoninTwin(number=13, fixed=True))
    with pytest.raises(WrongDevice, match="format 8"):
        await driver.run_session(exchange)


async def test_one_that_sends_the_format_anyway_is_right():
    driver = Nonin(NoninOptions(format=2, select=True))
    exchange = TwinExchange(driver, NoninTwin(number=2, fixed=True))
    await driver._select(exchange)
    assert len(exchange.sent) <= 2


async def test_one_that_does_not_answer_decides_by_what_it_sends():
    driver = Nonin(NoninOptions(format=8, select=True))
    exchange = TwinExchange(driver, NoninTwin(number=13))
    exchange.twin.hear = lambda data: b""
    await driver._select(exchange)
    assert exchange.known == {"data_format": "not-selected"}


async def test_a_low_battery_is_told_in_the_status():
    driver = Nonin(NoninOptions(format=2))
    exchange = TwinExchange(driver, NoninTwin(number=2))
    exchange.twin.low_battery = True

    class Enough(Exception):
        pass

    def tell(**known):
        exchange.known |= known
        raise Enough

    exchange.update_status = tell
    with pytest.raises(Enough):
        await driver.run_session(exchange)
    assert exchange.known == {"battery_low": True}
    assert exchange.sent == []


def test_options_that_do_not_go_together():
    with pytest.raises(WrongOptions, match="auto"):
        NoninOptions(select=True)
    (warning,) = NoninOptions(format=8, waveform=True).problems()
    assert warning.warning
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"format": 3}, NoninOptions)
    assert msgspec.convert({"format": 7}, NoninOptions).format == 7


def test_spot_checks_are_no_steady_stream():
    assert Nonin().streams
    spot = Nonin(NoninOptions(format=13))
    assert (spot.streams, spot.silence) == (False, None)
