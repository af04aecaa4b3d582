from __future__ import annotations

import pytest

from .conftest import marked, told


def device(rest: str, driver: str = "printer") -> str:
    return f"devices: {{p: {{driver: {driver}, {rest}}}}}\n"


@pytest.mark.parametrize(
    ("text", "expected", "hint"),
    [
        (device("port: /dev/p", "»printr"), "unknown-driver devices.p.driver", "did you mean printer?"),
        (device("port: /dev/p", "»xyz"), "unknown-driver devices.p.driver", "`gatepost drivers`"),
        (device("port: /dev/p", "»broken"), "driver-broken devices.p.driver", "reinstall"),
        ("devices: {»p: {driver: clip, baudrate: 9600}}", "missing devices.p.port", "/dev/serial/by-id"),
        ("devices: {»p: {driver: radio, adapter: hci0}}", "missing devices.p.address", "AA:BB"),
        (device("address: »AA-BB", "radio"), "bad-pattern devices.p.address", "AA:BB"),
        (device("port: »ttyUSB0"), "bad-port devices.p.port", "write /dev/ttyUSB0"),
        (device("port: »'sock://x:1'"), "bad-port devices.p.port", "did you mean socket://"),
        (device("port: »'spy:///dev/x?file=/etc/hosts'"), "bad-port devices.p.port", "for example socket://"),
        (device("port: »'loop://?logging=debug'"), "bad-port devices.p.port", "takes no options; write loop://"),
        (device("port: »'socket://10.0.0.5'"), "bad-port devices.p.port", "expected socket://HOST:PORT"),
        (device("port: »'socket://10.0.0.5:70000'"), "bad-port devices.p.port", "expected socket://HOST:PORT"),
        (device("port: »'rfc2217://x?foo=1'"), "bad-port devices.p.port", "expected rfc2217://HOST:PORT"),
        (device("port: »'rfc2217://x:1?foo=1'"), "bad-port devices.p.port", "stand there: ign_set_control, poll"),
        (device("port: »'socket://u:pw@x:1'"), "bad-port devices.p.port", "must not hold a user name or password"),
        (device("port: /dev/p, stopbits: »1.2"), "bad-choice devices.p.stopbits", ""),
        (device("port: /dev/p, parity: »evn"), "bad-choice devices.p.parity", "did you mean even?"),
        ("devices:\n  p:\n  driver: »clip", "wrong-type devices.driver", "indent it further"),
        (device("port: /dev/p", "»cli"), "unknown-driver devices.p.driver", "did you mean clip or clip-7?"),
        ("devices: {»gateway: {driver: clip, port: /dev/p}}", "reserved-name devices.gateway", "another name"),
        (device("port: /dev/p, flow: »off"), "bad-choice devices.p.flow", "did you mean none?"),
        (device("port: /dev/p, brokers: [»x]"), "unknown-broker devices.p.brokers.0", "configured: nothing"),
        (device("port: /dev/p, brokers: »[]"), "w no-broker devices.p.brokers", "every broker"),
        (device("port: /dev/p, address: »'AA:BB:CC:DD:EE:FF'"), "w no-effect devices.p.address", "remove"),
        (device("port: /dev/p, thresholds: {»a: {min: 5, max: 5}}"), "bad-threshold devices.p.thresholds.a", "exch"),
        (device("port: /dev/p, thresholds: {»a: {}}"), "w no-effect devices.p.thresholds.a", "add one"),
        (device("port: /dev/p, thresholds: {a: {max: 5, »mix: 5}}"), "unknown-key devices.p.thresholds.a.mix", "did"),
    ],
)
def test_rules(read, text, expected, hint):
    text, place = marked(text)
    loaded = read(text)
    assert told(loaded) == [f"{'w ' if expected.startswith('w ') else ''}{place} {expected.removeprefix('w ')}"]
    assert hint in f"{loaded.problems[0].message}; {loaded.problems[0].hint}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{format: »jsn}", "bad-choice devices.p.options.format"),
        ("{»metrc: x}", "unknown-key devices.p.options.metrc"),
        ("{fields: {»t: {scale: 2}}}", "missing devices.p.options.fields.t.name"),
        ("{fields: {t: {name: x, scale: »010}}}", "ambiguous-number devices.p.options.fields.t.scale"),
        ("{pause: »5}", "bad-duration devices.p.options.pause"),
        ("{pause: »2m}", "out-of-range devices.p.options.pause"),
        ("»[a]", "wrong-type devices.p.options"),
        ("{columns: [a, »1.5]}", "wrong-type devices.p.options.columns.1"),
        ("{format: csv, columns: »[]}", "bad-option devices.p.options.columns"),
    ],
)
def test_options_are_judged_by_the_driver_where_they_stand(read, options, expected):
    text, place = marked(device(f"port: /dev/p, options: {options}"))
    assert told(read(text)) == [f"{place} {expected}"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("{low: 5, high: 1, word: »''}", ["bad-option low", "bad-option word"]),
        ("{low: 5, high: 1, word: x}", ["bad-option low"]),
        ("{low: 50, high: one, word: ''}", ["wrong-type high", "bad-option word"]),
        ("{low: 0}", ["w no-effect low"]),
        ("{low: 5, high: 1, lwo: 1, word: ''}", ["bad-option low", "unknown-key lwo", "bad-option word"]),
    ],
)
def test_a_driver_names_all_mistakes_at_once_but_none_that_rests_on_another(read, options, expected):
    loaded = read(device(f"port: /dev/p, options: {options.replace('»', '')}", "ruled"))
    prefix = "devices.p.options."
    found = [f"{line.partition(':')[2].partition(' ')[2]}".replace(prefix, "") for line in plain(loaded)]
    assert found == expected


