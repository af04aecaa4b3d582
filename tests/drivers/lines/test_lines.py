import json
import math
import time

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN
from gatepost.drivers.serial.lines.driver import CUT, Lines, LinesDecoder, LinesOptions


def options(**settings):
    return msgspec.convert(settings, LinesOptions)


def decode(text, first="", **settings):
    """Readings and faults of these lines, after a first one that is not looked at."""
    decoder = LinesDecoder(options(**settings))
    decoder.feed(first.encode() + b"\n")
    data = text if isinstance(text, bytes) else text.encode()
    return decoder.feed(data + b"\n"), decoder.faults.counts


def values(text, **settings):
    readings, faults = decode(text, **settings)
    assert faults == {}
    return [reading.values for reading in readings]


# JSON


def test_json_members_under_their_own_names():
    (reading,), faults = decode('{"t": 23.5, "on": true, "state": "ok", "n": 7, "list": [1, 2.5]}')
    assert reading.values == {"t": 23.5, "on": True, "state": "ok", "n": 7, "list": [1, 2.5]}
    assert (reading.metric, reading.units, reading.flags, reading.quality) == ("reading", {}, (), GOOD)
    assert faults == {}


def test_nested_members_are_not_taken_by_themselves():
    assert values('{"a": {"b": 1}, "c": 2, "d": [{"e": 1}], "f": []}') == [{"c": 2}]


def test_a_number_alone_and_a_list_of_numbers():
    assert values("512") == [{"value": 512}]
    assert values("[1, 2]") == [{"value": [1, 2]}]


@pytest.mark.parametrize("line", ["{", "{'a': 1}", '{"a": 1', "booting...", '{"a": 1} x'])
def test_what_is_no_json_is_counted(line):
    readings, faults = decode(line + '\n{"a": 1}')
    assert [reading.values for reading in readings] == [{"a": 1}]
    assert faults == {"not-json": 1}


@pytest.mark.parametrize("line", ['"text"', "true", "null", '["a"]', "[]", "[true]"])
def test_json_that_is_no_object_is_counted(line):
    assert decode(line) == ([], {"not-an-object": 1})


@pytest.mark.parametrize("line", ["booting...", "[]", '{"a": {}}'])
def test_a_fault_is_explained_without_the_line(line):
    decoder = LinesDecoder(options())
    decoder.feed(b"\n" + line.encode() + b"\n")
    assert decoder.faults.last.startswith("a line ")
    assert line not in decoder.faults.last


def test_an_object_without_anything_usable_is_counted():
    assert decode('{"a": {"b": 1}}') == ([], {"no-values": 1})


@pytest.mark.parametrize(
    "spelled", ["nan", "NaN", "-nan", "Infinity", "-inf", "null", '"--"', '"nan"', '""', '"---.-"']
)
def test_no_value_is_left_out_and_flagged(spelled):
    (reading,), faults = decode(f'{{"t": {spelled}, "h": 40}}')
    assert reading.values == {"h": 40}
    assert reading.flags == ("t:nan",)
    assert reading.quality == GOOD
    assert faults == {}


@pytest.mark.parametrize(
    ("name", "word"), [("hr 1", "hr 1"), ("höhe", "value"), ("\\u0000", "value"), ("a:b", "value"), ("x" * 65, "value")]
)
def test_a_flag_has_a_word_whatever_the_device_calls_its_value(name, word):
    (reading,), _ = decode(f'{{"{name}": null, "t": 1}}')
    assert reading.flags == (f"{word}:nan",)


def test_a_line_of_nothing_but_missing_values_is_a_bad_reading():
    (reading,), faults = decode('{"t": null}')
    assert (reading.values, reading.flags, reading.quality, faults) == ({}, ("t:nan",), BAD, {})


def test_what_is_read_can_always_be_written_as_json():
    big = "9" * 400
    for line in ('{"a": 1e308}', f'{{"a": {"9" * 40}}}', '{"a": -0.0}'):
        (reading,), _ = decode(line)
        orjson.dumps(reading.values)
    for text in ("1e300", "1e308", "9" * 40, "0x10", "1_000", "-9223372036854775808", big):
        readings, _ = decode(f"a={text}", format="keyvalue", fields={"a": {"scale": 10}})
        for reading in readings:
            orjson.dumps(reading.values)
            assert all(math.isfinite(value) for value in reading.values.values())


