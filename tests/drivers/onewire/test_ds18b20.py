import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.checksums import FrameError, crc8_maxim
from gatepost.drivers.onewire.ds18b20 import Ds18b20, Ds18b20Options
from gatepost.drivers.onewire.scratchpad import decode_scratchpad, decode_w1_slave, encode_w1_slave
from gatepost.drivers.reading import GOOD, UNCERTAIN
from gatepost.drivers.testing.vectors import judge


def scratchpad(low, high, config=0x7F):
    octets = bytes((low, high, 0x4B, 0x46, config, 0xFF, 0x0C, 0x10))
    return octets + bytes((crc8_maxim(octets),))


@pytest.mark.parametrize(
    ("raw", "degrees"),
    [(0x07D0, 125.0), (0x0550, 85.0), (0x0191, 25.0625), (0x00A2, 10.125), (0x0008, 0.5), (0x0000, 0.0),
     (0xFFF8, -0.5), (0xFF5E, -10.125), (0xFE6F, -25.0625), (0xFC90, -55.0)],
)  # fmt: skip
def test_the_table_of_the_data_sheet(raw, degrees):
    found = decode_scratchpad(scratchpad(raw & 0xFF, raw >> 8))
    assert (found.temperature_c, found.resolution_bits) == (degrees, 12)
    assert found.power_on == (raw == 0x0550)


@pytest.mark.parametrize(("config", "bits", "degrees"), [(0x1F, 9, 25.0), (0x3F, 10, 25.25), (0x5F, 11, 25.375)])
def test_bits_below_the_resolution_do_not_count(config, bits, degrees):
    found = decode_scratchpad(scratchpad(0x97, 0x01, config))
    assert (found.temperature_c, found.resolution_bits) == (degrees, bits)


@pytest.mark.parametrize(
    ("octets", "kind"),
    [(b"", "truncated"), (scratchpad(0x91, 1)[:-1], "truncated"), (scratchpad(0x91, 1) + b"\0", "bad_length"),
     (bytes(9), "all_zero"), (b"\xff" * 9, "bad_crc"), (scratchpad(0x91, 1)[:-1] + b"\0", "bad_crc")],
)  # fmt: skip
def test_what_is_no_scratchpad_is_refused(octets, kind):
    with pytest.raises(FrameError, match=kind):
        decode_scratchpad(octets)


def test_the_kernels_file():
    assert decode_w1_slave("72 01 4b 46 7f ff 0e 10 57 : crc=57 YES\n72 01 4b 46 7f ff 0e 10 57 t=23125\n") == 23.125
    assert decode_w1_slave(encode_w1_slave(-10.125)) == -10.125


YES = "72 01 4b 46 7f ff 0e 10 57 : crc=57 YES"
SECOND = "72 01 4b 46 7f ff 0e 10 57 t=23125"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "truncated"), (YES, "truncated"), (YES.replace("YES", "NO") + "\n" + SECOND, "bad_crc"),
     ("00 " * 9 + ": crc=00 YES\n" + "00 " * 9 + "t=0", "all_zero"), (YES + "\nhello", "bad_format"),
     (YES + "\n" + SECOND + "\n" + SECOND, "bad_format"), ("hello\nworld", "bad_format"),
     (YES + "\n" + SECOND.replace("23125", "\u0663"), "bad_format")],
)  # fmt: skip
def test_what_is_no_file_of_a_sensor_is_refused(text, kind):
    with pytest.raises(FrameError, match=kind):
        decode_w1_slave(text)
    refused = {"id": "x", "kind": "serial-line", "protocol": "w1-slave", "text": text, "expect_error": kind}
    assert judge(refused) == ""


def read(*texts, **options):
    decoder = Ds18b20(Ds18b20Options(**options)).decoder()
    return [item for text in texts for item in decoder.feed(text.encode())], decoder.faults.counts


def test_readings():
    (reading,), faults = read(encode_w1_slave(21.0625))
    assert (reading.metric, reading.values, reading.units) == (
        "temperature", {"temperature": 21.062}, {"temperature": "Cel"}
    )  # fmt: skip
    assert (reading.flags, reading.quality, faults) == ((), GOOD, {})
    assert read(encode_w1_slave(21), metric="fridge")[0][0].metric == "fridge"


def test_the_value_before_the_first_measurement_is_suspect():
    (reading,), _ = read(encode_w1_slave(85.0))
    assert (reading.values, reading.quality) == ({"temperature": 85.0}, UNCERTAIN)
    assert "temperature:suspect" in reading.flags


def test_what_the_sensor_cannot_measure_is_no_value():
    found, _ = read(encode_w1_slave(127.9), encode_w1_slave(-100))
    assert [item.flags for item in found] == [("temperature:over-range",), ("temperature:under-range",)]


def test_wrong_readings_are_counted():
    found, faults = read(
        YES.replace("YES", "NO") + "\n" + SECOND + "\n", "00 " * 9 + ": crc=00 YES\n" + "00 " * 9 + "t=0\n", YES + "\n",
        encode_w1_slave(20), "stray\n",
    )  # fmt: skip
    assert [item.values for item in found] == [{"temperature": 20.0}]
    assert faults == {"bad_crc": 1, "all_zero": 1, "truncated": 1, "bad_format": 1}


@given(
    st.binary(max_size=20) | st.binary(min_size=8, max_size=8).map(lambda octets: octets + bytes((crc8_maxim(octets),)))
)
def test_any_octets(octets):
    try:
        found = decode_scratchpad(octets)
    except FrameError:
        return
    assert -2048 <= found.temperature_c < 2048


@given(st.text("0123456789abcdef :=tcrYESNO\n-", max_size=120))
def test_any_text(text):
    try:
        decode_w1_slave(text)
    except FrameError:
        return
