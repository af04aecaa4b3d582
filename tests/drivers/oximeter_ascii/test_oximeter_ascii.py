"""Oximeters that print lines."""

import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading, Reply
from gatepost.drivers.serial.oximeter_ascii.driver import OximeterAscii, OximeterAsciiOptions
from gatepost.drivers.serial.oximeter_ascii.lines import NELLCOR_STATUS, decode_masimo, decode_nellcor, decode_nonin

MASIMO = (
    "03/26/24 08:15:01 SN=0000093112 SPO2={}% BPM={} PI={}% SPCO=--.-% SPMET=--.-% DESAT=-- PIDELTA=+-- PVI=--- "
    "ALARM={} EXC={}"
)


def masimo(spo2="098", rate="072", index="2.55", alarm="0000", exceptions="000000"):
    return MASIMO.format(spo2, rate, index, alarm, exceptions)


def read(*lines, dialect="auto"):
    """Readings and faults, after a first line that may have been cut."""
    decoder = OximeterAscii(OximeterAsciiOptions(dialect)).decoder()
    decoder.feed(b"cut\r\n")
    items = decoder.feed(b"".join(line.encode("latin-1") + b"\r\n" for line in lines))
    return [item for item in items if isinstance(item, Reading)], decoder.faults.counts


@pytest.mark.parametrize(
    ("line", "values", "flags"),
    [
        ("SPO2=097 HR=072", {"spo2": 97, "pulse_rate": 72}, {}),
        ("SPO2=100 HR=201", {"spo2": 100, "pulse_rate": 201}, {}),
        ("SPO2=097 HR=072*", {"spo2": 97, "pulse_rate": 72}, {"event": True}),
        ("SPO2=097 HR=072 F", {"spo2": 97, "pulse_rate": 72}, {"fast": True}),
        ("SPO2=097 HR=072 F*", {"spo2": 97, "pulse_rate": 72}, {"fast": True, "event": True}),
        ("SPO2=--- HR=---", {"spo2": None, "pulse_rate": None}, {}),
        ("08:15:03 SPO2=097 HR=072", {"spo2": 97, "pulse_rate": 72}, {"time": (8, 15, 3)}),
        ("SPO2= 97 HR= 72", {"spo2": 97, "pulse_rate": 72}, {}),
    ],
)
def test_nonin(line, values, flags):
    found = decode_nonin(line + "\r\n")
    assert found.values == values
    for name in ("event", "fast", "time"):
        assert getattr(found, name) == flags.get(name, None if name == "time" else False)


@pytest.mark.parametrize(
    ("line", "kind"),
    [("", "bad_format"), ("SPO2=097", "bad_format"), ("SPO2=09 HR=072", "bad_format"), ("SPO2=097 HR=07", "bad_format"),
     ("SPO2=197 HR=072", "out_of_range"), ("25:00:00 SPO2=097 HR=072", "out_of_range"),
     ("PO2=097 HR=072", "bad_format"), ("SPO2=0x7 HR=072", "bad_format"), ("SPO2=097 HR=072 ?", "bad_format")],
)  # fmt: skip
def test_what_is_no_line_of_nonin_is_refused(line, kind):
    with pytest.raises(FrameError, match=kind):
        decode_nonin(line)


def test_masimo():
    found = decode_masimo(masimo())
    assert found.time == (2024, 3, 26, 8, 15, 1)  # month first
    assert found.serial == "0000093112"
    assert found.values == {
        "spo2": 98, "pulse_rate": 72, "pi_pct": 2.55, "spco_pct": None, "spmet_pct": None, "desat": None,
        "pi_delta": None, "pvi": None,
    }  # fmt: skip
    assert not found.alarm
    other = decode_masimo(masimo("---", "---", "--.--", "0001", "000828"))
    assert (other.values["spo2"], other.values["pulse_rate"], other.values["pi_pct"]) == (None, None, None)
    assert other.alarm
    assert other.status == ("pulse-search", "sensor-off")


