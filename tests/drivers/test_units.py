from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.units import NotComparable, convert


@pytest.mark.parametrize(
    ("value", "unit", "to", "result"),
    [
        (120, "mm[Hg]", "kPa", "15.9986864898"),
        (1, "kPa", "hPa", "10"),
        (101325, "Pa", "hPa", "1013.25"),
        (37.6, "Cel", "[degF]", "99.68"),
        ("98.6", "[degF]", "Cel", "37"),
        (0, "Cel", "K", "273.15"),
        (-40, "[degF]", "Cel", "-40"),
        (157, "[lb_av]", "kg", "71.21400209"),
        (1, "[lb_av]", "[oz_av]", "16"),
        (68.9, "[in_i]", "cm", "175.006"),
        (1.749, "m", "cm", "174.9"),
        (189e-1, "mm[Hg]", "mm[Hg]", "18.9"),
        (1, "kcal", "kJ", "4.184"),
        (1500, "m[g]", "m/s2", "14.709975"),
    ],
)
def test_exact(value, unit, to, result):
    assert convert(value, unit, to) == Decimal(result)


def test_a_result_without_an_end_is_cut_late():
    assert abs(convert(16, "kPa", "mm[Hg]") - Decimal("120.0098521")) < Decimal("1e-6")


@pytest.mark.parametrize(("unit", "to"), [("kg", "m"), ("mg/dL", "mmol/L"), ("Cel", "kPa"), ("kPa", "Cel"), ("x", "x")])
def test_no_way_from_one_to_the_other(unit, to):
    with pytest.raises(NotComparable):
        convert(1, unit, to)


ALIKE = {
    "kPa": ["Pa", "mm[Hg]"],
    "[lb_av]": ["kg", "[oz_av]"],
    "[in_i]": ["cm", "m"],
    "[degF]": ["Cel", "K"],
    "m[g]": ["m/s2"],
}


@given(st.decimals(-1000, 1000, places=3), st.sampled_from(list(ALIKE)))
def test_there_and_back(value, unit):
    for to in ALIKE[unit]:
        assert abs(convert(convert(value, unit, to), to, unit) - value) < Decimal("1e-15")