@pytest.mark.parametrize("digits", ["18446744073709551616", "-9223372036854775809", "9" * 5000, "1e400", "-1E999"])
def test_a_json_number_that_cannot_be_kept_as_it_is_has_no_value(digits):
    why = "under-range" if digits.startswith("-") else "over-range"
    (reading,), faults = decode(f'{{"a": {digits}, "t": 36.6}}', max_line=8192)
    assert (reading.values, reading.flags, faults) == ({"t": 36.6}, (f"a:{why}",), {})
    (reading,), _ = decode(f'{{"a": [1, {digits}], "/": 1}}', max_line=8192)
    assert (reading.values, reading.flags) == ({"/": 1}, (f"a:{why}",))
    (reading,), _ = decode(f'{{"x": {{"a": {digits}}}}}', fields={"/x/a": {"scale": 2}}, max_line=8192)
    assert (reading.values, reading.flags, reading.quality) == ({}, (f"a:{why}",), BAD)
    (reading,), _ = decode(digits, max_line=8192)
    assert reading.flags == (f"value:{why}",)


@pytest.mark.parametrize(
    "digits",
    ["18446744073709551615", "-9223372036854775808", "9007199254740993", "1e20", "0.30000000000000004", "-0.0"],
)
@pytest.mark.parametrize("line", ['{"a": %s}', '{"a": %s, "b": 1e300}'])
def test_every_other_number_comes_out_as_it_came_in(digits, line):
    (reading,), _ = decode(line % digits)
    assert str(reading.values["a"]) == str(float(digits) if "." in digits or "e" in digits else int(digits))
    (reading,), _ = decode(f"a={digits}", format="keyvalue")
    assert str(reading.values["a"]) == str(float(digits) if "." in digits or "e" in digits else int(digits))


@pytest.mark.parametrize("digits", ["18446744073709551616", "89490200001234567890", "-9223372036854775809", "1e400"])
def test_digits_of_a_text_that_are_too_many_for_a_number_stay_text(digits):
    (reading,), _ = decode(f"a={digits} t=1", format="keyvalue")
    assert (reading.values, reading.flags) == ({"a": digits, "t": 1}, ())
    (reading,), _ = decode(f"a={digits}", format="keyvalue", fields={"a": {"scale": 10}})
    assert (reading.values, reading.flags) == ({}, ("a:not-a-number",))


def test_a_scaled_integer_beyond_64_bits_has_no_value():
    (reading,), _ = decode('{"a": 18446744073709551615}', fields={"a": {"scale": 10}})
    assert (reading.values, reading.flags) == ({}, ("a:over-range",))


def test_deep_and_odd_json_beside_a_large_number_is_no_line():
    for odd in ('"\\ud800"', "[" * 900 + "]" * 900, "01"):
        readings, faults = decode(f'{{"a": 1e400, "b": {odd}}}')
        assert (readings, faults) == ([], {"not-json": 1})


def test_octets_that_are_not_utf8_are_replaced_and_counted():
    (reading,), faults = decode(b'{"a": 1, "s": "\xb0C"}')
    assert reading.values == {"a": 1, "s": "\ufffdC"}
    assert faults == {"encoding": 1}


def test_another_encoding():
    assert values(b'{"s": "\xb0C"}', encoding="latin-1") == [{"s": "\u00b0C"}]


def test_json_pointers_reach_nested_members():
    fields = {"/data/0/t": {"name": "t", "unit": "Cel"}, "/a~1b": {"name": "ab"}, "/none/x": {}}
    (reading,), _ = decode('{"data": [{"t": 21.5}], "a/b": 3}', fields=fields, others="drop")
    assert reading.values == {"t": 21.5, "ab": 3}
    assert reading.units == {"t": "Cel"}
    assert reading.flags == ()


# Mapping


def test_name_unit_and_scale():
    fields = {"t": {"name": "temperature", "unit": "Cel", "scale": 0.1}}
    (reading,), _ = decode('{"t": 235, "n": 1}', metric="environment", fields=fields)
    assert reading.metric == "environment"
    assert reading.values == {"temperature": 23.5, "n": 1}
    assert reading.units == {"temperature": "Cel"}


