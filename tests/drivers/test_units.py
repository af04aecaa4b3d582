from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.units import NotComparable, convert, convert_glucose, units_like


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


def test_glucose():
    assert convert_glucose("5.6", "mmol/L", "mg/dL") == Decimal("100.88736")
    assert convert_glucose("0.001", "kg/L", "mg/dL") == 100
    assert convert_glucose("0.0056", "mol/L", "mmol/L") == Decimal("5.6")
    assert round(convert_glucose(100, "mg/dL", "mmol/L"), 4) == Decimal("5.5507")


@pytest.mark.parametrize(("unit", "to"), [("kg", "m"), ("mg/dL", "mmol/L"), ("Cel", "kPa"), ("kPa", "Cel"), ("x", "x")])
def test_no_way_from_one_to_the_other(unit, to):
    with pytest.raises(NotComparable):
        convert(1, unit, to)


def test_no_glucose():
    with pytest.raises(NotComparable):
        convert_glucose(1, "mg/dL", "kPa")


def test_units_like():
    assert units_like("kPa") == ("Pa", "hPa", "kPa", "mm[Hg]")
    assert "[degF]" in units_like("Cel")
    assert units_like("{raw}") == ()


@given(st.decimals(-1000, 1000, places=3), st.sampled_from(["kPa", "[lb_av]", "[in_i]", "[degF]", "h", "m[g]"]))
def test_there_and_back(value, unit):
    for to in units_like(unit):
        assert abs(convert(convert(value, unit, to), to, unit) - value) < Decimal("1e-15")
