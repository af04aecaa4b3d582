"""CAS indicators and what prints like them."""

import pytest

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN
from gatepost.drivers.serial.scales.cas_driver import CasOptions, CasScale
from gatepost.drivers.serial.scales.cas_format import (
    CasWeighing,
    decode_and,
    decode_bare,
    decode_full,
    decode_line,
    encode_full,
)

GOOD_LINE = bytes.fromhex("53542c47532c31c42c3030303031332e35206b670d0a")  # 13.5 kg, gross, at rest


def line(state=b"ST", mode=b"GS", lamps=0xC4, data=b"000013.5", unit=b"kg", device=b"1", relays=b" "):
    return state + b"," + mode + b"," + device + bytes((lamps,)) + b"," + data + relays + unit + b"\r\n"


def read(*lines, **options):
    """Readings and faults, after a first line that may have been cut."""
    decoder = CasScale(CasOptions(**options)).decoder()
    decoder.feed(b"13.5 kg\r\n")
    return decoder.feed(b"".join(lines)), decoder.faults.counts


def test_the_22_octets():
    assert decode_full(GOOD_LINE) == CasWeighing(
        "stable", "gross", 13.5, "kg", 49, True, False, False, True, False, False
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bit", "name"), [(6, "lamp_stable"), (4, "hold"), (3, "printer"), (2, "lamp_gross"), (1, "tare"), (0, "zero")]
)
def test_each_lamp_by_itself(bit, name):
    names = ("lamp_stable", "hold", "printer", "lamp_gross", "tare", "zero")
    found = decode_full(line(lamps=0x80 | 1 << bit))
    assert [other for other in names if getattr(found, other)] == [name]
    assert decode_full(line(lamps=0xA0 | 1 << bit)) == found  # bit 5 is that of the model


@pytest.mark.parametrize("device", [0x31, 0x3D, 0x80, 0xFF, 0x2C])
def test_any_octet_can_be_a_device(device):
    assert decode_full(line(device=bytes((device,)))).device_id == device


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"000013.5", 13.5), (b"   -13.5", -13.5), (b"-  013.5", -13.5), (b"+  4.876", 4.876), (b"00000135", 135),
     (b"  0013,5", 13.5), (b"-0000000", 0), (b"       7", 7)],
)  # fmt: skip
def test_the_eight_characters_of_a_weight(data, value):
    assert decode_full(line(data=data)).value == value
    assert decode_and(b"ST,GS," + data + b"kg\r\n").value == value
    assert decode_bare(data + b"\r\n").value == value


@pytest.mark.parametrize(
    ("octets", "kind"),
    [(b"", "truncated"), (b"ST,G", "truncated"), (line()[:-4], "truncated"), (line()[:9] + line()[10:], "truncated"),
     (line(data=b"0000013.5"), "bad_length"), (b"XX" + line()[2:], "bad_header"), (line(lamps=0x44), "bad_format"),
     (line(data=b"0000l3.5"), "bad_format"), (line(data=b"        "), "bad_format"),
     (line(unit=b"\x80g"), "bad_format"), (line(data=b"00.013.5"), "bad_format"),
     (line()[:13] + b";" + line()[14:], "bad_format")],
)  # fmt: skip
def test_what_is_not_the_22_octets_is_refused(octets, kind):
    with pytest.raises(FrameError, match=kind):
        decode_full(octets)


@pytest.mark.parametrize(
    ("octets", "state", "mode", "value", "unit"),
    [
        (b"ST,GS,+0004.876kg\r\n", "stable", "gross", 4.876, "kg"),
        (b"ST,GS,+  4.876kg\r\n", "stable", "gross", 4.876, "kg"),
        (b"US,NT,-   0.5 kg\r\n", "unstable", "net", -0.5, "kg"),
        (b"ST,GS,    12 lb\r\n", "stable", "gross", 12, "lb"),
        (b"ST,NT,+ 1234.5  g \r\n", "stable", "net", 1234.5, "g"),
        (b"OL,GS,        kg\r\n", "overload", "gross", None, "kg"),
        (b"OL,GS,--------kg\r\n", "overload", "gross", None, "kg"),
        (b"OL,GS,+0012.5kg\r\n", "overload", "gross", None, "kg"),
        (b"OL,GS,\r\n", "overload", "gross", None, None),
    ],
)
def test_the_18_octets_and_their_clones(octets, state, mode, value, unit):
    assert decode_and(octets) == decode_line(octets) == CasWeighing(state, mode, value, unit)