def test_others_can_be_dropped():
    assert values('{"t": 1, "n": 1}', fields={"t": {}}, others="drop") == [{"t": 1}]
    assert values('{"t": 1}', others="drop", fields={"t": {"name": "x"}}) == [{"x": 1}]


def test_a_mapped_name_belongs_to_its_field():
    fields = {"t": {"name": "temperature", "scale": 0.1}}
    for line in ('{"t": 235, "temperature": 99}', '{"temperature": 99, "t": 235}'):
        assert values(line, fields=fields) == [{"temperature": 23.5}]


def test_a_line_without_any_wanted_member_is_counted():
    assert decode('{"n": 1}', fields={"t": {}}, others="drop") == ([], {"no-values": 1})


@pytest.mark.parametrize(
    ("value", "scale", "offset", "expected"),
    [
        (235, 0.1, None, 23.5),
        (3, 0.1, None, 0.3),
        (7, 0.01, None, 0.07),
        (0.7, 0.1, None, 0.07),
        (1.1, 1.1, None, 1.21),
        (273.16, None, -273.15, 0.01),
        (29816, 0.01, -273.15, 25.01),
        (5, 2, 1, 11),
        (1, 1e-7, None, 1e-7),
        (2, 1 / 3, None, 2 / 3),
    ],
)
def test_scaling_leaves_no_noise(value, scale, offset, expected):
    field = {"scale": scale, "offset": offset}
    ((found,),) = (tuple(v.values()) for v in values(f'{{"v": {value}}}', fields={"v": field}))
    assert repr(found) == repr(expected) or (found == expected and isinstance(expected, int) == isinstance(found, int))


def test_text_becomes_a_number_where_a_unit_or_scale_says_so():
    assert values('{"t": "023.5", "id": "007"}', fields={"t": {"unit": "Cel"}}) == [{"t": 23.5, "id": "007"}]


def test_text_that_cannot_be_scaled_is_flagged():
    (reading,), _ = decode('{"t": "warm", "on": true}', fields={"t": {"scale": 2}, "on": {"scale": 2}})
    assert reading.flags == ("t:not-a-number", "on:not-a-number")


def test_lists_are_scaled():
    assert values('{"v": [1, 2]}', fields={"v": {"scale": 0.5}}) == [{"v": [0.5, 1.0]}]


@pytest.mark.parametrize("spelled", ["-127", "-127.0", '"err"', '"-127"', "85.0"])
def test_invalid_values(spelled):
    field = {"invalid": [-127, "err"], "invalid_pattern": r"85(\.0+)?", "unit": "Cel"}
    (reading,), _ = decode(f'{{"t": {spelled}, "n": 1}}', fields={"t": field})
    assert reading.values == {"n": 1}
    assert reading.flags == ("t:invalid",)
    assert reading.units == {}


def test_units_do_not_change_under_a_reading():
    decoder = LinesDecoder(options(fields={"a": {"unit": "V"}, "b": {"unit": "A"}}))
    both, one = decoder.feed(b'{"a": 1, "b": 2}\n{"a": 1}\n')
    assert both.units == {"a": "V", "b": "A"}
    assert one.units == {"a": "V"}


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        ('"2026-11-20T10:29:58"', "2026-11-20T10:29:58"),
        ('"2026-11-20 10:29:58"', "2026-11-20T10:29:58"),
        ('"2026-11-20T10:29:58+01:00"', "2026-11-20T09:29:58"),
        ("1795170598", "2026-11-20T10:29:58"),
        ("1795170598500", "2026-11-20T10:29:58.500000"),
    ],
)
def test_device_time(spelled, expected):
    (reading,), _ = decode(f'{{"t": 1, "ts": {spelled}}}', device_time="ts")
    assert reading.device_time == expected
    assert reading.values == {"t": 1}


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_device_time_beyond_the_calendar_is_unreadable(edge):
    (reading,), _ = decode(f'{{"t": 1, "ts": "{edge}"}}', device_time="ts")
    assert reading.device_time is None
    assert "device_time:unreadable" in reading.flags


def test_device_time_of_a_form_of_its_own():
    (reading,), _ = decode(
        '{"t": 1, "m": {"ts": "20/11/26 10:29"}}', device_time="/m/ts", device_time_format="%d/%m/%y %H:%M"
    )
    assert reading.device_time == "2026-11-20T10:29:00"


