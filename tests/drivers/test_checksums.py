import pytest

from gatepost.drivers import checksums

CHECK = b"123456789"


@pytest.mark.parametrize(
    ("name", "value", "empty"),
    [("sum8", 0xDD, 0), ("sum16", 0x1DD, 0), ("crc8_maxim", 0xA1, 0), ("crc16_mcrf4xx", 0x6F91, 0xFFFF),
     ("crc16_x25", 0x906E, 0), ("crc16_modbus", 0x4B37, 0xFFFF), ("crc16_ccitt_false", 0x29B1, 0xFFFF)],
)  # fmt: skip
def test_check_values(name, value, empty):
    check = getattr(checksums, name)
    assert check(CHECK) == value
    assert check(b"") == empty
    if name != "sum8":
        assert check(CHECK * 40) != check(CHECK * 40 + b"\1")


def test_a_remainder_of_a_whole_frame_is_constant():
    for data in (b"", CHECK, bytes(40)):
        assert checksums.crc16_modbus(data + checksums.crc16_modbus(data).to_bytes(2, "little")) == 0
        assert checksums.crc16_mcrf4xx(data + checksums.crc16_mcrf4xx(data).to_bytes(2, "little")) == 0
        assert checksums.crc8_maxim(data + bytes((checksums.crc8_maxim(data),))) == 0