def plain(loaded):
    """As `told`, `w` behind the place."""
    return [f"{p.line}:{p.column} {'w ' if p.severity == 'warning' else ''}{p.code} {p.key}" for p in loaded.problems]


def test_what_the_driver_says_of_all_its_options_stands_at_them(read):
    text, place = marked("devices: {p: {driver: printer, port: /dev/p, »options: {format: csv}}}")
    assert told(read(text)) == [f"{place} bad-option devices.p.options"]


def test_a_hint_that_ends_the_sentence_too_is_said_once(read):
    (problem,) = read(device("port: /dev/p, options: {word: ''}", "ruled")).problems
    assert (problem.message, problem.hint) == ("`word` is empty", "write all")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("none", "N"), ("even", "E"), ("Odd", "O"), ("MARK", "M"), ("space", "S"), ("e", "E"), ("N", "N"), ("n", "N")],
)
def test_parity_is_a_word_or_a_letter(read, written, meant):
    loaded = read(device(f"port: /dev/p, parity: {written}"))
    assert loaded.problems == []
    assert loaded.settings.devices["p"].parity == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [("none", "none"), ("None", "none"), ("RTSCTS", "rtscts"), ("hardware", "rtscts"), ("software", "xonxoff")],
)
def test_flow_is_spelt_in_any_case(read, written, meant):
    loaded = read(device(f"port: /dev/p, flow: {written}"))
    assert loaded.problems == []
    assert loaded.settings.devices["p"].flow == meant


@pytest.mark.parametrize(
    ("driver", "options", "value", "hint"),
    [
        ("clip", "{}", "sp02", "did you mean spo2?"),
        ("clip", "{}", "x", "it has spo2, heart_rate, perfusion_index"),
        ("ruled", "{word: weight}", "wieght", "did you mean weight?"),
    ],
)
def test_a_threshold_for_a_value_that_the_driver_does_not_know_is_warned_about(read, driver, options, value, hint):
    text, place = marked(device(f"port: /dev/p, options: {options}, thresholds: {{»{value}: {{min: 1}}}}", driver))
    loaded = read(text)
    assert told(loaded) == [f"w {place} unknown-value devices.p.thresholds.{value}"]
    assert hint in loaded.problems[0].hint
    assert loaded.settings is not None


@pytest.mark.parametrize(
    ("driver", "options", "value"),
    [("clip", "{}", "spo2"), ("printer", "{}", "anything"), ("ruled", "{}", "anything"), ("raises", "{}", "anything")],
)
def test_a_threshold_that_may_be_right_is_not_warned_about(read, driver, options, value):
    text = device(f"port: /dev/p, options: {options}, thresholds: {{{value}: {{min: 1}}}}", driver)
    assert read(text).problems == []


def test_a_threshold_is_judged_beside_a_mistake_in_the_options(read):
    loaded = read(device("port: /dev/p, options: {x: 1}, thresholds: {sp02: {min: 1}}", "clip"))
    assert [problem.code for problem in loaded.problems] == ["unknown-key", "unknown-value"]


def test_a_device_called_gateway_that_was_removed_is_no_mistake(read):
    assert read("devices: {gateway: null}").errors == []


def test_the_path_of_the_socket_has_a_limit(read):
    assert read(f"api: {{socket: '/{'s' * 99}'}}").problems == []
    assert told(read(f"api: {{socket: '/{'s' * 100}'}}")) == ["1:15 bad-path api.socket"]
    assert told(read(f"api: {{socket: '/{'ü' * 50}'}}")) == ["1:15 bad-path api.socket"]


def test_options_reach_the_driver_as_plain_data_in_its_units(read, registry):
    loaded = read(device("port: /dev/p, options: {pause: 500ms, marker: 7, columns: [a, b], metric: null}"))
    assert loaded.problems == []
    assert loaded.settings.devices["p"].options == {"pause": 0.5, "marker": 7, "columns": ["a", "b"]}


def test_a_driver_without_options_names_the_unknown_one(read):
    text, place = marked(device("port: /dev/p, options: {»x: 1}", "clip"))
    assert told(read(text)) == [f"{place} unknown-key devices.p.options.x"]