@pytest.mark.parametrize("spelled", ['"soon"', "1e300", "true", "null"])
def test_device_time_that_cannot_be_read(spelled):
    (reading,), _ = decode(f'{{"t": 1, "ts": {spelled}}}', device_time="ts")
    assert reading.device_time is None
    assert reading.flags == ("device_time:unreadable",)


# key=value, CSV, regular expressions


@pytest.mark.parametrize(
    "line", ["t=23.5 h=41", "t: 23.5, h: 41", "t=23.5;h=41", "  t = 23.5   h = 41 ", "t=23.5,h=41,", 't="23.5" h="41"']
)
def test_keyvalue(line):
    assert values(line, format="keyvalue") == [{"t": 23.5, "h": 41}]


def test_keyvalue_with_a_line_of_blanks_is_read_at_once():
    assert values("a =" + " " * 900_000 + "1 b : c", format="keyvalue", max_line=1_000_000) == [{"a": 1}]
    assert values("a=1" + " " * 900_000 + "b", format="keyvalue", max_line=1_000_000) == [{"a": 1}]


def test_keyvalue_words():
    assert values("state=OK on=true n=007 at=10:30", format="keyvalue") == [
        {"state": "OK", "on": True, "n": 7, "at": "10:30"}
    ]


def test_keyvalue_with_its_own_marks():
    assert values("a b->1|c->x y", format="keyvalue", delimiter="|", separator="->") == [{"a b": 1, "c": "x y"}]


def test_keyvalue_without_a_pair_is_counted():
    assert decode("hello world", format="keyvalue") == ([], {"no-pairs": 1})


def test_keyvalue_dashes_mean_no_value():
    (reading,), _ = decode("SPO2=--- HR=072", format="keyvalue")
    assert (reading.values, reading.flags) == ({"HR": 72}, ("SPO2:nan",))


CSV = {"format": "csv", "columns": ["t", "", "h"]}


def test_csv():
    assert values("23.5,skip, 41\r\n-1e2,,0", **CSV) == [{"t": 23.5, "h": 41}, {"t": -100.0, "h": 0}]
    assert values('"23.5","a,b","41"', **CSV) == [{"t": 23.5, "h": 41}]
    assert values("1;2;3", delimiter=";", **CSV) == [{"t": 1, "h": 3}]
    assert values("1  2 3", delimiter=" ", **CSV) == [{"t": 1, "h": 3}]
    assert values("1\t2\t3", delimiter="\t", **CSV) == [{"t": 1, "h": 3}]
    assert values("1,2,3,", **CSV) == [{"t": 1, "h": 3}]


def test_csv_with_too_few_or_too_many_columns_is_counted():
    assert decode("1,2\n1,2,3,4\n1", **CSV) == ([], {"columns": 3})


def test_csv_header_is_skipped():
    assert values("T,H\n1,2", format="csv", columns=["t", "h"]) == [{"t": 1, "h": 2}]


def test_csv_with_an_empty_cell():
    (reading,), _ = decode("1,x,", **CSV)
    assert (reading.values, reading.flags) == ({"t": 1}, ("h:nan",))


def test_regex():
    pattern = r"T=(?P<t>[-\d.]+)C(?: H=(?P<h>\d+))?"
    assert values("> T=23.5C H=41 ok\nT=-1C", format="regex", pattern=pattern) == [{"t": 23.5, "h": 41}, {"t": -1}]
    assert decode("nothing", format="regex", pattern=pattern) == ([], {"no-match": 1})


def test_a_line_end_of_its_own():
    decoder = LinesDecoder(options(format="keyvalue", line_end="\x03", first_line="keep"))
    assert [reading.values for reading in decoder.feed(b"a=1\x03a=2\x03")] == [{"a": 1}, {"a": 2}]


# The first line after opening


def test_a_first_line_that_lost_its_beginning_is_no_fault():
    decoder = LinesDecoder(options())
    assert decoder.feed(b'5, "h": 40}\n') == []
    assert decoder.faults.counts == {}
    assert decoder.feed(b'5, "h": 40}\n') == []
    assert decoder.faults.counts == {"not-json": 1}


def test_a_first_json_object_is_whole():
    (reading,) = LinesDecoder(options()).feed(b'{"t": 1}\n')
    assert (reading.quality, reading.flags) == (GOOD, ())


