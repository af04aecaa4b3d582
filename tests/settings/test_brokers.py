from __future__ import annotations

import pytest

from .conftest import marked, told


def broker(**keys):
    inner = ", ".join(f"{key}: {value}" for key, value in keys.items())
    return f"brokers: {{a: {{{inner}}}}}\n"


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://broker.example",
        "mqtt://broker.example:1883/",
        "mqtts://10.0.0.1:8883",
        "mqtt://[::1]:1883",
        "ws://broker.example/mqtt",
        "wss://broker.example:443/mqtt?key=1",
    ],
)
def test_urls_of_brokers(read, url):
    assert read(broker(url=f"'{url}'")).problems == []


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("broker.example", "write mqtt://broker.example"),
        ("broker.example:1883", "write mqtt://broker.example:1883"),
        ("tcp://broker.example:1883", "write mqtt://"),
        ("ssl://broker.example:1883", "write mqtts://"),
        ("MQTT://broker.example", "write mqtt://"),
        ("mqtt://", "write mqtt://HOST:1883"),
        ("mqtt://:1883", "write mqtt://HOST:1883"),
        ("mqtt://x:99999", "1 to 65535"),
        ("mqtt://x:0", "write mqtt://HOST:1883"),
        ("mqtt://x:port", "1 to 65535"),
        ("mqtt://[::1", "brackets"),
        ("mqtt://a b", "write mqtt://HOST:1883"),
        ("mqtt://x/path", "only ws and wss"),
        ("ws://x/path#part", "remove what follows"),
        ("", "write mqtt://HOST"),
    ],
)
def test_bad_urls_say_how_to_write_it(read, url, hint):
    loaded = read(broker(url=f"'{url}'"))
    assert told(loaded) == ["1:20 bad-url brokers.a.url"]
    assert hint in loaded.problems[0].hint


@pytest.mark.parametrize("url", ["mqtt://me:geheim@x", "geheim@x", "foo://me:geheim@x", "mqtt://geheim@[x"])
def test_credentials_in_a_url_are_an_error_that_does_not_show_them(read, url):
    loaded = read(broker(url=f"'{url}'"))
    assert loaded.settings is None
    assert "geheim" not in " ".join(map(str, loaded.problems))


def test_failover_urls_are_judged_too(read):
    text, place = marked(broker(url="'mqtt://x'", failover="['mqtt://y', »'y']"))
    assert told(read(text)) == [f"{place} bad-url brokers.a.failover.1"]


@pytest.mark.parametrize("key", ["host", "port", "servers"])
def test_what_other_programs_call_the_url(read, key):
    (problem,) = read(broker(url="'mqtt://x'", **{key: "x"})).problems
    assert "`url: mqtt://HOST:1883`" in problem.hint


def test_a_wrong_item_does_not_shift_the_places_of_the_others(read):
    text, place = marked(broker(url="'mqtt://x'", failover="[»1.5, 'mqtt://y', 'z']"))
    told_of = told(read(text))
    assert told_of[0] == f"{place} wrong-type brokers.a.failover.0"
    assert not [line for line in told_of[1:] if "failover.1" in line]


@pytest.mark.parametrize(
    ("topics", "code", "part"),
    [
        ("{dta: x}", "unknown-key", "did you mean data?"),
        ("{data: 'x/{devise}'}", "bad-topic", "{devise} cannot be filled in"),
        ("{gateway_events: 'x/{device}'}", "bad-topic", "{device} cannot be filled in"),
        ("{data: 'x/{'}", "bad-topic", "a single brace"),
        ("{data: 'x/+'}", "bad-topic", "no wildcard"),
        ("{data: 'x/#'}", "bad-topic", "no wildcard"),
        ("{commands: 'x/commands'}", "bad-topic", "{device} must stand in it"),
        ("{data: '$SYS/x'}", "bad-topic", "belongs to the broker"),
        ("{data: ''}", "bad-topic", "1 to 1024"),
        ("{data: 'o/{org}'}", "bad-topic", "needs gateway.organization"),
        ("{gateway_commands: 'x/+/y'}", "bad-topic", "no wildcard"),
        ("{commands: 'in/{device}-x'}", "bad-topic", "level of its own"),
        ("{commands: '{device}/{device}'}", "bad-topic", "level of its own"),
        ("{data: 'devices/{device}/commands'}", "bad-topic", "same topic as commands"),
        ("{data: 'devices/{gateway}/commands'}", "bad-topic", "same topic as commands"),
        ("{gateway_events: 'in/{gateway}', commands: 'in/{device}'}", "bad-topic", "same topic as commands"),
    ],
)
def test_topics(read, topics, code, part):
    loaded = read(broker(url="'mqtt://x'", topics=topics))
    assert [problem.code for problem in loaded.problems] == [code]
    assert part in str(loaded.problems[0])


