"""Mi scales: a result is repeated for minutes and given exactly once."""

import pytest

SCALE, BODY = 0x181D, 0x181B
WEIGHT = "223e30e607020e10293a"  # 61.75 kg at rest
UNSTABLE, REMOVED = "021230e607020e10293a", "a23e30e607020e10293a"  # still moving, at 61.53 kg; stepped off
NO_IMPEDANCE, IMPEDANCE = "0224e607020e10293a00009a38", "0226e607020e10293af7019a38"


def test_a_weighing_exactly_once(ear, service):
    one = ear()
    given = []
    for data in (UNSTABLE, WEIGHT, WEIGHT, REMOVED, WEIGHT, REMOVED):
        for _ in range(30):
            given += one.hear(service(SCALE, data))
            one.wait(2)
    (reading,) = given
    assert reading.metric == "body_weight"
    assert reading.values == {"weight": 61.75}
    assert reading.units == {"weight": "kg"}
    assert reading.device_time == "2022-02-14T16:41:58"
    assert reading.bookmark is not None


def test_exactly_once_even_after_a_restart(ear, service):
    before = ear()
    (reading,) = before.hear(service(SCALE, WEIGHT))
    after = ear()
    after.driver.bookmarks = dict([reading.bookmark])
    assert after.hear(service(SCALE, REMOVED)) == []
    (other,) = after.hear(service(SCALE, WEIGHT.replace("3e30", "4030")))
    assert other.values == {"weight": 61.76}


def test_a_link_that_is_opened_again_repeats_nothing(ear, service):
    one = ear()
    assert one.hear(service(SCALE, WEIGHT))
    one.reopen()
    assert one.hear(service(SCALE, REMOVED)) == []


def test_two_people_with_the_same_weight(ear, service):
    one = ear()
    assert one.hear(service(SCALE, WEIGHT))
    assert one.hear(service(SCALE, WEIGHT[:-2] + "3b"))  # a second later by the scale's clock


def test_somebody_who_was_gone_before_anybody_listened(ear, service):
    (reading,) = ear().hear(service(SCALE, REMOVED))
    assert reading.values == {"weight": 61.75}


def test_weight_first_and_impedance_when_it_is_there(ear, service):
    one = ear()
    (weight,) = one.hear(service(BODY, NO_IMPEDANCE))
    assert (weight.metric, weight.values) == ("body_weight", {"weight": 72.45})
    (composition,) = one.hear(service(BODY, IMPEDANCE))
    assert (composition.metric, composition.values) == ("body_composition", {"weight": 72.45, "impedance": 503})
    assert composition.units == {"weight": "kg", "impedance": "Ohm"}
    assert one.hear(service(BODY, "02a6" + IMPEDANCE[4:])) == []
    assert weight.bookmark[0] != composition.bookmark[0]


def test_both_at_once_when_the_first_was_missed(ear, service):
    assert [item.metric for item in ear().hear(service(BODY, IMPEDANCE))] == ["body_weight", "body_composition"]


@pytest.mark.parametrize("impedance", ["0000", "feff", "ffff"])
def test_an_impedance_that_is_none(ear, service, impedance):
    (_, composition) = ear().hear(service(BODY, IMPEDANCE[:18] + impedance + IMPEDANCE[22:]))
    assert composition.values == {"weight": 72.45}
    assert composition.flags == ("impedance:not-available",)


@pytest.mark.parametrize(("flags", "unit", "weight"), [("23", "[lb_av]", 123.5), ("32", "{jin}", 123.5)])
def test_units_stay_as_they_are(ear, service, flags, unit, weight):
    (reading,) = ear().hear(service(SCALE, flags + WEIGHT[2:]))
    assert reading.values == {"weight": weight}
    assert reading.units == {"weight": unit}


def test_a_clock_that_was_never_set(ear, service):
    (reading,) = ear().hear(service(SCALE, "223e30" + "00" * 7))
    assert reading.device_time is None
    assert reading.flags == ("clock-not-set",)


def test_nobody_on_it(ear, service):
    assert ear().hear(service(SCALE, "220000e607020e10293a")) == []


def test_something_small_is_no_body(ear, service):
    (reading,) = ear().hear(service(BODY, "06" + NO_IMPEDANCE[2:]))
    assert (reading.metric, reading.values) == ("reading", {"mass": 72.45})


def test_a_scale_is_not_expected_to_speak(ear, service):
    assert not ear(format="mi-scale").driver.streams
    one = ear()
    one.hear(service(SCALE, UNSTABLE))
    assert not one.driver.streams