@pytest.mark.parametrize(
    ("line", "kind"),
    [(masimo()[4:], "bad_format"), (masimo("98"), "bad_format"), (masimo(rate="7"), "bad_format"),
     (masimo("998"), "out_of_range"), (masimo().replace("03/26", "13/26"), "out_of_range"),
     (masimo().replace("08:15", "24:15"), "out_of_range"), (masimo(exceptions="xyz"), "bad_format"),
     ("03/26/24 08:15:01 SN=1 PI=2%", "bad_format"), ("03/26/24 08:15:01 " + "A=" * 300 + "!", "bad_format"),
     (masimo(index="2.5.5"), "bad_format")],
)  # fmt: skip
def test_what_is_no_line_of_masimo_is_refused(line, kind):
    with pytest.raises(FrameError, match=kind):
        decode_masimo(line)


@pytest.mark.parametrize(
    ("line", "values", "status", "alarm"),
    [
        ("26-Mar-24 08:15:03   98    72     55", (98, 72, 55), (), False),
        ("26-MAR-24 08:15:03   98    72*    55   PH", (98, 72, 55), ("PH",), True),
        ("26-Mar-24 08:15:03   84*   38*     5   SL  PL  MO", (84, 38, 5), ("SL", "PL", "MO"), True),
        ("26-Mar-24 08:15:03  ---   ---    ---   SO AS", (None, None, None), ("SO", "AS"), False),
    ],
)
def test_nellcor(line, values, status, alarm):
    found = decode_nellcor(line + "\r\n")
    assert tuple(found.values.values()) == values
    assert (found.status, found.alarm, found.time) == (status, alarm, (2024, 3, 26, 8, 15, 3))


@pytest.mark.parametrize(
    ("line", "kind"),
    [("26-Xyz-24 08:15:03 98 72 55", "bad_format"), ("32-Mar-24 08:15:03 98 72 55", "out_of_range"),
     ("26-Mar-24 08:15:03 98 72", "bad_format"), ("26-Mar-24 08:15:03 98 72 55 QQ", "bad_format"),
     ("26-Mar-24 08:15:03 198 72 55", "out_of_range"), ("Mar-24 08:15:03 98 72 55", "bad_format"),
     ("TIME  %SPO2  BPM   PA    Status", "bad_format")],
)  # fmt: skip
def test_what_is_no_line_of_nellcor_is_refused(line, kind):
    with pytest.raises(FrameError, match=kind):
        decode_nellcor(line)


def test_a_year_of_two_digits():
    assert decode_nellcor("12-NOV-98 14:00:05 100 120 50").time[0] == 1998


@pytest.mark.parametrize(
    ("line", "values", "flags", "quality"),
    [
        ("SPO2=097 HR=072", {"spo2": 97, "heart_rate": 72}, (), GOOD),
        ("SPO2=--- HR=072", {"heart_rate": 72}, ("spo2:no-signal",), UNCERTAIN),
        ("SPO2=097 HR=072 F*", {"spo2": 97, "heart_rate": 72}, ("event", "fast"), GOOD),
        (masimo(), {"spo2": 98, "heart_rate": 72, "perfusion_index": 2.55}, (), GOOD),
        (
            masimo("---", "---", "--.--", exceptions="000020"),
            {}, ("spo2:sensor-off", "heart_rate:sensor-off", "sensor-off"), BAD,
        ),
        (
            masimo(alarm="0002", exceptions="000004"),
            {"spo2": 98, "heart_rate": 72, "perfusion_index": 2.55}, ("low-perfusion", "alarm"), UNCERTAIN,
        ),
        (masimo("000", "000", exceptions="000820"), {"perfusion_index": 2.55},
         ("spo2:sensor-off", "heart_rate:sensor-off", "sensor-off"), BAD),
        (
            "26-Mar-24 08:15:03   84*   72     55   SL  LB",
            {"spo2": 84, "heart_rate": 72, "pulse_amplitude": 55}, ("spo2-below-limit", "low-battery", "alarm"), GOOD,
        ),
        (
            "26-Mar-24 08:15:03  ---   ---    ---   SD  LP",
            {}, ("spo2:sensor-disconnected", "heart_rate:sensor-disconnected", "sensor-disconnected", "loss-of-pulse"),
            BAD,
        ),
    ],
)  # fmt: skip
def test_readings(line, values, flags, quality):
    (reading,), faults = read(line)
    assert (reading.values, reading.flags, reading.quality) == (values, flags, quality)
    assert faults == {}


