"""Values against their types: unknown keys, ranges, choices, and what is suggested instead."""

from __future__ import annotations

import pytest

from .conftest import told

BROKER = "brokers: {{a: {{url: 'mqtt://x', {}}}}}\n"


@pytest.mark.parametrize(
    ("text", "expected", "hint"),
    [
        ("store: {max_sise: 1GB}", "1:9 unknown-key store.max_sise", "did you mean max_size?"),
        ("store: {commit-interval: 1s}", "1:9 unknown-key store.commit-interval", "did you mean commit_interval?"),
        ("store: {maxSize: 1GB}", "1:9 unknown-key store.maxSize", "did you mean max_size?"),
        ("store: {keepalive: 3s}", "1:9 unknown-key store.keepalive", "it belongs to brokers.NAME.keepalive"),
        ("devcies: {}", "1:1 unknown-key devcies", "did you mean devices?"),
        ("baudrate: 9600", "1:1 unknown-key baudrate", "it belongs to devices.NAME.baudrate"),
        ("store.keep: 1d", "1:1 unknown-key store.keep", "write `store:` and `keep:`"),
        ("zzz: 1", "1:1 unknown-key zzz", "known here: api, bluetooth, brokers"),
        ("store: {kepp: null}", "1:9 unknown-key store.kepp", "did you mean keep?"),
        ("store: {commit_interval: 2h}", "1:26 out-of-range store.commit_interval", "at least 0s and at most 1m"),
        ("store: {max_size: 1kB}", "1:19 out-of-range store.max_size", "at least 64KiB"),
        ("store: {keep: 30}", "1:15 bad-duration store.keep", "write 30s"),
        ("api: {rate_limit: 20}", "1:19 bad-rate api.rate_limit", "write 20/s"),
        ("store: {when_full: drop_oldest}", "1:20 bad-choice store.when_full", "did you mean drop-oldest?"),
        ("logging: {level: warn}", "1:18 bad-choice logging.level", "did you mean warning?"),
        ("logging: {level: INFO}", "1:18 bad-choice logging.level", "did you mean info?"),
        ("store: []", "1:8 wrong-type store", "write it like store: {commit_interval: 30s}"),
        ("store: 5", "1:8 wrong-type store", "write it like store: {commit_interval: 30s}"),
        ("brokers: hospital", "1:10 wrong-type brokers", "write it like brokers: {NAME: {url: ...}}"),
        ("devices: {a: lines}", "1:14 wrong-type devices.a", "write it like a: {driver: ...}"),
        ("gateway: {id: [a]}", "1:15 wrong-type gateway.id", "without the brackets"),
        ("gateway: {id: 'a b'}", "1:15 bad-pattern gateway.id", "letters, digits"),
        ('gateway: {id: "a\\n"}', "1:15 bad-pattern gateway.id", "letters, digits"),
        ("brokers: {'a b': {url: 'mqtt://x'}}", "1:11 bad-name brokers.a b", "letters, digits"),
        ("brokers: {a: {}}", "1:11 missing brokers.a.url", "add `url: ...`"),
        ("devices: {p: {port: /dev/p}}", "1:11 missing devices.p.driver", "add `driver: ...`"),
        (BROKER.format("window: 0"), "1:40 out-of-range brokers.a.window", "at least 1 and at most 60000"),
        (BROKER.format("window: 1.5"), "1:40 wrong-type brokers.a.window", ""),
        (BROKER.format("window: ten"), "1:40 wrong-type brokers.a.window", ""),
        (BROKER.format("qos: 3"), "1:37 bad-choice brokers.a.qos", ""),
        (BROKER.format("qos: '1'"), "1:37 wrong-type brokers.a.qos", "remove the quotes"),
        (BROKER.format("protocol: 3.1"), "1:42 bad-choice brokers.a.protocol", "did you mean 3.1.1?"),
        (BROKER.format("failover: mqtt://y"), "1:42 wrong-type brokers.a.failover", "put it in brackets"),
        (BROKER.format("failover: [null]"), "1:43 wrong-type brokers.a.failover.0", "delete it"),
        (BROKER.format("backlog: {share: 1.5}"), "1:49 out-of-range brokers.a.backlog.share", "at most 1"),
        (BROKER.format("backlog: {share: '0,5'}"), "1:49 wrong-type brokers.a.backlog.share", "write 0.5"),
        (BROKER.format("backlog: {share: .inf}"), "1:49 wrong-type brokers.a.backlog.share", "finite"),
        (BROKER.format("keepalive: 1d"), "1:43 out-of-range brokers.a.keepalive", "at most 18h12m15s"),
    ],
)
def test_one_mistake_one_problem(read, text, expected, hint):
    loaded = read(text)
    assert told(loaded) == [expected]
    assert hint in loaded.problems[0].hint
    assert loaded.settings is None


