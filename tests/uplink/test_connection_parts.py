"""The parts of a connection that need no network: addresses, encoding, pulse, version choice, reason codes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from gmqtt.client import Message
from gmqtt.mqtt.package import PublishPacket
from gmqtt.mqtt.utils import IdGenerator
from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.agent.core.errors import ConnectFailed, NotConnected, UplinkError
from gatepost.agent.uplink.mqtt.codec import check_filter, check_topic, encode_properties, packet_size, varint
from gatepost.agent.uplink.mqtt.connection import (
    BrokerEndpoint,
    ConnectionLost,
    ConnectOptions,
    MqttConnection,
    ProtocolChoice,
)
from gatepost.agent.uplink.mqtt.keepalive import KeepaliveTimer
from gatepost.agent.uplink.mqtt.publisher import MOST_QUEUED, MqttPublisher
from gatepost.agent.uplink.mqtt.reason_codes import CODES, connect_refused, explain

# -- endpoint ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", ("mqtt", "h", 1883, "")),
        ("mqtts://h", ("mqtts", "h", 8883, "")),
        ("ws://h", ("ws", "h", 80, "/mqtt")),
        ("wss://h/", ("wss", "h", 443, "/")),
        ("wss://h:8084/a/b?c=d", ("wss", "h", 8084, "/a/b?c=d")),
        ("MQTT://H.Example:99/", ("mqtt", "h.example", 99, "")),
        ("mqtt://[::1]:1884", ("mqtt", "::1", 1884, "")),
    ],
)
def test_urls(url: str, expected: tuple[str, str, int, str]) -> None:
    endpoint = BrokerEndpoint.parse(url)
    assert tuple(endpoint) == expected
    assert BrokerEndpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("h:1883", "mqtt"),
        ("tcp://h", "mqtt://"),
        ("ssl://h", "mqtts://"),
        ("mqtt://", "host"),
        ("mqtt://:1883", "host"),
        ("mqtt://h:99999", "port"),
        ("mqtt://h:0", "port"),
        ("mqtt://h:x", "port"),
        ("mqtt://h/path", "path"),
    ],
)
def test_wrong_urls_are_explained(url: str, says: str) -> None:
    with pytest.raises(UplinkError) as caught:
        BrokerEndpoint.parse(url)
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_a_password_in_a_url_is_not_repeated() -> None:
    with pytest.raises(UplinkError) as caught:
        BrokerEndpoint.parse("mqtt://me:hush@h")
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"
    assert "password" in caught.value.hint


# -- packets -----------------------------------------------------------------------------------------------------------


class Wire:
    """An outlet that keeps what is written."""

    def __init__(self) -> None:
        self.paused = False
        self.last_in = 0.0
        self.unsent = 0
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def sender(
    version: int, on_ack: Callable[[list[tuple[int, int]]], None] = lambda acks: None
) -> tuple[MqttPublisher, Wire]:
    wire = Wire()
    one = MqttPublisher(wire, version, on_ack, lambda: 1.0, "test")
    one.is_open = True
    return one, wire


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5)
sizes = st.one_of(st.integers(0, 300), st.sampled_from([16_370, 16_384, 20_000, 2_097_100, 2_097_160]))


@settings(max_examples=60, deadline=None)
@given(
    topic=st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=150),
    size=sizes,
    qos=st.sampled_from([0, 1, 2]),
    retain=st.booleans(),
    version=st.sampled_from([4, 5]),
    pairs=st.lists(st.tuples(words, words), max_size=3),
)
async def test_publish_is_encoded_as_gmqtt_does(
    topic: str, size: int, qos: int, retain: bool, version: int, pairs: list[tuple[str, str]]
) -> None:
    payload = b"x" * size
    one, wire = sender(version)
    properties = encode_properties("text/plain", pairs) if version == 5 else b""
    one.publish(topic.encode(), payload, qos, retain, properties, 1)
    one.flush()
    generator = IdGenerator()
    generator._last_used_id = 63
    extra: dict[str, Any] = {"content_type": "text/plain"} if version == 5 else {}
    if pairs:
        extra["user_property"] = pairs
    message = Message(topic, payload, qos=qos, retain=retain, **extra)
    _, expected = PublishPacket.build_package(message, SimpleNamespace(proto_ver=version, id_generator=generator))
    assert wire.data == bytes(expected)
    assert packet_size(topic.encode(), payload, properties, qos, version) == len(wire.data)


async def test_publishes_of_one_turn_are_one_write_and_keep_their_order() -> None:
    one, wire = sender(4)
    writes: list[bytes] = []
    wire.write = writes.append  # type: ignore[method-assign]
    for tag in range(3):
        one.publish(b"t", b"%d" % tag, 0, False, b"", tag)
    one.queue(b"\xc0\0")
    assert writes == []
    one.flush()
    assert writes == [b"\x30\x04\0\x01t0\x30\x04\0\x01t1\x30\x04\0\x01t2\xc0\0"]
    one.stop()
    with pytest.raises(NotConnected):
        one.publish(b"t", b"", 0, False, b"", 9)


async def test_answers_without_number_in_one_turn_do_not_wait_for_its_end() -> None:
    one, wire = sender(4)
    for _ in range(MOST_QUEUED + 1):
        one.queue(b"\xc0\0")
    assert wire.data == b"\xc0\0" * MOST_QUEUED
    one.flush()
    assert wire.data == b"\xc0\0" * (MOST_QUEUED + 1)


async def test_a_message_that_does_not_fit_is_refused_and_leaves_nothing_behind() -> None:
    one, wire = sender(5)

    class Huge(bytes):
        def __len__(self) -> int:
            return 268_435_455

    with pytest.raises(UplinkError, match="longer"):
        one.publish(b"t", Huge(), 1, False, b"", 1)
    one.flush()
    assert (wire.data, one.in_flight) == (b"", 0)


def test_variable_byte_integers() -> None:
    assert [varint(value) for value in (0, 127, 128, 16_383, 16_384, 268_435_455)] == [
        b"\0",
        b"\x7f",
        b"\x80\x01",
        b"\xff\x7f",
        b"\x80\x80\x01",
        b"\xff\xff\xff\x7f",
    ]
    with pytest.raises(ValueError, match="fit"):
        varint(268_435_456)


@pytest.mark.parametrize("wrong", [{"content_type": "a\0b"}, {"content_type": "x" * 65_536}, {"message_expiry": -1}])
def test_properties_that_do_not_fit(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        encode_properties(**wrong)


async def test_properties_of_3_1_1_are_none() -> None:
    async def nothing(message: object) -> int:
        return 0

    for protocol, expected in (("3.1.1", b""), ("5", b"\0")):
        options = ConnectOptions(client_id="c", protocol=protocol)  # type: ignore[arg-type]
        one = MqttConnection(BrokerEndpoint.parse("mqtt://h"), options, on_ack=print, on_message=nothing, on_lost=print)
        assert one.properties() == expected


@pytest.mark.parametrize("topic", ["a", "a/b", "/", "é/ü", "$SYS/x", "a b", "x" * 65_535])
def test_good_topics(topic: str) -> None:
    assert check_topic(topic) is None
    assert check_topic(topic.encode()) is None
    assert check_filter(topic) is None


@pytest.mark.parametrize("topic", ["", "a/+", "#", "a\0b", "x" * 65_536, b"\xff", "\ud800", "é" * 32_768])
def test_wrong_topics(topic: str | bytes) -> None:
    assert check_topic(topic)


@pytest.mark.parametrize("topic", ["+", "#", "a/+/b", "a/#", "+/+", "$share/g/a/#"])
def test_good_filters(topic: str) -> None:
    assert check_filter(topic) is None


@pytest.mark.parametrize("topic", ["", "a+", "a/b#", "#/a", "$share/g", "$share//a", "$share/+/a", "$share/g/", "\0"])
def test_wrong_filters(topic: str) -> None:
    assert check_filter(topic)


# -- pulse -------------------------------------------------------------------------------------------------------------


class Clockwork:
    """A clock that jumps from timer to timer."""

    def __init__(self, interval: float, answers: bool) -> None:
        self.now = 0.0
        self.last_in = self.last_out = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.pings: list[float] = []
        self.died: float | None = None
        self.answers = answers
        self.pulse = KeepaliveTimer(interval, self, self._ping, self._dead, lambda: self.now, self._later)

    def _later(self, delay: float, call: Callable[[], None]) -> Any:
        entry = (self.now + delay, call)
        self.timers.append(entry)
        return SimpleNamespace(cancel=lambda: entry in self.timers and self.timers.remove(entry))

    def _ping(self) -> None:
        self.pings.append(self.now)
        self.last_out = self.now
        if self.answers:
            self.last_in = self.now

    def _dead(self) -> None:
        self.died = self.now

    def run(self, until: float) -> int:
        wakes = 0
        while self.timers and self.timers[0][0] <= until:
            self.now, call = self.timers.pop(0)
            call()
            wakes += 1
        self.now = until
        return wakes


def test_a_silent_line_is_pinged_within_each_interval_with_few_wake_ups() -> None:
    clock = Clockwork(30, answers=True)
    wakes = clock.run(3000)
    gaps = [later - earlier for earlier, later in zip([0.0, *clock.pings], clock.pings, strict=False)]
    assert max(gaps) <= 30
    assert wakes <= 3 * 3000 / 30
    assert clock.died is None


def test_death_is_found_within_one_and_a_half_intervals() -> None:
    clock = Clockwork(30, answers=False)
    clock.run(200)
    assert clock.died is not None
    assert clock.died <= 45
    assert len(clock.pings) == 1
    assert clock.timers == []


def test_sending_without_hearing_is_pinged_too() -> None:
    clock = Clockwork(30, answers=False)
    for second in range(1, 60):
        clock.last_out = second
        clock.run(second)
    assert clock.died is not None
    assert clock.died <= 46


def test_a_busy_line_is_left_alone() -> None:
    clock = Clockwork(30, answers=False)
    wakes = 0
    for second in range(1, 300):
        clock.last_in = clock.last_out = second
        wakes += clock.run(second)
    assert clock.pings == []
    assert wakes <= 300 / 25
    clock.pulse.stop()
    assert clock.timers == []


def test_keepalive_0_never_wakes() -> None:
    assert Clockwork(0, answers=False).timers == []


# -- the choice of a version -------------------------------------------------------------------------------------------

EXPLICIT = connect_refused(0x84)
HANG_UP = ConnectFailed("closed", "closed", retry="protocol")


def test_a_fixed_version_stays() -> None:
    for setting in ("5", "3.1.1"):
        choice = ProtocolChoice(setting)  # type: ignore[arg-type]
        assert choice.failed(EXPLICIT) is False
        assert choice.current == setting


def test_a_broker_that_says_so_is_spoken_to_in_3_1_1_from_then_on() -> None:
    choice = ProtocolChoice()
    assert choice.current == "5"
    assert choice.failed(EXPLICIT) is True
    assert choice.current == "3.1.1"
    choice.succeeded()
    assert choice.current == "3.1.1"
    assert choice.failed(ConnectFailed("unreachable", "away")) is False
    assert choice.current == "3.1.1"
    assert choice.failed(connect_refused(1)) is True  # it was replaced by one that knows only 5
    assert choice.current == "5"


def test_a_hang_up_alone_is_no_proof() -> None:
    choice = ProtocolChoice()
    assert choice.failed(HANG_UP) is False
    assert choice.failed(HANG_UP) is True
    assert choice.current == "3.1.1"
    assert choice.failed(HANG_UP) is False  # on both: back off, and start with 5 again
    assert choice.current == "5"


def test_hang_ups_with_5_beside_success_with_3_1_1_are_proof() -> None:
    choice = ProtocolChoice()
    choice.failed(HANG_UP)
    choice.failed(HANG_UP)
    choice.succeeded()
    assert choice.current == "5"  # perhaps the broker had just been starting
    assert choice.failed(HANG_UP) is True
    choice.succeeded()
    assert choice.current == "3.1.1"


# -- reason codes ------------------------------------------------------------------------------------------------------


def test_every_refusal_of_the_standard_is_known_and_unknown_ones_are_named() -> None:
    assert set(CODES) == set(range(0x80, 0xA3))
    assert "0xEE" in explain(0xEE).phrase
    assert explain(0x97).final is False
    assert explain(0x87).final is True


def test_a_disconnect_without_a_reason() -> None:
    lost = ConnectionLost.disconnected(0)
    assert (lost.taken_over, lost.retry) == (False, "soon")
    assert "without a reason" in lost.message
