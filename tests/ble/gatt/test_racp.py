import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.ble.gatt import racp
from gatepost.drivers.ble.gatt.racp import ControlPoint, RacpFilter, RacpOp, RacpOperator
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.checksums import FrameError

TIME = DateTime(2024, 6, 15, 8, 15, 0)
NUMBERS = st.integers(0, 0xFFFF)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("06000101", ControlPoint(6, 0, 1, 1)),
        ("0600010699", ControlPoint(6, 0, 1, 6)),
        ("05000201", ControlPoint(5, 0, count=258)),
        ("050007", ControlPoint(5, 0, count=7)),
        ("050001000100", ControlPoint(5, 0, count=65537)),
        ("08000300", ControlPoint(8, 0, count=3)),
        ("0701", ControlPoint(7, 1)),
        ("1100feff", ControlPoint(0x11, 0, sequence=65534)),
        ("0101", ControlPoint(1, 1)),
        ("0300", ControlPoint(3, 0)),
        ("01030105 00", ControlPoint(1, 3, filter_type=1, bounds=(5,))),
        ("040401 0100 0900", ControlPoint(4, 4, filter_type=1, bounds=(1, 9))),
        ("010202 e807060f080f00", ControlPoint(1, 2, filter_type=2, bounds=(TIME,))),
    ],
)
def test_decode(raw, expected):
    assert racp.decode(bytes.fromhex(raw)) == expected


@pytest.mark.parametrize(
    ("raw", "kind"),
    [("", "truncated"), ("06", "truncated"), ("0600", "truncated"), ("060001", "truncated"), ("0500", "truncated"),
     ("0500010203", "bad_size"), ("06010101", "bad_operator"), ("05020100", "bad_operator"), ("0100", "bad_operator"),
     ("0107", "bad_operator"), ("0301", "bad_operator"), ("0400", "bad_operator"), ("0900", "unsupported"),
     ("0000", "unsupported"), ("ff00", "unsupported"), ("0103", "truncated"), ("010301", "truncated"),
     ("01030105", "truncated"), ("0104010500", "truncated"), ("0103030500", "unsupported"), ("110001", "truncated")],
)  # fmt: skip
def test_refused(raw, kind):
    with pytest.raises(FrameError, match=kind):
        racp.decode(bytes.fromhex(raw))


def test_what_is_asked():
    said = [racp.REPORT_ALL, racp.REPORT_LAST, racp.COUNT_ALL, racp.ABORT, racp.encode(racp.RacpOp.NEWEST)]
    assert [words.hex() for words in said] == ["0101", "0106", "0401", "0300", "1000"]


def test_answers_of_twins():
    assert racp.decode(bytes.fromhex("06000106")).text == "no-records-found"
    assert racp.decode(bytes.fromhex("0600010a")).text == "server-busy"
    assert racp.decode(bytes.fromhex("0600014d")).text == "unknown"
    assert racp.decode(bytes.fromhex("05002c01")).count == 300


@given(st.sampled_from([RacpOp.REPORT, RacpOp.COUNT, RacpOp.DELETE, RacpOp.REPORT_AND_COUNT]), NUMBERS, NUMBERS)
def test_requests_come_back(op, low, high):
    for operator, bounds in ((RacpOperator.ALL, ()), (RacpOperator.LE, (low,)), (RacpOperator.RANGE, (low, high))):
        found = racp.decode(racp.encode(op, operator, bounds))
        assert (found.op, found.operator, found.bounds) == (op, operator, bounds)
    found = racp.decode(racp.encode(op, RacpOperator.RANGE, (TIME, TIME), RacpFilter.TIME))
    assert (found.filter_type, found.bounds) == (RacpFilter.TIME, (TIME, TIME))


@pytest.mark.parametrize(
    "arguments",
    [
        (RacpOp.REPORT,),
        (RacpOp.ABORT, RacpOperator.ALL),
        (RacpOp.REPORT, RacpOperator.GE),
        (RacpOp.REPORT, RacpOperator.ALL, (1,)),
        (RacpOp.REPORT, RacpOperator.GE, (65536,)),
        (RacpOp.REPORT, RacpOperator.GE, (-1,)),
        (RacpOp.REPORT, RacpOperator.GE, (TIME,)),
        (RacpOp.REPORT, RacpOperator.GE, (1,), RacpFilter.TIME),
        (RacpOp.REPORT, RacpOperator.RANGE, (1,)),
    ],
)
def test_requests_that_make_no_sense(arguments):
    with pytest.raises(ValueError, match=r"."):
        racp.encode(*arguments)
