"""Files that are wrong as YAML, or that two YAML readers would read differently."""

from __future__ import annotations

import tracemalloc

import pytest

from gatepost.agent.settings.problem import DEFAULT
from gatepost.agent.settings.yaml.nodes import ScalarNode

from .conftest import told

DEVICE = "devices: {p: {driver: printer, port: /dev/p}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("store:\n\tkeep: 1d\n", ["2:1 tab "]),
        ("store:\n  keep: 1d\n\treserve: 1MB\n  max_sise: 1GB\n", ["3:1 tab ", "4:3 unknown-key store.max_sise"]),
        ("store: {keep: 1d\n", ["1:8 yaml "]),
        ("store: [1, 2\n", ["1:8 yaml ", "1:8 wrong-type store"]),
        ("store:\n  keep: a: b\n  kep: 1\n", ["2:10 yaml ", "3:3 unknown-key store.kep"]),
        ("gateway:\n  id: 'x\n", ["2:7 yaml "]),
        ("gateway:\n  id: @x\n", ["2:7 yaml "]),
        ("a: *x\n", ["1:4 alias a"]),
        ("- a\n", ["1:1 wrong-type "]),
        ("hello\n", ["1:1 wrong-type "]),
        ("store: {}\n---\nstore: {}\n", ["2:1 several-documents "]),
        ("? [a]\n: b\nstore: {kep: 1}\n", ["1:3 bad-key ", "3:9 unknown-key store.kep"]),
        ("gateway: {id: !secret x}\n", ["1:15 tag gateway.id"]),
        (b"gateway:\n  id: caf\xe9\n", ["2:10 not-utf-8 ", "2:7 bad-pattern gateway.id"]),
        ("gateway: {}".encode("utf-16"), ["1:1 not-utf-8 "]),
        ("gateway: {id: a\x01b}\n", ["1:16 control-character "]),
        (
            'gateway: {labels: {a: "\\ud800", "\\udc00": b}}\n',
            ["1:23 half-character gateway.labels.a", "1:33 half-character gateway.labels"],
        ),
        ("store: {keep: 1d}\nstore: {kep: 2d}\n", ["2:1 duplicate-key store", "2:9 unknown-key store.kep"]),
        ("store: {keep: 1d, keep: 2d}\n", ["1:19 duplicate-key store.keep"]),
    ],
)
def test_each_fault_is_named_where_it_stands_and_reading_goes_on(read, text, expected):
    assert sorted(told(read(text))) == sorted(expected)


def test_a_duplicate_names_both_places(read):
    problem = read("store:\n  keep: 1d\n  keep: 2d\n").problems[0]
    assert (problem.line, problem.column) == (3, 3)
    assert "first at line 2, column 3" in problem.message


def test_a_file_cut_short_does_not_make_up_what_is_missing(read):
    loaded = read(DEVICE + "devices_: {q: {driver: printer, brokers: [x\n")
    assert "missing" not in {problem.code for problem in loaded.problems}
    assert "unknown-broker" not in {problem.code for problem in loaded.problems}


def test_anchors_and_merge_keys_work_and_keep_their_place(read, tmp_path):
    loaded = read(
        "devices:\n"
        "  a: &base {driver: printer, port: /dev/a, every: 5s}\n"
        "  b: {<<: *base, port: /dev/b}\n"
        "  c: {port: /dev/c, <<: [*base, {patient: P-1, every: 9s}]}\n"
    )
    assert loaded.problems == []
    devices = loaded.settings.devices
    assert [device.port for device in devices.values()] == ["/dev/a", "/dev/b", "/dev/c"]
    assert [device.every for device in devices.values()] == [5, 5, 5]
    assert devices["c"].patient == "P-1"
    assert loaded.origins[("devices", "b", "every")].line == 2


def test_aliases_of_aliases_do_not_eat_the_memory(read):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    codes = {problem.code for problem in read("\n".join(lines)).problems}
    assert "too-big" in codes


def test_depth_has_a_bound_also_through_aliases(read):
    assert "too-deep" in {problem.code for problem in read("[" * 500).problems}
    nested = "".join(f"a{n}: &a{n} " + "[" * 20 + (f"*a{n - 1}" if n else "x") + "]" * 20 + "\n" for n in range(5))
    assert "too-deep" in {problem.code for problem in read(nested).problems}


