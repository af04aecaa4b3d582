"""Interface of a payload format: stored readings and named moments in, MQTT messages out.

A format is pure: no I/O, no clock of its own, no tasks. The uplink calls it at named moments and publishes what it
returns, in order. One instance serves one connection; what outlives it lies in `FormatContext.state`, which is kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec
import orjson

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.uplink.formats.stored_reading import StoredReading

JSON = "application/json"
MOST_VALUES = 500  # names of values that a format remembers of one device: some make up names
# Keys of `topics` in the settings (contract, section 2); a format lists those that may be overridden with it.
STATUS_TOPICS = frozenset({"device_status", "gateway_status", "gateway_events"})
COMMAND_TOPICS = frozenset({"commands", "responses", "gateway_commands", "gateway_responses", "broadcast"})
FLEET_TOPICS = frozenset({"desired", "desired_confirm", "desired_get", "reported", "account"})
CONTRACT_TOPICS = STATUS_TOPICS | COMMAND_TOPICS | FLEET_TOPICS | {"data", "batch"}


class OutgoingMessage(msgspec.Struct, gc=False):
    """A message to publish. `expiry` (seconds), `content_type` and `user_properties` go with MQTT 5 only."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    content_type: str = ""
    user_properties: tuple[tuple[str, str], ...] = ()
    expiry: int | None = None


class IncomingCommand(NamedTuple):
    """A command in a dialect's own way, as contract JSON (section 4); `device` None is the gateway.

    `reply_to` is the format's own note, handed back to `response`.
    """

    device: str | None
    payload: bytes
    reply_to: Any = None


class LaterMessages(NamedTuple):
    """Messages that are asked for, and published, after `delay` seconds: if this connection still stands."""

    delay: float
    messages: Callable[[], Iterable[OutgoingMessage]]


Outcome = OutgoingMessage | IncomingCommand | LaterMessages


class DeviceProfile(msgspec.Struct, frozen=True):
    """A configured device as formats see it. `commands` are those allowed without a token or signature."""

    driver: str
    label: str = ""
    address: str | None = None
    token: str | None = None
    has_patient: bool = False  # whether its readings carry a patient reference
    thresholds: Mapping[str, Any] = {}
    commands: tuple[str, ...] = ()
    parameters: Mapping[str, Mapping[str, bool]] = {}  # of commands: parameter name -> whether it is required
    values: tuple[str, ...] = ()  # names that its driver gives; () = not known beforehand
    info: Mapping[str, str] = {}  # manufacturer, model, serial, firmware, hardware: those known


@dataclass
class FormatContext:
    """Surroundings of a format at one broker. Times everywhere are microseconds since 1970, UTC."""

    gateway: str
    version: str  # of the product
    qos: int
    options: Any  # an instance of the format's `options_type`
    topics: Any  # BrokerTopics: topics(key, device, metric)
    devices: Mapping[str, DeviceProfile]  # live: follows the settings; only devices that report to this broker
    state: MutableMapping[str, Any] = field(default_factory=dict)  # JSON values, kept durably per broker
    random: Random = field(default_factory=Random)
    head: Callable[[], int] = lambda: 0  # sequence number of the next reading to be stored