def test_options_of_a_drop_merge_with_those_of_the_main_file(read):
    loaded = read(
        device("port: /dev/p, options: {format: csv}"), {"10.yaml": "devices: {p: {options: {columns: [a], metrc: x}}}"}
    )
    assert told(loaded) == ["1:39 unknown-key devices.p.options.metrc"]
    assert loaded.problems[0].file.endswith("10.yaml")


def test_two_devices_on_one_port_also_through_a_link(read, tmp_path):
    (tmp_path / "port").touch()
    (tmp_path / "link").symlink_to(tmp_path / "port")
    loaded = read(
        "devices:\n"
        f"  a: {{driver: clip, port: {tmp_path}/port}}\n"
        f"  b: {{driver: clip, port: {tmp_path}/link}}\n"
        "  c: {driver: clip, port: 'socket://x:1'}\n"
        "  d: {driver: clip, port: 'socket://x:1'}\n"
    )
    assert told(loaded) == ["3:27 same-port devices.b.port", "5:27 same-port devices.d.port"]
    assert f"devices.a has the same port ({tmp_path}/gatepost.yaml:2:27)" in loaded.problems[0].message


def test_two_devices_of_one_address_but_for_advertisements(read):
    loaded = read(
        "devices:\n"
        "  a: {driver: radio, address: 'aa:bb:cc:dd:ee:ff'}\n"
        "  b: {driver: radio, address: 'AA:BB:CC:DD:EE:FF'}\n"
        "  c: {driver: beacon, address: 'AA:BB:CC:DD:EE:FF'}\n"
    )
    assert told(loaded) == ["3:31 same-address devices.b.address"]


def test_a_sensor_of_the_1_wire_bus_needs_its_name(read):
    assert told(read("devices: {a: {driver: wire}}")) == ["1:11 missing devices.a.port"]
    loaded = read(
        "devices:\n"
        "  a: {driver: wire, port: 28-0316a2794bff}\n"
        "  b: {driver: wire, port: /sys/bus/w1/devices/28-0316a2794bff/w1_slave}\n"
        "  c: {driver: wire, port: 28-0, address: 'AA:BB:CC:DD:EE:FF', baudrate: 9600}\n"
    )
    assert told(loaded) == [
        "3:27 same-port devices.b.port",
        "w 4:42 no-effect devices.c.address",
        "w 4:73 no-effect devices.c.baudrate",
    ]


def test_the_allow_list_knows_gateway_generic_and_driver_commands(read):
    loaded = read(
        device("port: /dev/p", "clip")
        + "commands: {allow: {gateway: [reload, '*'], 'p*': [sync_time, pong], q: [ping], '*': [ping]}}"
    )
    assert told(loaded) == ["w 2:62 unknown-command commands.allow.p*.1", "w 2:69 no-match commands.allow.q"]


def test_the_key_of_ed25519_is_a_public_key(read):
    signing = "commands: {signing: {algorithm: ed25519, key: '%s'}}\n"
    assert told(read(signing % "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")) == []
    assert told(read(signing % "abc")) == ["1:47 bad-key commands.signing.key"]
    assert told(read("commands: {signing: {algorithm: ed25519, key: {file: /run/key}}}\n")) == []


def test_required_signatures_need_a_key(read):
    assert told(read("commands: {signing: {required: true}}")) == ["1:32 missing commands.signing.required"]
    assert read("commands: {signing: {required: true, key: {env: K}}}").problems == []


@pytest.mark.parametrize("listen", ["8765", "localhost", "x:0", "x:99999", ":80"])
def test_the_address_of_the_api(read, listen):
    assert [problem.code for problem in read(f"api: {{listen: '{listen}'}}").problems] == ["bad-address"]


@pytest.mark.parametrize(
    ("patient", "looks"),
    [
        ("Erika Mustermann", "a name"),
        ("Doe, John", "a name"),
        ("1958-03-07", "a date of birth"),
        ("07.03.1958", "a date of birth"),
        ("M19580307", "a date of birth"),
        ("P-001", ""),
        ("7f3a9c52-0b1e-4a58-9d0c-8e1f00aa1234", ""),
        ("ward7 12345678", ""),
    ],
)
def test_a_patient_that_looks_like_a_person_is_warned_about(read, patient, looks):
    found = read(f"devices:\n  d: {{driver: printer, port: /dev/ttyUSB0, patient: {patient!r}}}\n")
    told = [problem for problem in found.problems if problem.code == "patient-named"]
    assert [problem.severity for problem in told] == (["warning"] if looks else [])
    assert all(looks in problem.message for problem in told)
    assert all(patient not in str(problem) for problem in told)


def test_a_long_text_for_a_patient_does_not_hold_the_loop(read):
    """A search that is quadratic in it would take an hour."""
    found = read(f"devices: {{d: {{driver: printer, port: /dev/a, patient: {'a' * 500_000}}}}}\n")
    assert not [problem for problem in found.problems if problem.code == "patient-named"]
