from datetime import datetime

import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, Reading, Reply
from gatepost.drivers.serial.and_ua767pc.driver import AndUa767pc, Ua767Decoder
from gatepost.drivers.serial.and_ua767pc.record import (
    HEADER,
    START,
    CuffResult,
    decode_packet,
    decode_result,
    encode_result,
)
from gatepost.drivers.serial.and_ua767pc.twin import Ua767Twin
from gatepost.drivers.testing.pty import PtyTwin
from gatepost.drivers.testing.vectors import judge
from tests.drivers.rig import Rig, until

GOOD_RECORD = b"804C4C4960"


def read(*data):
    decoder = Ua767Decoder()
    return [item for chunk in data for item in decoder.feed(chunk)], decoder.faults.counts


def packet(result=GOOD_RECORD, when=(2026, 11, 20, 10, 29, 58), serial=b"5111124008"):
    year, *rest = when
    header = START + b"\0" + year.to_bytes(2, "little") + bytes(rest) + bytes(7) + bytes(12) + serial.ljust(12, b"\0")
    return header + bytes(HEADER - len(header)) + result


def test_a_result():
    (reading,), faults = read(GOOD_RECORD)
    assert reading.values == {"systolic": 152, "diastolic": 76, "mean": 96, "heart_rate": 73}
    assert reading.units == {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "mean": "mm[Hg]", "heart_rate": "/min"}
    assert (reading.metric, reading.flags, reading.quality, faults) == ("blood_pressure", (), GOOD, {})


def test_the_second_number_is_a_difference():
    assert decode_result(b"801D4C4152") == CuffResult(0x80, 105, 76, 65, 82)
    assert decode_result(b"80FFFFffff") == CuffResult(0x80, 510, 255, 255, 255)


def test_an_error_gives_no_values_whatever_follows():
    (reading,), _ = read(b"024C4C4960")
    assert (reading.values, reading.quality) == ({}, BAD)
    assert reading.flags == (
        "systolic:measurement-error", "diastolic:measurement-error", "mean:measurement-error",
        "heart_rate:measurement-error", "status-02",
    )  # fmt: skip


def test_a_zero_is_no_value():
    (reading,), _ = read(b"804C4C4900")
    assert "mean" not in reading.values
    assert (reading.flags, reading.quality) == (("mean:no-value",), GOOD)
    (reading,), _ = read(b"8000000000")
    assert (reading.values, reading.quality) == ({}, BAD)


@pytest.mark.parametrize(
    ("text", "kind"),
    [(b"", "truncated"), (b"804C4C496", "truncated"), (b"804C4C49600", "bad_length"), (b"804C4C496G", "bad_format"),
     (b"80 4C4C496", "bad_format"), (b"\xff" * 10, "bad_format")],
)  # fmt: skip
def test_what_is_no_result_is_refused(text, kind):
    with pytest.raises(FrameError, match=kind):
        decode_result(text)


@pytest.mark.parametrize("text", ["014C4C4960", "804C4C496", "804C4C4960AA", "ZZ4C4C4960"])
def test_vectors_of_what_is_refused(text):
    refused = {"id": "x", "kind": "serial-line", "protocol": "and-ua767", "text": text, "expect_error": "?"}
    assert judge(refused) == ""


def test_results_in_a_stream_with_what_may_stand_between():
    found, faults = read(
        b"\x0170PC\x06\x02" + GOOD_RECORD + b"\x5b\r\nnoise!" + GOOD_RECORD[:4], GOOD_RECORD[4:] + b"\r"
    )
    assert [item.values["systolic"] for item in found] == [152, 152]
    assert faults == {}


@pytest.mark.parametrize("stray", b"0123456789ABCDEFabcdef")
def test_a_stray_digit_before_a_result_never_makes_another_result(stray):
    found, _ = read(bytes((stray,)) + GOOD_RECORD + b"\r\n" + GOOD_RECORD)
    assert [item.values for item in found][:-1] == [{}]
    assert found[-1].values["systolic"] == 152


def test_a_cut_result_is_counted():
    found, faults = read(b"4C4960\r\n" + GOOD_RECORD + b"\r\n")
    assert len(found) == 1
    assert faults == {"truncated": 1}


def test_the_bluetooth_model_tells_when_and_who():
    (device, reading), faults = read(b"\x15" + packet() + b"\r\n")
    assert device == Reply("device", {"serial_number": "5111124008"})
    assert reading.device_time == "2026-11-20T10:29:58"
    assert (reading.values["systolic"], faults) == (152, {})


def test_a_clock_that_was_never_set_is_no_time():
    assert decode_packet(packet(when=(0, 0, 0, 0, 0, 0))).measured is None
    assert decode_packet(packet()).measured == datetime(2026, 11, 20, 10, 29, 58).isoformat()  # noqa: DTZ001
    with pytest.raises(FrameError, match="truncated"):
        decode_packet(packet()[:-1])
    with pytest.raises(FrameError, match="bad_header"):
        decode_packet(b"\1" + packet()[1:])


def test_a_packet_without_a_result_in_it_does_not_hide_what_follows():
    found, faults = read(packet(b"no result!") + GOOD_RECORD)
    assert [type(item) for item in found] == [Reading]
    assert faults["bad_format"] == 1
    assert found[0].values["systolic"] == 152


def test_it_opens_and_closes_remote_mode():
    driver = AndUa767pc()
    assert driver.on_open_bytes() == (b"\r", b"\x02CPC05\x3b")
    assert driver.on_close_bytes() == (b"\x02CPC04\x3a",)
    twin = Ua767Twin()
    assert twin.tick()
    twin.hear(b"".join(driver.on_close_bytes()))
    assert twin.tick() == b""
    for words in driver.on_open_bytes():
        twin.hear(words)
    assert twin.tick()
    assert (driver.line.baudrate, driver.line.parity, driver.line.stopbits) == (9600, "N", 2)


def test_what_the_twin_says_reads_as_it_was():
    for result in (CuffResult(0x80, 120, 80, 72, 93), CuffResult(3)):
        assert decode_result(encode_result(result)) == result


async def test_on_a_port(tmp_path):
    twin = Ua767Twin(seed=2)
    twin.remote = False
    async with PtyTwin(twin, tmp_path / "cuff", speed=1000, patient=True), Rig() as rig:
        await rig.run("and-ua767pc", tmp_path / "cuff")
        await until(lambda: len(rig.readings) >= 10)
        assert twin.remote
        assert all(reading["metric_type"] == "blood_pressure" for reading in rig.readings)
