"""Rules for devices that speak MQTT: addresses, carriers, topics that meet, loops."""

from __future__ import annotations

import pytest

from gatepost.agent.settings import load
from gatepost.drivers.driver import Registry

TLS = "listener: {listen: '0.0.0.0:8883', tls: {cert: /c, key: /k}}\n"
HERE = "listener: {listen: '127.0.0.1:1883'}\n"
BROKER = "brokers: {hospital: {url: 'mqtt://x'}}\n"


@pytest.fixture
def problems(tmp_path):
    registry = Registry.installed()

    def found(text: str) -> set[tuple[str, str, bool]]:
        path = tmp_path / "gatepost.yaml"
        path.write_text(text)
        loaded = load(path, {}, registry, tmp_path / "own")
        errors = {id(problem) for problem in loaded.errors}
        return {(problem.code, problem.key, id(problem) in errors) for problem in loaded.problems}

    return found


def device(name: str, options: str = "{}") -> str:
    return f"  {name}: {{driver: mqtt, options: {options}}}\n"


def test_nothing_is_wrong(problems):
    assert problems(TLS + "devices:\n" + device("plug-3")) == set()
    assert problems(HERE + "devices:\n" + device("plug-3")) == set()


def test_plain_beyond_loopback(problems):
    assert problems("listener: {listen: '0.0.0.0:1883'}") == {("insecure", "listener.listen", True)}
    assert problems("listener: {ws: '0.0.0.0:1883'}") == {("insecure", "listener.ws", True)}
    assert problems("listener: {listen: '0.0.0.0:1883', insecure: true}") == {("insecure", "listener.listen", False)}


def test_addresses(problems):
    assert problems("listener: {listen: here}") == {("bad-address", "listener.listen", True)}
    assert problems("listener: {insecure: true}") == {("no-effect", "listener.insecure", False)}


def test_a_device_without_a_listener(problems):
    assert problems("devices:\n" + device("plug-3")) == {("no-listener", "devices.plug-3", False)}


def test_carriers(problems):
    missing = problems(HERE + "devices:\n" + device("bulb", "{via: bridge}"))
    assert missing == {("unknown-device", "devices.bulb.options.via", True)}
    chained = HERE + "devices:\n" + device("a") + device("b", "{via: a}") + device("c", "{via: b}")
    assert problems(chained) == {("bad-option", "devices.c.options.via", True)}
    other = BROKER + "devices:\n" + device("a", "{from: hospitel, topics: {x: {}}}")
    assert problems(other) == {("unknown-broker", "devices.a.options.from", True)}


def test_a_topic_belongs_to_one_device(problems):
    one, two = "{via: bridge, topics: {'z/+': {}}}", "{via: bridge, topics: {'z/{device}': {}}}"
    text = HERE + "devices:\n" + device("bridge") + device("a", one) + device("b", two)
    assert problems(text) == {("same-topic", "devices.b.options.topics.z/{device}", True)}
    apart = HERE + "devices:\n" + device("a", "{topics: {'x/y': {}}}") + device("b", "{topics: {'x/y': {}}}")
    assert problems(apart) == set()


@pytest.mark.parametrize("topic", ["devices/+/data", "#", "devices/{device}/status", "gateways/#"])
def test_a_loop(problems, topic):
    text = BROKER + "devices:\n" + device("a", f"{{from: hospital, topics: {{'{topic}': {{}}}}}}")
    assert ("topic-loop", f"devices.a.options.topics.{topic}", True) in problems(text)


@pytest.mark.parametrize(
    ("broker", "topic", "loop"),
    [
        ("format: homeassistant", "gatepost/+/+/env", True),
        ("format: homeassistant", "homeassistant/#", True),
        ("format: homeassistant", "devices/+/data", False),  # those are another gateway's
        ("format: scalar", "devices/cuff/blood_pressure/systolic", True),
        ("format: senml, topics: {data: 'channels/9f2c/{device}'}", "channels/#", True),
        ("layout: gateway", "gateways/+/devices/+/data", True),
        ("layout: gateway", "devices/+/data", False),
        ("routes: [{topic: 'ward/{room}/{device}'}]", "ward/#", True),
        ("routes: [{topic: 'ward/{room}/{device}', drop: true}]", "ward/#", False),
        ("format: nonsense", "ward/#", False),
    ],
)
def test_a_loop_through_a_format_a_layout_or_a_rule(problems, broker, topic, loop):
    key = f"devices.a.options.topics.{topic}"
    text = "devices:\n" + device("a", f"{{from: hospital, topics: {{'{topic}': {{}}}}}}")
    one = f"brokers: {{hospital: {{url: 'mqtt://x', {broker}}}}}\n{text}"
    assert (("topic-loop", key, True) in problems(one)) is loop
    other = f"other: {{url: 'mqtt://x', client_id: c, {broker}}}"
    both = f"brokers: {{hospital: {{url: 'mqtt://x', layout: gateway}}, {other}}}\n{text}"
    assert (("topic-loop", key, True) in problems(both)) is (loop or topic.startswith("gateways"))


def test_a_broker_that_carries_devices_is_named_once(problems):
    devices = "devices:\n" + device("a", "{from: one, topics: {x: {}}}") + device("b", "{from: two, topics: {y: {}}}")
    same = "brokers: {one: {url: 'mqtt://x'}, two: {url: 'mqtt://x:1883', client_id: c}}\n"
    assert problems(same + devices) == {("same-client", "devices.b.options.from", True)}
    assert problems("brokers: {one: {url: 'mqtt://x'}, two: {url: 'mqtt://y'}}\n" + devices) == set()


def test_a_port_that_is_none_is_told_once(problems):
    text = "brokers: {one: {url: 'mqtt://x:99999'}}\ndevices:\n" + device("a", "{from: one, topics: {x: {}}}")
    assert [code for code, _, _ in problems(text)] == ["bad-url"]


def test_options_of_a_topic(problems):
    wrong = HERE + "devices:\n" + device("a", "{topics: {'x/{strange}': {}, 'y': {format: csv}}}")
    assert {code for code, _, error in problems(wrong) if error} == {"bad-option"}
    assert len(problems(wrong)) == 2
    short = HERE + "devices:\n" + device("a", "{password: short}")
    assert [code for code, _, error in problems(short) if error]


def test_a_command_that_the_options_of_a_device_name_may_be_allowed(problems):
    allow = "commands: {allow: {plug: [set_led, ping]}}\ndevices:\n"
    assert problems(HERE + allow + device("plug", "{commands: [set_led]}")) == set()
    assert problems(HERE + allow + device("plug", "{commands: ['*']}")) == set()
    unknown = {("unknown-command", "commands.allow.plug.0", False)}
    assert problems(HERE + allow + device("plug", "{commands: [set_lamp]}")) == unknown


@pytest.mark.parametrize("address", ["127.0.0.1:1883", "localhost:1883", "0.0.0.0:1883"])
def test_one_address_for_api_and_listener_is_told(problems, address):
    same = ("same-address", "listener.listen", False)
    assert same in problems(f"api: {{listen: '{address}', insecure: true}}\n" + HERE)
    assert problems("api: {listen: '127.0.0.1:1884'}\n" + HERE) == set()
    both = "listener: {listen: '127.0.0.1:1883', ws: '127.0.0.1:1883'}"
    assert problems(both) == {("same-address", "listener.ws", False)}
