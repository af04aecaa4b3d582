"""ECG boards under the names of the vectors: more frames, streams and refusals than the open vectors have."""

import struct

import pytest

from gatepost.drivers.serial.cyton.packets import encode_packet
from gatepost.drivers.serial.protocentral.frames import encode_frame
from gatepost.drivers.testing.vectors import judge

PACKET = encode_packet(7, (1, -1, 8388607, -8388608, 0, 5, 6, 7), (-1, 2, 8000))
ADS = encode_frame(2, struct.pack("<hhHH", -120, 345, 72, 16))
PI3 = encode_frame(2, struct.pack("<hhiiHBBBBBB", -5, 6, 70000, -3, 3655, 15, 97, 70, 80, 0, 3))
PI5 = encode_frame(2, struct.pack("<iiBiihBBB", -9, 8, 255, 11, 12, -5, 98, 61, 14))
BATCH = encode_frame(3, struct.pack("<8i4iBB", *range(8), *range(4), 62, 13))


def frame(protocol, data, **expected):
    return judge({"kind": "serial-frame", "protocol": protocol, "input_hex": data.hex(), **expected})


def stream(protocol, chunks, expected):
    vector = {"kind": "serial-stream", "protocol": protocol, "chunks": [chunk.hex() for chunk in chunks]}
    return judge({**vector, "expect": {"readings": expected}})


def line(text, **expected):
    return judge({"kind": "serial-line", "protocol": "ad8232-line", "text": text, **expected})


def test_cyton():
    counts = [1, -1, 8388607, -8388608, 0, 5, 6, 7]
    expect = {"sample": 7, "counts": counts, "stop_byte": 192, "accel_counts": [-1, 2, 8000]}
    assert frame("openbci-cyton", PACKET, expect=expect) == ""
    timed = PACKET[:26] + b"X\x05\x00\x01\x00\x02\xc4"
    assert frame("openbci-cyton", timed, expect={"stop_byte": 196, "board_time_ms": 65538}) == ""
    for bad in (PACKET[:-1], PACKET + b"\0", b"\0" + PACKET[1:], PACKET[:-1] + b"\xd0", b""):
        assert frame("openbci-cyton", bad, expect_error="bad_frame") == ""


def test_cyton_streams():
    numbers = [encode_packet(i, (i,) * 8) for i in range(4)]
    wanted = [{"sample": i} for i in range(4)]
    assert stream("openbci-cyton", numbers, wanted) == ""
    data = b"\xa0\x01garbage" + numbers[0] + numbers[1] + b"\xa0\xa0\xff" + numbers[2] + numbers[3]
    assert stream("openbci-cyton", [data[i : i + 5] for i in range(0, len(data), 5)], wanted) == ""
    assert stream("openbci-cyton", [numbers[0]], wanted[:1]) == ""
    assert stream("openbci-cyton", [numbers[0] + b"\x00\x01" + numbers[3][:30]], wanted[:1]) == ""


@pytest.mark.parametrize(("octets", "value"), [("800000", -8388608), ("7fffff", 8388607), ("800001", -8388607)])
def test_int24be(octets, value):
    assert judge({"kind": "int24be", "input_hex": octets, "expect": {"value": value}}) == ""


@pytest.mark.parametrize("octets", ["", "00", "00000000"])
def test_int24be_refuses_other_lengths(octets):
    assert judge({"kind": "int24be", "input_hex": octets, "expect_error": "truncated"}) == ""


def test_ads1292r():
    expect = {"type": 2, "ecg": -120, "respiration": 345, "heart_rate": 72, "respiration_rate": 16}
    assert frame("protocentral-ads1292r", ADS, expect=expect) == ""
    assert frame("protocentral-ads1292r", ADS[:-2] + b"\x0b", expect=expect) == ""
    other_type = ADS[:4] + b"\x03" + ADS[5:]
    for bad in (ADS[:-1], ADS[:9], ADS[:-1] + b"\x0c", b"\x0b" + ADS[1:], other_type, ADS + b"\0\0\0", b""):
        assert frame("protocentral-ads1292r", bad, expect_error="bad_frame") == ""
    assert stream("protocentral-ads1292r", [b"\x0a\xfa\x08", ADS[:7], ADS[7:] + ADS], [expect, expect]) == ""


def test_healthypi():
    v3 = {
        "type": 2, "ecg": -5, "respiration": 6, "ir": 70000, "red": -3, "temperature": 36.55, "respiration_rate": 15,
        "spo2": 97, "heart_rate": 70, "lead_status": 3, "ecg_lead_off": True, "probe_off": True,
    }  # fmt: skip
    assert frame("healthypi", PI3, expect=v3) == ""
    v5 = {"ecg": -9, "red": 11, "ir": 12, "temperature": -0.05, "spo2": 98, "heart_rate": 61, "respiration_rate": 14}
    assert frame("healthypi", PI5, expect=v5) == ""
    batch = {"type": 3, "ecg": list(range(8)), "respiration": [0, 1, 2, 3], "heart_rate": 62}
    assert frame("healthypi", BATCH, expect=batch) == ""
    assert stream("healthypi", [PI3 + b"\xff" + BATCH[:20], BATCH[20:]], [v3, batch]) == ""
    assert frame("healthypi", ADS, expect_error="bad_length") == ""


@pytest.mark.parametrize(("text", "raw"), [("512\r\n", 512), ("0\n", 0), ("-5", -5), (" 1023 \r\n", 1023)])
def test_ad8232(text, raw):
    assert line(text, expect={"lead_off": False, "raw": raw}) == ""


def test_ad8232_leads_off():
    assert line("!\r\n", expect={"lead_off": True}) == ""
    assert line("!\r\n", expect={"lead_off": True, "raw": None}) == ""


@pytest.mark.parametrize("text", ["", "\r\n", "51 2\r\n", "5.5\n", "!!\n", "512!\n", "0x10\n", "\u0665\n", "9" * 40])
def test_ad8232_refusals(text):
    assert line(text, expect_error="bad_format") == ""