class FormatChannel(NamedTuple):
    """A topic that a format publishes to (`send`) or subscribes to (`receive`), for AsyncAPI. `address` is a template:
    {gateway}, {device}, {metric}, {value}; `schema` a JSON Schema of the payload, {} for octets; `command`: of commands
    and their answers; `will`: the last will goes there."""

    name: str
    address: str
    action: str
    title: str
    qos: int
    retain: bool = False
    content_type: str = JSON
    schema: Mapping[str, Any] = {}
    command: bool = False
    will: bool = False


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Formats without options of their own."""


READING_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "schema", "gateway_id", "device_id", "metric_type", "timestamp", "clock"],
    "properties": {
        "id": {"type": "string", "description": "the same for every repeat"},
        "schema": {"type": "integer"},
        "gateway_id": {"type": "string"},
        "device_id": {"type": "string"},
        "patient_id": {"type": "string"},
        "metric_type": {"type": "string"},
        "units": {"type": "object", "additionalProperties": {"type": "string"}, "description": "UCUM, by value"},
        "timestamp": {"type": "string", "format": "date-time"},
        "device_timestamp": {"type": "string"},
        "clock": {"enum": ["synchronised", "unsynchronised", "rectified"]},
        "urgent": {"type": "boolean"},
        "replayed": {"type": "boolean"},
        "quality": {"type": "string"},
        "flags": {"type": "array", "items": {"type": "string"}},
    },
}
STATUS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["status", "timestamp"],
    "properties": {"status": {"type": "string"}, "timestamp": {"type": "string", "format": "date-time"}},
}
COMMAND_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["command"],
    "properties": {
        "id": {"type": "string"},
        "command": {"type": "string"},
        "parameters": {"type": "object"},
        "token": {"type": "string"},
        "issued_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": "string", "format": "date-time"},
        "signature": {"type": "string"},
    },
}
RESPONSE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["id", "status"],
    "properties": {
        "id": {"type": "string"},
        "status": {"enum": ["accepted", "done", "failed", "rejected", "outcome-unknown"]},
        "result": {},
        "error": {},
    },
}
EVENT_SCHEMA: dict[str, Any] = {"type": "object", "required": ["event"], "properties": {"event": {"type": "string"}}}


def contract_channels(topics: Mapping[str, str]) -> Iterable[FormatChannel]:
    """Statuses, events and commands of the contract (section 2)."""
    for key, title, will in (
        ("device_status", "Status of a device", False),
        ("gateway_status", "Status of the gateway", True),
    ):
        yield FormatChannel(key, topics[key], "send", title, 1, True, schema=STATUS_SCHEMA, will=will)
    yield FormatChannel("gateway_events", topics["gateway_events"], "send", "An event", 1, schema=EVENT_SCHEMA)
    for key, title in (("commands", "A command for a device"), ("gateway_commands", "A command for the gateway")):
        yield FormatChannel(key, topics[key], "receive", title, 1, schema=COMMAND_SCHEMA, command=True)
    for key in ("responses", "gateway_responses"):
        title = "The outcome of a command"
        yield FormatChannel(key, topics[key], "send", title, 1, schema=RESPONSE_SCHEMA, command=True)


class SeriesWriter(Protocol):
    """Writer of the readings of one series, made once for all of them: what repeats is written already."""

    content_type: str
    retain: bool

    def write(
        self, values: Mapping[str, Any], identity: bytes, moment: bytes, marks: tuple[str, bool, bool]
    ) -> list[tuple[bytes, bytes]] | None:
        """Topics and payloads, in order; None = `reading` has to do it. `values`: what is the reading's own; `identity`
        and `moment`: its id and timestamp; `marks`: clock, urgent, replayed."""


class PayloadFormat(ABC):
    """One payload dialect at one broker. Methods return messages in the order in which they are published."""

    name: ClassVar[str]
    summary: ClassVar[str]  # one line for `gatepost formats`
    options_type: ClassVar[type[msgspec.Struct]] = NoOptions
    topic_keys: ClassVar[frozenset[str]] = frozenset()  # keys of `topics` that settings may override
    default_topics: ClassVar[Mapping[str, str]] = {}  # where they differ from the contract's
    batches: ClassVar[bool] = False  # whether `batch.readings` > 1 has an effect
    batch_octets: ClassVar[int] = 128 * 1024  # no batch is made larger; one reading above it goes alone
    waveforms: ClassVar[bool] = True  # False: waveforms are done without a message (`gatepost check` says so)
    reading_qos: ClassVar[int | None] = None  # where the dialect fixes topic, QoS and retain of readings
    contract_commands: ClassVar[bool] = True  # False: commands come in the dialect's own way only
    carried: ClassVar[bool] = True  # False: its messages belong to a connection, another gateway cannot send them
    acknowledged_by_ping: ClassVar[bool] = False  # readings go at QoS 0 and are done with the next PINGRESP

    def __init__(self, context: FormatContext) -> None:
        self.context = context

    # --- moments. What the contract says of statuses and events (section 2) is the default.

    def will(self, now: int) -> OutgoingMessage | None:
        """The will of the CONNECT that follows; None = none."""
        return self.gateway_status("offline", now, "the connection was lost")

    def subscriptions(self) -> Mapping[str, int]:
        """Topic filters (and QoS) that the format needs itself, subscribed before `connected`."""
        return {}

    def connected(self, now: int) -> Iterable[OutgoingMessage]:
        """The connection is up and subscribed; nothing else was sent on it. Statuses of all devices follow."""
        return [self.gateway_status("online", now)]

    @property
    def carries_flags(self) -> bool:
        """Whether its messages say what a reading's flags say. False: data of demonstrations, tests and controls is not
        sent, as it would pass for a patient's."""
        return False

    @property
    def ready(self) -> bool:
        """False: readings wait (a primary host is away). Asked again after each `incoming`."""
        return True

    @property
    def hang_up(self) -> str:
        """Not empty: publish what was returned, then disconnect for this reason and connect anew."""
        return ""

    @abstractmethod
    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        """The messages of a reading; it is done when all are acknowledged. Empty: done without a message."""

    def series_writer(
        self, device: str, patient: str | None, members: Mapping[str, Any], template: str | None
    ) -> SeriesWriter | None:
        """A quicker way than `reading`, with the same messages, for readings with these members in common; `template`:
        the topic of their route. None = there is none."""
        return None

    def batch(self, readings: Sequence[StoredReading], now: int) -> Sequence[OutgoingMessage]:
        """The messages of several readings together; only called where `batches`."""
        return [message for reading in readings for message in self.reading(reading, now)]

    def event(self, event: Mapping[str, Any], now: int) -> Sequence[OutgoingMessage]:
        """The messages of a gateway event (contract JSON)."""
        ids = (("schema", str(event.get("schema", 1))), ("id", str(event.get("id", ""))))
        return [OutgoingMessage(self.context.topics("gateway_events"), orjson.dumps(event), 1, False, JSON, ids)]

    def device_status(self, device: str, status: Mapping[str, Any], now: int) -> Iterable[OutgoingMessage]:
        """The status of a device changed, or is told anew after connecting."""
        topic = self.context.topics("device_status", device)
        return [OutgoingMessage(topic, orjson.dumps(status), 1, True, JSON)]

    def profile_changed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        """A device was added, or its label, commands or what it told of itself are others than were said last."""
        return ()

    def removed(self, device: str, now: int) -> Iterable[OutgoingMessage]:
        """A device is no longer in the settings, or no longer reports to this broker."""
        return ()

    def incoming(self, topic: str, payload: bytes, retain: bool, now: int) -> Iterable[Outcome]:
        """A message on one of `subscriptions`. Never raises: nonsense is answered in the dialect's way or ignored."""
        return ()

    def response(self, response: Mapping[str, Any], reply_to: Any, now: int) -> Iterable[OutgoingMessage]:
        """The outcome of an IncomingCommand (contract JSON, section 4); several may come (accepted, then done)."""
        return ()

    def disconnecting(self, now: int, why: str = "stopped") -> Iterable[OutgoingMessage]:
        """Last messages before a clean DISCONNECT."""
        return [self.gateway_status("offline", now, why)]

    def leaving(self, now: int) -> Iterable[OutgoingMessage]:
        """After `disconnecting`, where the broker was taken out of the settings or is given another format or `place`:
        empty retained messages for what would stay there for ever."""
        return ()

    @property
    def place(self) -> tuple[str, ...]:
        """Topics that say where at the broker its retained messages lie."""
        return ()

    def gateway_status(self, status: str, now: int, reason: str = "") -> OutgoingMessage:
        """The contract's retained status of the gateway."""
        body = {"gateway_id": self.context.gateway, "status": status, "timestamp": rfc3339(now)}
        if reason:
            body["reason"] = reason
        return OutgoingMessage(self.context.topics("gateway_status"), orjson.dumps(body), 1, True, JSON)

    # --- for formats whose readings go to one topic

    def message(
        self,
        reading: StoredReading,
        payload: bytes,
        content_type: str = JSON,
        value: str = "",
        retain: bool = False,
        expiry: int | None = None,
    ) -> OutgoingMessage:
        """A message of this reading on topic `data`, with the topic, QoS and retain of its route where that says so."""
        template, qos, kept = self.way(reading, retain)
        topic = self.context.topics("data", reading.device, reading.metric, value, template)
        return OutgoingMessage(topic, payload, qos, kept, content_type, reading.user_properties, expiry)

    def way(self, reading: StoredReading, retain: bool) -> tuple[str | None, int, bool]:
        """Template of the topic (None: that of `data`), QoS and retain of a reading's messages."""
        rule, qos = reading.route, self.context.qos
        if rule is None:
            return None, qos, retain
        return rule.topic, qos if rule.qos is None else rule.qos, retain if rule.retain is None else rule.retain

    # --- for `gatepost asyncapi` and `gatepost check`

    @classmethod
    def channels(cls, options: Any, topics: Mapping[str, str], qos: int) -> Iterable[FormatChannel]:
        """Every topic of the format; `topics`: templates by key, as this broker has them."""
        yield FormatChannel("data", topics["data"], "send", "A reading", qos, schema=READING_SCHEMA)
        yield from contract_channels(topics)

    @classmethod
    def warnings(cls, options: Any, devices: Mapping[str, DeviceProfile]) -> Iterable[tuple[str, str, str]]:
        """(key below the broker, sentence, hint) of what this format will not carry, or carries visibly."""
        return ()


class ContractFormat(PayloadFormat):
    """Format `devices` as far as it is no reading: statuses and events of the contract. Readings: devices.py."""

    name: ClassVar[str] = "devices"
    summary: ClassVar[str] = "one JSON object a reading: your own programs (docs/interfaces.md)"
    topic_keys: ClassVar[frozenset[str]] = CONTRACT_TOPICS
    batches: ClassVar[bool] = True

    @property
    def carries_flags(self) -> bool:
        return True

    def reading(self, reading: StoredReading, now: int) -> Sequence[OutgoingMessage]:
        return [self.message(reading, orjson.dumps(reading.as_json()))]