@pytest.mark.parametrize(
    "topics",
    [
        "{data: 'site/{gateway}/{device}/{metric}'}",
        "{data: everything}",
        "{commands: 'in/{device}'}",
        "{commands: '{gateway}/{device}/in'}",
    ],
)
def test_good_topics(read, topics):
    assert read(broker(url="'mqtt://x'", topics=topics)).problems == []


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"format": "device"}, "1:40 unknown-format brokers.a.format"),
        ({"format": "scalar", "batch": "{readings: 5}"}, "w 1:66 no-effect brokers.a.batch.readings"),
        ({"batch": "{compress: gzip}"}, "w 1:50 no-effect brokers.a.batch.compress"),
        ({"format": "senml", "options": "{encoding: xml}"}, "1:67 bad-choice brokers.a.options.encoding"),
        ({"format": "senml", "options": "{enc: cbor}"}, "1:57 unknown-key brokers.a.options.enc"),
        ({"format": "fhir", "options": "{device_zone: Mars/Base}"}, "1:46 bad-option brokers.a.options"),
        ({"format": "thingsboard", "routes": "[{topic: x}]"}, "1:70 bad-topic brokers.a.routes.0.topic"),
        (
            {"format": "homeassistant", "options": "{birth_topic: 'a/#'}"},
            "1:78 bad-pattern brokers.a.options.birth_topic",
        ),
        ({"format": "senml", "options": "{base_name: 'urn:{ward}:'}"}, "1:68 bad-pattern brokers.a.options.base_name"),
        (
            {"format": "fhir", "options": "{systems: {patient: a b}}"},
            "1:75 bad-pattern brokers.a.options.systems.patient",
        ),
        ({"format": "thingsboard", "routes": "[{qos: 2}]"}, "w 1:68 no-effect brokers.a.routes.0.qos"),
        ({"format": "homeassistant", "topics": "{data: 'x/{device}'}"}, "w 1:70 format-limit brokers.a.topics.data"),
        (
            {"format": "scalar", "topics": "{data: 'x/{device}/{metric}'}", "options": "{payload: bare}"},
            "w 1:63 format-limit brokers.a.topics.data",
        ),
        ({"routes": "[{topic: 'x/{nurse}'}]"}, "1:49 bad-topic brokers.a.routes.0.topic"),
        ({"routes": "[{topic: 'x/{'}]"}, "1:49 bad-topic brokers.a.routes.0.topic"),
        ({"routes": "[{topic: 'x/{org}'}]"}, "1:49 bad-topic brokers.a.routes.0.topic"),
        ({"routes": "[{topic: 'devices/{device}/commands'}]"}, "1:49 bad-topic brokers.a.routes.0.topic"),
        ({"routes": "[{topic: 'gateways/{gateway}/commands'}]"}, "1:49 bad-topic brokers.a.routes.0.topic"),
        (
            {"layout": "gateway", "topics": "{data: 'gateways/{gateway}/devices/{device}/commands'}"},
            "1:64 bad-topic brokers.a.topics.data",
        ),
        (
            {"format": "sparkplug", "topics": "{data: x}", "options": "{primary_host: h}"},
            "1:66 bad-topic brokers.a.topics.data",
        ),
        ({"session": "kept", "qos": 2}, "1:41 bad-session brokers.a.session"),
        ({"batch": "{delay: 5s}"}, "w 1:47 no-effect brokers.a.batch.delay"),
        ({"tls": "{ca: /ca}"}, "w 1:32 tls-unused brokers.a.tls"),
        ({"password": "geheim"}, "w 1:42 plain-secret brokers.a.password"),
        ({"password": "{credential: a, env: B}"}, "1:32 bad-secret brokers.a.password"),
        ({"password": "{}"}, "1:32 bad-secret brokers.a.password"),
        ({"password": "{credential: ../x}"}, "1:55 bad-secret brokers.a.password.credential"),
        ({"password": "{file: secret}"}, "w 1:49 relative-path brokers.a.password.file"),
        ({"routes": "[{devices: ['q*']}]"}, "w 1:52 no-match brokers.a.routes.0.devices.0"),
    ],
)
def test_other_rules(read, keys, expected):
    text = broker(url="'mqtt://x'", **keys) + "devices: {p: {driver: clip, port: /dev/p}}\n"
    assert told(read(text)) == [expected]