def test_an_alias_inside_itself_is_a_problem(read):
    assert "1:11 alias a.b" in told(read("a: &x {b: *x}\n"))


@pytest.mark.parametrize("password", ["!S3cret", "*S3cret", "&S3cret", "!<S3cret>", "*S3cret x", "@S3cret", "%S3cret"])
def test_a_password_that_yaml_takes_for_its_own_is_not_repeated(read, password):
    found = read(f"brokers: {{b: {{url: mqtt://h, username: u, password: {password}}}}}\n").problems
    assert "S3cret" not in str(found)


@pytest.mark.parametrize("text", ["1" + ":1" * 200_000 + "x", "1" + "_1" * 200_000 + "x"])
def test_a_long_word_takes_no_memory_beyond_its_size(text):
    tracemalloc.start()
    try:
        assert ScalarNode(text, DEFAULT).trap == ""
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_huge_file_is_refused(read):
    assert told(read("#" * 600_000)) == ["1:1 too-big "]


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF"])
def test_words_that_yaml_1_1_takes_for_booleans(read, word):
    loaded = read(f"gateway: {{labels: {{a: {word}}}}}\n")
    assert told(loaded) == ["w 1:23 ambiguous-word gateway.labels.a"]
    assert loaded.settings.gateway.labels == {"a": word}
    as_bool = read(f"brokers: {{a: {{url: 'mqtt://x', commands: {word}}}}}\n").problems
    assert [problem.code for problem in as_bool] == ["not-a-bool"]
    assert f"write {'true' if word in ('yes', 'on') else 'false'}" in as_bool[0].hint


def test_such_words_as_keys(read):
    loaded = read("gateway: {labels: {no: a, 'on': b}}\n")
    assert told(loaded) == ["w 1:20 ambiguous-word gateway.labels.no"]
    assert loaded.settings.gateway.labels == {"no": "a", "on": "b"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("store: {keep: 12:30:00}", "bad-duration"),
        ("brokers: {a: {url: 'mqtt://x', window: 1:40}}", "ambiguous-number"),
        ("brokers: {a: {url: 'mqtt://x', window: 0100}}", "ambiguous-number"),
        ("brokers: {a: {url: 'mqtt://x', window: 1_00}}", "ambiguous-number"),
        ("brokers: {a: {url: 'mqtt://x', window: '100'}}", "wrong-type"),
        ("brokers: {a: {url: 'mqtt://x', commands: 'true'}}", "not-a-bool"),
        ("gateway: {labels: {a: true}}", "wrong-type"),
        ("gateway: {labels: {a: 1.10}}", "wrong-type"),
        ("gateway: {labels: {a: 1e3}}", "wrong-type"),
        ("gateway: {labels: {a: 0x1F}}", "wrong-type"),
    ],
)
def test_numbers_that_are_not_what_they_look_like_are_errors(read, text, code):
    assert [problem.code for problem in read(text).problems] == [code]


def test_ambiguous_numbers_as_text_keep_their_spelling_with_a_warning(read):
    loaded = read("gateway: {labels: {a: 0123, b: 12:30:00, c: 2024-01-01, d: 123}}")
    assert told(loaded) == ["w 1:23 ambiguous-number gateway.labels.a", "w 1:32 ambiguous-number gateway.labels.b"]
    assert loaded.settings.gateway.labels == {"a": "0123", "b": "12:30:00", "c": "2024-01-01", "d": "123"}


def test_octal_says_both_readings(read):
    problem = read("brokers: {a: {url: 'mqtt://x', window: 0100}}").problems[0]
    assert "0100 is 100 to some YAML readers and 64 to others" in problem.message
    assert "write 100" in problem.hint


def test_windows_line_ends_and_a_byte_order_mark(read):
    loaded = read(b"\xef\xbb\xbfgateway:\r\n  id: box\r\nstore:\r\n  kep: 1d\r\n")
    assert told(loaded) == ["4:3 unknown-key store.kep"]
