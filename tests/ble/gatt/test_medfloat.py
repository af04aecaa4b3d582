from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.gatt.medfloat import MissingNumber, decode_float, decode_sfloat, encode_float, encode_sfloat

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
    assert encode_sfloat(word) == raws[0]
    assert encode_float(word) == raws[1]


def test_special_mantissas_with_an_exponent_are_numbers():
    assert decode_sfloat(0xF7FF) == Decimal("204.7")
    assert decode_float(0xFF7FFFFF) == Decimal("838860.7")


@given(st.integers(0, 0xFFFF))
def test_every_sfloat_comes_back(raw):
    number = decode_sfloat(raw)
    again = decode_sfloat(encode_sfloat(number))
    assert again == number
    assert type(again) is type(number)
    if isinstance(number, Decimal):
        assert again.as_tuple().exponent == number.as_tuple().exponent  # the precision that was claimed


@given(st.integers(0, 0xFFFFFFFF))
def test_every_float_comes_back(raw):
    number = decode_float(raw)
    assert decode_float(encode_float(number)) == number


@pytest.mark.parametrize("number", ["2047", "2046", "-2046", "20.471", "1E+20", "1E-9", "12345"])
def test_what_an_sfloat_cannot_tell_exactly_is_refused(number):
    with pytest.raises(ValueError, match="exactly"):
        encode_sfloat(Decimal(number))


@pytest.mark.parametrize(("number", "again"), [("20470", "20470"), ("1E+9", "1E+9"), ("37.50", "37.5"), ("0E+12", "0")])
def test_a_number_is_fitted_when_that_is_exact(number, again):
    assert decode_sfloat(encode_sfloat(Decimal(number))) == Decimal(again)


def test_not_a_number_has_a_word():
    with pytest.raises(ValueError, match="Missing"):
        encode_sfloat(Decimal("NaN"))
