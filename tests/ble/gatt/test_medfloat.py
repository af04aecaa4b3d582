from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.gatt.medfloat import MissingNumber, decode_float, decode_sfloat
from gatepost.drivers.ble.twin.devices.encode import medfloat, sfloat

SPECIAL = {
    MissingNumber.NAN: (0x07FF, 0x007FFFFF),
    MissingNumber.NRES: (0x0800, 0x00800000),
    MissingNumber.OVER: (0x07FE, 0x007FFFFE),
    MissingNumber.UNDER: (0x0802, 0x00800002),
    MissingNumber.RESERVED: (0x0801, 0x00800001),
}


@pytest.mark.parametrize(
    ("raw", "text"),
    [(0x0062, "98"), (0x0FFF, "-1"), (0xF0BD, "18.9"), (0xF2B2, "69.0"), (0x7001, "1E+7"), (0x8001, "1E-8"),
     (0x07FD, "2045"), (0x0803, "-2045"), (0x0000, "0"), (0xF000, "0.0"), (0x17FF, "2.047E+4"), (0xF800, "-204.8")],
)  # fmt: skip
def test_sfloat(raw, text):
    assert str(decode_sfloat(raw)) == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [(0xFE000EB0, "37.60"), (0xFD009105, "37.125"), (0x00000025, "37"), (0x00FFFFFF, "-1"), (0x7F000001, "1E+127"),
     (0x80800003, "-8.388605E-122"), (0xFE7FFFFF, "83886.07")],
)  # fmt: skip
def test_float(raw, text):
    assert str(decode_float(raw)) == text


@pytest.mark.parametrize(("word", "raws"), SPECIAL.items())
def test_special_values_are_words_and_not_numbers(word, raws):
    assert decode_sfloat(raws[0]) is word
    assert decode_float(raws[1]) is word


def test_special_mantissas_with_an_exponent_are_numbers():
    assert decode_sfloat(0xF7FF) == Decimal("204.7")
    assert decode_float(0xFF7FFFFF) == Decimal("838860.7")


def told(raw, mantissa_bits, exponent_bits):
    """The number as the specification says it: mantissa * 10 ** exponent, both in two's complement."""
    mantissa, exponent = raw & (1 << mantissa_bits) - 1, raw >> mantissa_bits
    mantissa -= (mantissa >> mantissa_bits - 1) << mantissa_bits
    return mantissa, exponent - ((exponent >> exponent_bits - 1) << exponent_bits)


@given(st.integers(0, 0xFFFF))
def test_every_sfloat_is_its_mantissa_and_exponent(raw):
    number = decode_sfloat(raw)
    mantissa, exponent = told(raw, 12, 4)
    if isinstance(number, MissingNumber):
        assert raw == SPECIAL[number][0]
    else:
        assert number == mantissa * Decimal(10) ** exponent
        assert number.as_tuple().exponent == exponent  # the precision that was claimed


@given(st.integers(0, 0xFFFFFFFF))
def test_every_float_is_its_mantissa_and_exponent(raw):
    number = decode_float(raw)
    if isinstance(number, MissingNumber):
        assert raw == SPECIAL[number][1]
    else:
        assert number.as_tuple() == Decimal(told(raw, 24, 8)[0]).as_tuple()._replace(exponent=told(raw, 24, 8)[1])


@pytest.mark.parametrize("number", ["36.6", "-40.2", "120", "nan", "over"])
def test_the_encoders_of_twins_agree(number):
    found = (
        decode_sfloat(int.from_bytes(sfloat(number), "little")),
        decode_float(int.from_bytes(medfloat(number), "little")),
    )
    wanted = {"nan": MissingNumber.NAN, "over": MissingNumber.OVER}.get(number) or Decimal(number)
    assert found == (wanted, wanted)