@pytest.mark.parametrize("octets", [b"ST,GS,+0004.876", b"ST,GS,kg", b"ST,GS,+00x4.87kg", b"GS,+0004.876kg", b"ST,GS,"])
def test_what_is_no_18_octets_is_refused(octets):
    with pytest.raises(FrameError):
        decode_and(octets + b"\r\n")


def test_a_reading():
    (reading,), faults = read(GOOD_LINE)
    assert (reading.metric, reading.values, reading.units) == ("body_weight", {"weight": 13.5}, {"weight": "kg"})
    assert (reading.flags, reading.quality, faults) == (("gross",), GOOD, {})


@pytest.mark.parametrize(
    ("octets", "flags", "quality"),
    [
        (line(b"US", lamps=0x84), ("weight:unstable", "gross"), UNCERTAIN),
        (line(lamps=0x84), ("weight:unstable", "gross"), UNCERTAIN),  # lamp and header contradict: the doubt wins
        (line(mode=b"NT", lamps=0xC2), ("net", "tare"), GOOD),
        (line(lamps=0xD4), ("gross", "hold"), GOOD),
        (line(lamps=0xC5), ("gross", "zero"), GOOD),
        (line(b"OL", data=b"--------"), ("weight:over-range", "gross"), BAD),
        (line(b"OL"), ("weight:over-range", "gross"), BAD),  # whatever number stands there
    ],
)
def test_flags(octets, flags, quality):
    (reading,), _ = read(octets)
    assert (reading.flags, reading.quality) == (flags, quality)
    assert bool(reading.values) is (quality != BAD)


def test_a_bare_weight_has_the_unit_of_the_settings_or_none():
    (reading,), _ = read(b"00072.35\r\n", unit="kg")
    assert (reading.values, reading.units, reading.flags) == (
        {"weight": 72.35},
        {"weight": "kg"},
        ("stability-unknown",),
    )
    (reading,), _ = read(b"00072.35\r\n")
    assert (reading.metric, reading.values, reading.units) == ("reading", {"value": 72.35}, {})
    assert "unit-unknown" in reading.flags


def test_a_cut_first_line_is_neither_counted_nor_taken_for_a_bare_weight():
    decoder = CasScale(CasOptions(unit="kg")).decoder()
    assert decoder.feed(b"00072.35\r\n") == []
    assert len(decoder.feed(b"00072.35\r\n")) == 1
    assert decoder.faults.total == 0
    whole = CasScale().decoder()
    assert len(whole.feed(GOOD_LINE)) == 1


def test_bad_lines_are_counted_and_others_go_on():
    readings, faults = read(GOOD_LINE, line(lamps=0x44), b"hello, scale\r\n", GOOD_LINE)
    assert len(readings) == 2
    assert sum(faults.values()) == 2


def test_one_form_only():
    assert read(GOOD_LINE, b"ST,GS,+0004.876kg\r\n", format="22")[1] == {"truncated": 1}
    assert len(read(GOOD_LINE, b"ST,GS,+0004.876kg\r\n", format="18")[0]) == 1


def test_units_that_are_no_mass_are_no_weight():
    (reading,), _ = read(b"ST,GS,+0004.876ct\r\n")
    assert (reading.metric, reading.values) == ("reading", {"carat": 4.876})


def test_the_relay_form():
    assert decode_full(line(relays=b"\x05")).relays == 5


def test_encoding_is_the_other_way_round():
    for weighing in (
        CasWeighing("stable", "gross", 72.5, "kg", 49, True, False, False, True, False, False),
        CasWeighing("unstable", "net", 3.5, "t", 50, False, True, True, False, True, True),
        CasWeighing("overload", "gross", None, "kg", 49, True, False, False, True, False, False),
    ):
        assert decode_full(encode_full(weighing)) == weighing


@pytest.mark.parametrize("form", ["22", "18", "10"])
def test_the_twin_prints_every_form(form):
    options = CasOptions(format=form, unit="kg")
    twin, decoder = CasScale.twin(options, seed=1), CasScale(options).decoder()
    found = [item for _ in range(300) for item in decoder.feed(twin.tick())]
    assert len(found) >= 299
    assert {reading.quality for reading in found} == ({GOOD} if form == "10" else {GOOD, UNCERTAIN})
    assert decoder.faults.total == 0