def test_a_first_line_that_cannot_be_told_whole_is_marked():
    decoder = LinesDecoder(options(format="csv", columns=["t"]))
    first, second = decoder.feed(b"3.5\n23.5\n")
    assert (first.values, first.quality, first.flags) == ({"t": 3.5}, UNCERTAIN, (CUT,))
    assert (second.quality, second.flags) == (GOOD, ())


def test_a_first_line_can_be_kept_or_skipped():
    (kept,) = LinesDecoder(options(format="csv", columns=["t"], first_line="keep")).feed(b"3.5\n")
    assert (kept.quality, kept.flags) == (GOOD, ())
    assert LinesDecoder(options(format="csv", columns=["t"], first_line="skip")).feed(b"3.5\n") == []


# Options


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"format": "xml"}, "xml"),
        ({"format": "csv"}, "columns"),
        ({"format": "csv", "columns": ["a", "a"]}, "twice"),
        ({"format": "csv", "columns": ["a"], "delimiter": "::"}, "one character"),
        ({"format": "regex"}, "named groups"),
        ({"format": "regex", "pattern": "("}, "no regular expression"),
        ({"fields": {"t": {"invalid_pattern": "["}}}, "fields.t.invalid_pattern"),
        ({"fields": {"t": {"factor": 2}}}, "factor"),
        ({"fields": {"t": {"scale": math.inf}}}, "finite"),
        ({"fields": {"a": {"name": "x"}, "/b/x": {}}}, "same name"),
        ({"encoding": "klingon"}, "klingon"),
        ({"max_line": 0}, "max_line"),
        ({"delimiter": ""}, "empty"),
        ({"colums": []}, "colums"),
    ],
)
def test_wrong_options_are_refused_with_the_reason(settings, says):
    with pytest.raises(msgspec.ValidationError, match=says):
        options(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"fields": {"t": {"name": "temperature"}}},
        {"format": "keyvalue"},
        {"format": "csv", "columns": ["a", "b"]},
        {"format": "regex", "pattern": r"^T=(?P<t>[-\d.]+)\s+H=(?P<h>\S+)$"},
    ],
)
def test_the_twin_speaks_what_the_decoder_reads(settings):
    chosen = options(**settings)
    twin, decoder = Lines.twin(chosen, seed=3), Lines(chosen).decoder()
    readings = [reading for _ in range(20) for reading in decoder.feed(twin.tick())]
    assert len(readings) == 20
    assert decoder.faults.total == 0
    assert all(reading.values for reading in readings)


def test_the_text_of_a_fault_never_holds_the_line():
    decoder = LinesDecoder(options())
    decoder.feed(b"\nsecret-patient-name\n")
    assert "secret" not in decoder.faults.last


@pytest.mark.parametrize("pattern", [r"^(?P<a>(a+)+)$", r"(?P<a>.*) (?P<b>.*) (?P<c>.*)x", r"^(?P<a>(a|a)*)$"])
def test_no_pattern_freezes_the_loop_whatever_the_line(pattern: str) -> None:
    options = LinesOptions(format="regex", pattern=pattern, first_line="keep")
    decoder = LinesDecoder(options)
    decoder.feed(b"\n")
    began = time.process_time()
    for line in (b"a" * 28 + b"!\n", b" " * 4000 + b"!\n", b"a" * 4000 + b"!\n"):
        assert decoder.feed(line) == []
    assert time.process_time() - began < 1.0
    assert decoder.faults.total == 3


@given(
    st.dictionaries(
        st.sampled_from(["", "a", "b", "c"]),
        st.one_of(
            st.integers(-(1 << 70), 1 << 70),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.none(),
            st.text(max_size=3),
            st.lists(st.integers(0, 3), max_size=2),
        ),
    )
)
def test_numbers_as_they_are_read_as_any_other_line_is(members):
    line = json.dumps(members).encode()
    careful = LinesDecoder(options())
    careful._plain = None
    found = []
    for decoder in (LinesDecoder(options()), careful):
        decoder.feed(b"\n{}\n")
        told = [(one.metric, repr(one.values), one.units, one.flags) for one in decoder.feed(line + b"\n")]
        found.append((told, decoder.faults.counts))
    assert found[0] == found[1]
