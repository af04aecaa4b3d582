"""JSON views that agent, API and client share, member by member: reading payload, device, broker.

The payload is that of docs/interfaces.md, "Readings"; the API's schemas and the client's types are these classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, Protocol, TypedDict

from gatepost.agent.core.conditions import Condition

PAYLOAD_SCHEMA = 1  # `schema` of every payload


class _PayloadHead(TypedDict):
    id: str
    schema: int
    gateway_id: str
    device_id: str
    metric_type: str
    timestamp: str
    clock: Literal["synchronised", "unsynchronised", "rectified"]
    urgent: bool
    replayed: bool


class ReadingPayload(_PayloadHead, total=False):
    """One reading; its values stand beside these members, by name. `samples` and what follows belong to a waveform."""

    patient_id: str
    units: dict[str, str]
    quality: str
    flags: list[str]
    device_timestamp: str
    samples: list[int | float]
    rate_hz: float
    scale: float
    offset: float
    unit: str
    channel: int | str


PAYLOAD_MEMBERS = frozenset(ReadingPayload.__annotations__)
# Of a waveform, what a table shows in rows of its own, beside the values.
WAVEFORM_ROWS = ("samples", "rate_hz", "scale", "offset", "channel")


class ConfiguredView(TypedDict, total=False):
    """Members that the API adds: `configured` are the settings as one would send them back, `origin` where they are
    written, `etag` what If-Match takes, `warnings` what a change brought to light."""

    configured: dict[str, Any]
    origin: Any
    etag: str | None
    warnings: list[Any]


class CommandView(TypedDict):
    """A command of a device; `parameters` is a JSON Schema, `timeout` in seconds. `allowed`, of a configured device:
    whether commands.allow has it."""

    name: str
    title: str
    parameters: dict[str, Any]
    timeout: float | None
    example: Any
    allowed: NotRequired[bool]


class DeviceView(ConfiguredView):
    """One device at this moment. `label` and `room` are free texts for people, `title` is the driver's, `brokers` null
    = all. `condition`: ok, idle (as it should be, such as asleep), or error, which needs a person. `reason` is a stable
    key, `message` and `hint` its words; times are RFC 3339.

    `faults` counts by kind what went wrong, the decoder's and the port's included; `decoder_faults` are the decoder's
    alone, `faults_recent` how many of those came within the last minute or two. `every` is the interval in force in
    seconds, `desired` what commands ordered; `orders` tells which of it is in force because of a command: `stopped`,
    `timed` (with `until`), `interval` (with `seconds`), each with `source` and `since`, null where that is not known.
    `quiet_for` are the seconds since its last byte (since it was opened when there was none), `usual_gap` those between
    two readings as a rule; null = not known, or it has no rule. `next_retry_in` is in seconds. `doing` is something
    long that it is at. What the device told of itself (battery, signal_strength, firmware, ...) stands beside these.
    """

    id: str
    label: str | None
    room: str | None
    driver: str
    title: str
    port: str | None
    brokers: list[str] | None
    status: str
    condition: Condition
    since: str
    reason: str | None
    message: str
    hint: str
    readings: int
    last_reading: str | None
    faults: dict[str, int]
    decoder_faults: dict[str, int]
    faults_recent: int
    last_fault: str
    every: float
    monitoring: bool
    desired: dict[str, Any]
    orders: dict[str, dict[str, Any]]
    thresholds: dict[str, dict[str, float | None]]
    bytes: int
    decoded: int
    unreported: int
    dropped: int
    reconnects: int
    next_retry_in: float | None
    quiet_for: float | None
    usual_gap: float | None
    doing: NotRequired[dict[str, Any]]
    commands: NotRequired[list[CommandView]]


class BrokerView(ConfiguredView):
    """One broker at this moment. `condition`: ok, idle (switched off, or connecting at first), or error. `active` is
    whether it should be connected, `protocol` the version of MQTT in use, `next_attempt_in` in seconds; counts are of
    this run, `losses` of connections within five minutes. `in_flight` readings are sent and not acknowledged,
    `suspect` is the id of a reading that may make the broker hang up, `refused_topics` are subscriptions that it does
    not grant, each with its reason. `owed` is what waits for it, `settings` the effective ones as text.
    """

    name: str
    label: str | None
    format: str
    url: str
    state: str
    condition: Condition
    since: str
    reason: str
    hint: str
    active: bool
    endpoint: str | None
    protocol: str | None
    connects: int
    losses: int
    attempts: int
    next_attempt_in: float | None
    offline_since: str | None
    in_flight: int
    sent: int
    delivered: int
    delivered_by_lane: dict[str, int]
    refused: int
    dead_letters: int
    not_routed: int
    skipped: int
    refused_topics: dict[str, str]
    suspect: str | None
    owed: NotRequired[dict[str, Any] | None]
    settings: NotRequired[dict[str, str]]


class ViewedBroker(Protocol):
    def as_dict(self) -> BrokerView: ...


class ViewedBrokers(Protocol):
    def views(self) -> Sequence[ViewedBroker]: ...


class ViewedDevices(Protocol):
    def views(self) -> list[DeviceView]: ...
