"""Which driver understands what was heard: every twin that speaks by itself is known for what it is."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from gatepost.drivers.driver import Registry, SerialSettings
from gatepost.drivers.scan.candidates import all_of, by_line, line_keys
from gatepost.drivers.scan.driver_matcher import LIKELY, SURE, DriverMatcher
from gatepost.drivers.scan.naming import device_id
from gatepost.drivers.scan.text_options_guesser import guess
from gatepost.drivers.serial.lines.driver import LinesDecoder
from gatepost.drivers.serial.lines.options import LinesOptions

REGISTRY = Registry.installed()
GROUPS = by_line(REGISTRY)
EVERYBODY = all_of(GROUPS)
TEXT = SerialSettings(9600)


def said(name, seconds=4.0, **options):
    kind = REGISTRY.get(name)
    twin = kind.twin(msgspec.convert(options, kind.options_type) if options else None, 1)
    return [twin.tick() for _ in range(math.ceil(seconds / twin.interval))]


def judged(pieces):
    judge = DriverMatcher(EVERYBODY, TEXT)
    for piece in pieces:
        judge.feed(piece)
    return judge


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("and-scale", {}),
        ("cas-scale", {}),
        ("cas-scale", {"format": "18"}),
        ("contec-cms50d-plus", {}),
        ("healthypi", {}),
        ("mt-sics", {"mode": "stream"}),
        ("nmea0183", {}),
        ("nonin", {"format": 2}),
        ("nonin", {"format": 7}),
        ("oximeter-ascii", {}),
        ("oximeter-ascii", {"dialect": "masimo"}),
        ("oximeter-ascii", {"dialect": "nellcor"}),
        ("protocentral-ads1292r", {}),
        ("lines", {}),
        ("lines", {"format": "keyvalue"}),
        ("lines", {"format": "csv", "columns": ["a", "b"]}),
    ],
)
@pytest.mark.parametrize("skipped", [0, 7])
def test_who_speaks_is_known(name, options, skipped):
    """Also when listening begins in the middle."""
    octets = b"".join(said(name, **options))[skipped:]
    judge = judged(octets[i : i + 50] for i in range(0, len(octets), 50))
    best = judge.verdicts()[0]
    assert (best.driver, best.certainty, best.faults) == (name, SURE, 0)
    assert judge.sure


def test_a_single_result_is_no_certainty():
    best = judged(said("and-ua767pc", 1)).verdicts()[0]
    assert (best.driver, best.certainty) == ("and-ua767pc", LIKELY)


def test_an_enquiry_tells_an_analyser_and_one_among_other_octets_does_not():
    """Glucose meters and laboratory analysers begin alike: both drivers are named."""
    assert {verdict.driver for verdict in judged([b"\x05"]).verdicts()} == {"astm-analyser", "astm-glucose"}
    assert judged([bytes(range(0x80, 0xA0)) + b"\x05" + bytes(range(0xC0, 0xE0))]).verdicts() == []


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_nobody(seed):
    judge = judged([random.Random(seed).randbytes(3000)])
    assert not judge.sure
    assert judge.sample == ""


def test_bare_numbers_may_be_a_scale_but_lines_they_are():
    drivers = [verdict.driver for verdict in judged(said("cas-scale", format="10")).verdicts()]
    assert drivers == ["lines", "cas-scale"]


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ('{"t": 23.5, "h": 41}', {"format": "json"}, ("t", 23.5)),
        ("23.5", {"format": "json"}, ("value", 23.5)),
        ("t=23.5 h=41", {"format": "keyvalue"}, ("t", 23.5)),
        ("Temperature: 23.5, Humidity: 41", {"format": "keyvalue"}, ("Temperature", 23.5)),
        ("Room temp: 23.5, Room hum: 41", {"format": "keyvalue", "delimiter": ","}, ("Room temp", 23.5)),
        ("23.5,41", {"format": "csv", "columns": ["column_1", "column_2"]}, ("column_1", 23.5)),
        ("23.5;41;ok", {"format": "csv", "columns": ["column_1", "column_2", "column_3"], "delimiter": ";"}, None),
        ("23.5\t41", {"format": "csv", "columns": ["column_1", "column_2"], "delimiter": "\t"}, ("column_2", 41)),
    ],
)
def test_the_form_of_lines_is_guessed(text, options, value):
    lines = [text.replace("23.5", f"23.{i}") if i != 5 else text for i in range(10)]
    data = "\r\n".join([text[-3:], *lines, text[:3]]).encode()  # cut at both ends
    found = guess(data)
    assert found is not None
    assert found.options == options
    if value is not None:
        (reading,) = LinesDecoder(msgspec.convert(found.options, LinesOptions)).feed(f"{text}\n".encode())
        assert reading.values[value[0]] == value[1]


def test_a_heading_names_the_columns():
    found = guess(b"time,temp,hum\n1,23.5,41\n2,23.6,41\n3,23.7,42\n")
    assert found is not None
    assert found.options["columns"] == ["time", "temp", "hum"]


def test_words_around_numbers_become_a_pattern():
    found = guess(b"Temp 23.5 C, pressure 1013 hPa\n" * 3)
    assert found is not None
    assert found.options["format"] == "regex"
    (reading,) = LinesDecoder(msgspec.convert(found.options, LinesOptions)).feed(b"Temp 21.0 C, pressure 990 hPa\n")
    assert reading.values == {"temp": 21.0, "pressure": 990}


@pytest.mark.parametrize(
    "data", [b"", b"hello\nworld\nhow are you\n", b"\xff\x00" * 50, b"boot ok, waiting", b"{}\n{}\n"]
)
def test_what_holds_no_numbers_has_no_form(data):
    assert guess(data) is None


def test_text_without_a_driver_is_shown():
    judge = judged([b"rt\r\nready to measure\r\nrea"])
    assert judge.verdicts() == []
    assert judge.sample == "ready to measure"


def test_line_settings_are_told_only_where_they_differ():
    assert line_keys(SerialSettings(9600, 8, "N", 1), SerialSettings(9600)) == {}
    assert line_keys(SerialSettings(115200, 7, "E"), SerialSettings(9600)) == {
        "baudrate": 115200,
        "bytesize": 7,
        "parity": "E",
    }


def test_every_line_setting_is_tried_once():
    assert len({(line.baudrate, line.bytesize, line.parity) for line in GROUPS}) == len(GROUPS)
    assert {one.driver.name for one in GROUPS[SerialSettings(9600)]} >= {
        "and-ua767pc",
        "nonin",
    }  # two stop bits, and one
    assert "modbus-rtu" not in {one.driver.name for one in EVERYBODY}  # nothing is heard without knowing its registers


def wave(data, line):
    """The levels of the line, one for each bit."""
    for octet in data:
        bits = [octet >> place & 1 for place in range(line.bytesize)]
        parity = {"N": [], "E": [sum(bits) & 1], "O": [1 - (sum(bits) & 1)]}[line.parity]
        yield from (0, *bits, *parity, 1)


def resampled(levels, rate, line):
    """What a receiver with the settings `line` takes them for."""
    out, at, bit = bytearray(), 0.0, rate / line.baudrate

    def level(when):
        return levels[int(when)] if when < len(levels) else 1

    while at < len(levels):
        if level(at):
            at += bit / 8
            continue
        out.append(sum(level(at + bit * (1.5 + place)) << place for place in range(line.bytesize)))
        at += bit * (1.5 + line.bytesize + (line.parity != "N"))
    return bytes(out)


@pytest.mark.parametrize(
    "name", ["and-scale", "cas-scale", "contec-cms50d-plus", "nmea0183", "nonin", "oximeter-ascii", "lines"]
)
def test_with_wrong_line_settings_nobody_is_found(name):
    driver = REGISTRY.get(name)
    levels = list(wave(b"".join(said(name, 2.0))[:600], driver.line))
    found = {}
    for line, candidates in GROUPS.items():
        judge = DriverMatcher(candidates, line)
        judge.feed(resampled(levels, driver.line.baudrate, line))
        if verdicts := judge.verdicts():
            found[line] = verdicts[0].driver
    assert found == {driver.line: name}


def test_names_are_valid_and_each_only_once():
    assert device_id(("Polar H10 1A2B", "3C4D"), ()) == "polar-h10-1a2b-3c4d"
    assert device_id(("nonin", ""), {"nonin", "nonin-2"}) == "nonin-3"
    assert device_id(("Größe/1", "x" * 90), ()) == f"gr-e-1-{'x' * 90}"[:48].strip("-")
    assert device_id(("", "***"), ()) == "device"
    assert device_id(("gateway",), ()) == "gateway-2"
