"""hl7-monitor: alarms of IHE PCD-04, each when it begins and when its priority changes."""

import time

import pytest

from gatepost.drivers.network.hl7.driver import Hl7Monitor
from gatepost.drivers.reading import Reading


def message(number, *facets, kind="ORU^R40^ORU_R40", bed="ICU^^5", processing="P"):
    head = f"MSH|^~\\&|MON|FAC|||20260727124424||{kind}|{number}|{processing}|2.6|||AL|NE"
    order = "OBR|1|a^MON|a^MON|196616^MDC_EVT_ALARM^MDC|||20260727124420"
    lines = [head, "PID|||4711^^^H^PI||Doe^Jane", f"PV1||I|{bed}", order, *(f"OBX|1|{facet}" for facet in facets)]
    return b"\x0b" + ("\r".join(lines) + "\r").encode() + b"\x1c\r"


def low_saturation(phase, state="active", marks="L~PM~SP"):
    return (
        f"ST|196670^MDC_EVT_LO^MDC|1.3.1.150456.1|Low SpO2 of Mr Doe|||{marks}|||F|||20260727124421",
        "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3.1.150456.2|88|262688^MDC_DIM_PERCENT^MDC|90-96||||F|||20260727124421",
        f"ST|68481^MDC_ATTR_EVENT_PHASE^MDC|1.3.1.150456.3|{phase}||||||F",
        f"ST|68482^MDC_ATTR_ALARM_STATE^MDC|1.3.1.150456.4|{state}||||||F",
        "ST|68483^MDC_ATTR_ALARM_INACTIVATION_STATE^MDC|1.3.1.150456.5|enabled||||||F",
    )


def alarms(*messages):
    decoder = Hl7Monitor().decoder()
    found = [item for each in messages for item in decoder.feed(each) if isinstance(item, Reading)]
    return [reading for reading in found if reading.metric == "device_alarm"], found


def test_an_alarm_and_the_value_that_raised_it():
    (alarm,), found = alarms(message(1, *low_saturation("start")))
    assert alarm.values == {"alarm_priority": 2}
    assert alarm.flags == ("device-alarm:lo-puls-oxim-sat-o2",)
    assert (alarm.quality, alarm.device_time) == ("good", "2026-07-27T12:44:21")
    assert [reading.values for reading in found] == [{"spo2": 88}, {"alarm_priority": 2}]
    assert "Doe" not in repr(found)


def test_it_is_told_again_when_it_is_more_urgent_or_new():
    phases = [
        ("start", "active", "L~PM~SP"), ("continue", "active", "L~PM~SP"), ("update", "active", "L~PM~SP"),
        ("escalate", "active", "L~PH~SP"), ("continue", "active", "L~PH~SP"), ("end", "inactive", "L~PH~SP"),
        ("end", "latched", "L~PH~SP"), ("start", "active", "L~PM~SP"),
    ]  # fmt: skip
    found, _ = alarms(*(message(number, *low_saturation(*phase)) for number, phase in enumerate(phases)))
    assert [reading.values["alarm_priority"] for reading in found] == [2, 3, 2]


def test_one_that_began_before_the_gateway_did_is_told():
    found, _ = alarms(*(message(number, *low_saturation("continue")) for number in range(3)))
    assert len(found) == 1


def test_each_bed_has_its_own():
    beds = [message(number, *low_saturation("continue"), bed=f"ICU^^{number % 2}") for number in range(4)]
    assert len(alarms(*beds)[0]) == 2


def test_a_moment_has_no_end():
    found, _ = alarms(*(message(number, *low_saturation("tpoint", "inactive")) for number in range(2)))
    assert len(found) == 2


def test_the_event_may_be_a_value_and_the_priority_a_facet():
    (alarm,), found = alarms(
        message(
            1,
            "CWE|196616^MDC_EVT_ALARM^MDC|1.1.0.0.1|196940^MDC_EVT_FLUID_LINE_OCCL^MDC||||||F",
            "ST|68165^MDC_ATTR_EVENT_PHASE^MDC|1.1.0.0.3|start||||||F",
            "ST|68166^MDC_ATTR_ALERT_STATE^MDC|1.1.0.0.4|active||||||F",
            "ST|68484^MDC_ATTR_ALARM_PRIORITY^MDC|1.1.0.0.6|PH||||||F",
            "ST|68546^MDC_ATTR_ALERT_TEXT^MDC|1.1.0.0.8|Occlusion||||||F",
        )
    )
    assert (alarm.values, alarm.flags) == ({"alarm_priority": 3}, ("device-alarm:fluid-line-occl",))
    assert alarm.device_time == "2026-07-27T12:44:20"
    assert len(found) == 1


def test_without_a_priority_it_has_no_value():
    (alarm,), _ = alarms(message(1, *low_saturation("start", marks="L~PN~SP")))
    assert (alarm.values, alarm.quality) == ({}, "bad")


def test_two_in_one_message():
    other = ("ST|0^MDCX_EVT_ADVISORY^MDC|1.0.0.0.1|x|||A~PL~SA", "ST|68481^MDC_ATTR_EVENT_PHASE^MDC|1.0.0.0.3|start")
    found, _ = alarms(message(1, *low_saturation("start"), *other))
    assert [reading.flags[0] for reading in found] == ["device-alarm:lo-puls-oxim-sat-o2", "device-alarm:advisory"]


@pytest.mark.parametrize(
    "sent",
    [
        message(1, "ST|196614^MDC_EVT_ACTIVE^MDC|1.0.0.0.1|||||||F"),
        message(1, *low_saturation("start"), kind="ORU^R01^ORU_R01"),
        message(1, "NM|150456^MDC_PULS_OXIM_SAT_O2^MDC|1.3|97|262688^MDC_DIM_PERCENT^MDC|||||R"),
    ],
)
def test_what_is_no_alarm(sent):
    assert alarms(sent)[0] == []


def test_a_message_of_many_takes_no_longer_than_they_are():
    many = ("ST|1^MDC_EVT_LO^MDC|1|", "ST|1^MDC_ATTR_EVENT_PHASE^MDC|1|start") * 3000
    began = time.process_time()
    assert len(alarms(message(1, *many))[0]) == 3000
    assert time.process_time() - began < 8


def test_an_alarm_of_a_test_is_one():
    (alarm,), _ = alarms(message(1, *low_saturation("start"), processing="T"))
    assert (alarm.flags[0], alarm.quality) == ("test-data", "bad")


def test_what_is_sent_again_is_not_told_again():
    assert len(alarms(*[message(1, *low_saturation("start"))] * 3)[0]) == 1
