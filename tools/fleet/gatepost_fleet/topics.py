"""Topics that the fleet keeps, in the spelling of each engine."""

from __future__ import annotations

FILTERS = (
    "gateways/+/devices/+/data",
    "gateways/+/data",
    "devices/+/data",
    "gateways/+/status",
    "gateways/+/events",
    "gateways/+/reported",
    "gateways/+/account",
    "gateways/+/desired/get",
)
NATS_PREFIX = "$MQTT.msgs."
_SWAP = str.maketrans("/.", "./")


def nats_subject(topic_filter: str) -> str:
    """The subject of JetStream's stream of MQTT messages: `/` is `.`, and `.` is `//` (NATS documentation, MQTT)."""
    return NATS_PREFIX + topic_filter.replace(".", "\0").replace("/", ".").replace("\0", "//").replace("+", "*")


def topic_of_subject(subject: str) -> str:
    """The MQTT topic of a stored message's subject."""
    return subject.removeprefix(NATS_PREFIX).replace("//", "\0").replace(".", "/").replace("\0", ".")


def routing_key(topic_filter: str) -> str:
    """The routing key of RabbitMQ's topic exchange: `/` and `.` change places, `+` is `*`."""
    return topic_filter.translate(_SWAP).replace("+", "*")


def topic_of_key(key: str) -> str:
    """The MQTT topic of a routing key."""
    return key.translate(_SWAP)
