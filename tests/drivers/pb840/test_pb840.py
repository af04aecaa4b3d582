"""pb840: whole reports only, blanks are none, alarms when they change, nothing but requests is said."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.pb840.driver import Pb840, Pb840Options
from gatepost.drivers.serial.pb840.twin import Pb840Twin
from gatepost.drivers.testing import driver_kit

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "bedside" / "pb840.json").read_text("utf-8"))["vectors"]
FULL = bytes.fromhex(VECTORS[0]["input_hex"])


def read(octets, **options):
    return [item for item in Pb840(Pb840Options(**options)).decoder().feed(octets) if isinstance(item, Reading)]


def test_a_report_of_a_real_machine():
    measured, set_ = read(FULL)
    assert measured.metric == "ventilation"
    assert measured.values["tidal_volume_expired"] == 0.378
    assert (measured.values["fio2"], measured.units["fio2"]) == (20, "%")
    assert measured.units["peak_pressure"] == "cm[H2O]"
    assert "peep_intrinsic:not-measured" in measured.flags
    assert measured.device_time == "2011-11-22T14:51:00"
    assert set_.metric == "ventilator_settings"
    assert (set_.values["tidal_volume"], set_.values["mode"]) == (0.365, "A/C")
    assert [reading.metric for reading in read(FULL, settings=False)] == ["ventilation"]


@given(at=st.integers(0, len(FULL) - 2), size=st.integers(1, 40))
@settings(max_examples=200, deadline=None)
def test_what_was_lost_on_the_line_shifts_nothing(at, size):
    good = [reading.values for reading in read(FULL)]
    for damaged in (FULL[:at] + FULL[at + size :], FULL[:at] + b"1," * size + FULL[at:]):
        for reading in read(damaged + FULL):
            assert reading.values in good


def test_a_lost_report_does_not_cost_the_next():
    assert len(read(FULL[:700] + FULL + FULL[300:] + FULL)) == 4


def test_an_alarm_is_told_when_it_changes():
    done = driver_kit.session(Pb840(Pb840Options(poll=2)), Pb840Twin(), seconds=120)
    alarms = [reading for reading in done.readings if reading.metric == "device_alarm"]
    assert 3 <= len(alarms) <= 7
    assert alarms[0].values == {"alarm_priority": 2}
    assert alarms[0].flags == ("device-alarm:field-110",)
    assert set(done.sent) == {b"SNDF\r"}
    assert done.told == {"serial_number": "840 3510000042"}


def test_a_manoeuvre_is_reported_once():
    def report(*results):
        head, body = FULL.split(b"\x02", 1)
        fields = body.split(b",")
        for field, result in zip((89, 90, 91, 92, 93, 94), results, strict=True):
            fields[field - 5] = result.ljust(len(fields[field - 5]))
        return head + b"\x02" + b",".join(fields)

    paused = report(b"1.250", b"2.3", b"7.4", b"50.1", b"0.0", b"21.0")
    found = read(paused * 2 + FULL + paused, settings=False)
    made = [reading for reading in found if reading.flags == ("manoeuvre",)]
    values = {"peep_intrinsic": 2.3, "peep_total": 7.4, "compliance": 50.1, "plateau_pressure": 21.0}
    assert [reading.values for reading in made] == [values] * 2
    assert made[0].units == dict.fromkeys(values, "cm[H2O]") | {"compliance": "mL/cm[H2O]"}
    assert (found[0].values["minute_volume_spontaneous"], found[0].units["minute_volume_spontaneous"]) == (
        1.25,
        "L/min",
    )
    assert made[0].device_time is None


def test_a_ventilator_that_does_not_answer_ends_the_session():
    class Dumb(Pb840Twin):
        def hear(self, data):
            return b""

    done = driver_kit.session(Pb840(), Dumb(), seconds=60)
    assert isinstance(done.outcome, TimeoutError)
    assert len(done.sent) == 3


@pytest.mark.parametrize("word", [b"RSET\r", b"SNDF\rRSET\r", b"SNDF", b"sndf\r", b"", b"SNDA\r\n"])
def test_nothing_else_is_said(word):
    assert Pb840().violation(word) == "command"