@pytest.mark.parametrize(
    ("routes", "warned"),
    [
        ("[]", True),
        ("[{devices: [p]}]", False),
        ("[{rooms: [Ward]}]", False),
        ("[{devices: [q], drop: true}, {}]", False),
        ("[{metrics: [ecg], drop: true}, {}]", True),
    ],
)
def test_one_device_is_the_one_that_the_routes_leave(read, routes, warned):
    text = broker(url="'mqtt://x'", format="thingsboard", options="{mode: device}", routes=routes)
    text += "devices: {p: {driver: clip, port: /dev/p, room: Ward}, q: {driver: clip, port: /dev/q}}\n"
    assert any("speaks for one device" in each.message for each in read(text).problems) is warned


def test_tokens_in_messages_without_tls(read):
    text = broker(url="'mqtt://x'", format="datastream", options="{telemetry: {w: 1}}")
    text += "devices: {p: {driver: clip, port: /dev/p, token: {env: T}}}\n"
    assert [each.split()[-1] for each in told(read(text)) if "plain-token" in each] == ["brokers.a.options.token"]
    for safe in ("mqtts://x", "mqtt://127.0.0.1"):
        assert not [each for each in told(read(text.replace("mqtt://x", safe))) if "plain-token" in each]


def test_home_assistant_takes_durations(read):
    text = broker(url="'mqtt://x'", format="homeassistant", options="{expire_after: {'ox-*': 5m}}")
    settings = read(text).settings
    assert settings.brokers["a"].options == {"expire_after": {"ox-*": 300.0}}


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ("{cert: »/c}", "missing brokers.a.tls.cert"),
        ("{key: »/c}", "missing brokers.a.tls.key"),
        ("{verify: »false}", "tls-unverified brokers.a.tls.verify"),
    ],
)
def test_certificates(read, tls, expected):
    text, place = marked(broker(url="'mqtts://x'", tls=tls))
    assert told(read(text))[0].removeprefix("w ") == f"{place} {expected}"


def test_metric_patterns_that_nothing_gives(read):
    text = broker(url="'mqtt://x'", routes="[{metrics: [pulse*]}, {metrics: [blood*]}]")
    loaded = read(text + "devices: {p: {driver: clip, port: /dev/p}}\n")
    assert [problem.key for problem in loaded.problems] == ["brokers.a.routes.1.metrics.0"]
    assert read(text + "devices: {p: {driver: printer, port: /dev/p}}\n").problems == []


def test_two_connections_with_one_client_id_would_throw_each_other_out(read):
    text = "brokers:\n  a: {url: 'mqtt://x'}\n  b: {url: 'mqtt://X:1883'%s}\n"
    assert told(read(text % "")) == ["3:12 same-client brokers.b.url"]
    assert read(text % ", client_id: other").problems == []


def test_a_secret_never_shows_in_a_problem(read):
    for value in ("'geheim'", "[geheim]", "1.50", "true", "0777", "{credental: geheim}", "{credential: [geheim]}"):
        for problem in read(broker(url="'mqtt://x'", password=value)).problems:
            assert "geheim" not in str(problem)
            assert "1.50" not in str(problem)
            assert "0777" not in str(problem)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"routes": "[{retain: true}]"}, ["brokers.a.routes.0.retain"]),
        ({"format": "fhir", "routes": "[{}, {retain: true}]"}, ["brokers.a.routes.1.retain"]),
        ({"format": "senml", "routes": "[{retain: true}]"}, []),
        ({"format": "scalar", "options": "{retain: true}"}, ["brokers.a.options.retain"]),
        ({"format": "scalar", "options": "{retain: true, payload: bare}"}, []),
        ({"format": "homeassistant"}, ["brokers.a.options.retain"]),
        ({"format": "homeassistant", "routes": "[{devices: [q]}, {devices: ['p*']}]"}, ["brokers.a.options.retain"]),
        ({"format": "homeassistant", "routes": "[{devices: [q]}, {devices: [p], drop: true}]"}, []),
    ],
)
def test_retained_patient_references_are_told(read, keys, expected):
    text = broker(url="'mqtt://x'", **keys) + "devices: {p: {driver: clip, port: /dev/p, patient: P-1}}\n"
    found = [read(each).problems for each in (text, text.replace(", patient: P-1", ""))]
    assert [[each.key for each in some if "patient reference" in each.message] for some in found] == [expected, []]