def test_below_a_name_that_cannot_be_used_mistakes_are_found_too(read):
    loaded = read("devices: {'a b': {driver: linse, port: /dev/x, evry: 1s}}")
    assert [text.split(" ", 1)[1] for text in told(loaded)] == [
        "bad-name devices.a b",
        "unknown-driver devices.a b.driver",
        "unknown-key devices.a b.evry",
    ]
    assert loaded.settings is None


@pytest.mark.parametrize(("written", "value"), [("5", "5"), ("'5'", "5"), ("3.1.1", "3.1.1"), ("auto", "auto")])
def test_the_protocol_needs_no_quotes(read, written, value):
    loaded = read(BROKER.format(f"protocol: {written}"))
    assert loaded.problems == []
    assert loaded.settings.brokers["a"].protocol == value


@pytest.mark.parametrize(("written", "rate"), [("0", 0), ("50", 50), ("50/s", 50), ("30/m", 0.5)])
def test_the_backlog_rate_may_be_a_number(read, written, rate):
    loaded = read(BROKER.format(f"backlog: {{rate: {written}}}"))
    assert loaded.problems == []
    assert loaded.settings.brokers["a"].backlog.rate == rate


def test_null_gives_the_default_back(read):
    loaded = read("store: {keep: 1d}\napi: {listen: null}\n", {"10.yaml": "store: {keep: ~}\nlogging: null\n"})
    assert loaded.problems == []
    assert loaded.settings.store.keep == 7 * 86400
    assert loaded.settings.logging.level == "info"


def test_a_problem_reads_as_the_contract_says(read, tmp_path):
    problem = read("store: {max_sise: 1GB}").problems[0]
    assert str(problem) == (
        f"{tmp_path}/gatepost.yaml:1:9: store.max_sise: unknown key 'max_sise'; did you mean max_size?"
    )


def test_the_whole_contract_sample_loads(read):
    """Every key of the interface, with what this version does not build said plainly."""
    loaded = read("""\
gateway:
  id: ward-7
  organization: org-123
  state_dir: /var/lib/gatepost
  labels: {site: north}
store:
  commit_interval: 1s
  keep: 7d
  max_size: 2GB
  reserve: 200MB
  when_full: drop-oldest
brokers:
  hospital:
    url: mqtts://broker.example:8883
    failover: [mqtts://standby.example:8883]
    username: ward-7
    password: {credential: hospital}
    client_id: gatepost-ward-7
    tls: {ca: /a, cert: /b, key: /c, verify: true}
    protocol: auto
    keepalive: 30s
    qos: 1
    window: 100
    format: devices
    topics: {}
    batch: {readings: 1, delay: 0s, compress: none}
    routes: []
    backlog: {share: 0.2, rate: 0}
    commands: true
    active: true
devices:
  oximeter-1:
    driver: clip
    port: /dev/serial/by-id/usb-1
    baudrate: 19200
    brokers: [hospital]
    patient: P-001
    token: {credential: oximeter-1}
    every: 1s
    thresholds: {spo2: {min: 90}, heart_rate: {min: 40, max: 130}}
    options: {}
  probe-2:
    driver: printer
    port: /dev/ttyUSB1
    baudrate: 9600
    options:
      format: json
      metric: environment
      fields: {t: {name: temperature, scale: 0.1}}
  cuff-3:
    driver: radio
    address: "AA:BB:CC:DD:EE:FF"
    adapter: hci0
commands:
  allow: {"*": [ping, status, read_now, start_monitoring, stop_monitoring, set_interval]}
  default_ttl: 60s
  timeout: 30s
  signing: {algorithm: hmac-sha256, key: {credential: command-key}, required: false}
api:
  socket: /run/gatepost/api.sock
  listen: 127.0.0.1:8765
  cors_origins: []
  rate_limit: 20/s
logging: {level: info, format: text}
""")
    assert told(loaded) == []
    assert loaded.settings.devices["probe-2"].options == {
        "format": "json",
        "metric": "environment",
        "fields": {"t": {"name": "temperature", "scale": 0.1}},
    }