def test_units_and_the_devices_time():
    (reading,), _ = read(masimo())
    assert reading.units == {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}
    assert reading.device_time == "2024-03-26T08:15:01"
    assert read("26-Mar-24 08:15:03 98 72 55")[0][0].device_time == "2024-03-26T08:15:03"
    assert read("08:15:03 SPO2=097 HR=072")[0][0].device_time is None  # a time of day is none
    assert read("31-Feb-24 08:15:03 98 72 55")[0][0].device_time is None


def test_a_parameter_that_was_there_is_missed():
    first, second = read(masimo(), masimo(index="--.--"))[0]
    assert first.flags == ()
    assert second.flags == ("perfusion_index:no-signal",)


def test_headings_are_passed_over_and_other_lines_counted():
    lines = [
        "N-595 VERSION 1.0.0.0 CRC:ABCD SpO2 Limit: 85-100% PR Limit: 40-170BPM",
        "                     ADULT 10SAT-S   SPO2 RESP MODE: NORMAL",
        "TIME                %SPO2  BPM   PA    Status",
        "26-Mar-24 08:15:03   98    72     55",
        "26-Mar-24 08:15:04   98    7",
    ]
    readings, faults = read(*lines, dialect="nellcor")
    assert len(readings) == 1
    assert faults == {"bad_format": 1}
    readings, faults = read(*lines)  # auto: one of them fits, and from then on its headings only
    assert (len(readings), faults) == (1, {"bad_format": 1})
    assert read("NONIN MEDICAL INC. MODEL 2500", "SPO2=097 HR=072", "SPO2=09", dialect="nonin")[1] == {"bad_format": 1}
    assert read("\x80\x81 SPO2=097 HR=072")[1] == {"encoding": 1}


def test_text_of_another_device_is_counted_in_the_end():
    readings, faults = read(*["hello, world"] * 20)
    assert readings == []
    assert faults["bad_format"] == 9  # the first twelve, one of them cut, could be headings


def test_a_configured_dialect_takes_no_other():
    readings, faults = read("SPO2=097 HR=072", masimo(), dialect="masimo")
    assert len(readings) == 1
    assert faults == {"bad_format": 1}


def test_every_status_code_is_explained():
    for code, name in NELLCOR_STATUS.items():
        (reading,), _ = read(f"26-Mar-24 08:15:03   98    72     55   {code}")
        assert name in reading.flags


def test_serial_number_and_battery_are_learned_once():
    decoder = OximeterAscii().decoder()
    items = decoder.feed((masimo() + "\r\n").encode() * 3)
    assert [item.fields for item in items if isinstance(item, Reply)] == [{"serial_number": "0000093112"}]
    nellcor = OximeterAscii().decoder()
    items = nellcor.feed(b"26-Mar-24 08:15:03 98 72 55\r\n26-Mar-24 08:15:04 98 72 55 LB\r\n")
    assert [item.fields for item in items if isinstance(item, Reply)] == [{"battery_low": False}, {"battery_low": True}]


@pytest.mark.parametrize("dialect", ["nonin", "masimo", "nellcor"])
def test_the_twin_prints_what_is_read(dialect):
    options = OximeterAsciiOptions(dialect)
    twin, decoder = OximeterAscii.twin(options, seed=1), OximeterAscii(options).decoder()
    found = [item for _ in range(60) for item in decoder.feed(twin.tick()) if isinstance(item, Reading)]
    assert len(found) == 60
    twin.finger = False
    (last,) = (item for item in decoder.feed(twin.tick()) if isinstance(item, Reading))
    assert last.quality == BAD
    assert decoder.faults.total == 0
    assert twin.hear(b"anything") == b""
