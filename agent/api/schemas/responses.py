"""What the routes answer, as types: for the OpenAPI document and its readers. Loaded only when that is asked for.

Further members may come: who reads an answer ignores what it does not know.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from gatepost.agent.diagnostics.finding import Finding

State = dict[str, Any]


class Problem(Struct):
    """`key` is stable, `message` a sentence, `hint` what to do."""

    key: str
    message: str
    hint: str


class Error(Struct):
    error: Problem


class Health(Struct):
    status: Literal["ok"]


class Clock(Struct):
    now: str
    synchronised: bool
    boot: str


class Parts(Struct):
    store: State
    clock: Clock
    devices: dict[str, str]
    brokers: dict[str, str]


class HealthDetailed(Struct):
    status: Literal["ok", "degraded"]
    parts: Parts


class Gateway(Struct):
    id: str
    organization: str | None
    labels: dict[str, str]


class Broker(Struct):
    """`owed` is what it is still owed, `configured` its settings as one would send them back."""

    name: str
    state: str
    url: str
    reason: str
    since: str | UnsetType = UNSET
    hint: str | UnsetType = UNSET
    endpoint: str | UnsetType | None = UNSET
    owed: State | UnsetType | None = UNSET
    settings: dict[str, str] | UnsetType = UNSET
    configured: State | UnsetType = UNSET
    origin: Any = UNSET
    etag: str | UnsetType | None = UNSET
    warnings: list[Any] | UnsetType = UNSET


class Brokers(Struct):
    brokers: list[Broker]


class Command(Struct):
    """`parameters` is a JSON Schema."""

    name: str
    title: str
    parameters: State
    timeout: float | None
    example: Any = UNSET


class Device(Struct):
    id: str
    driver: str
    port: str | None
    status: str
    since: str
    reason: str | None
    message: str
    hint: str
    readings: int
    last_reading: str | None
    faults: dict[str, int]
    every: float
    monitoring: bool
    commands: list[Command] | UnsetType = UNSET
    configured: State | UnsetType = UNSET
    origin: Any = UNSET
    etag: str | UnsetType | None = UNSET
    warnings: list[Any] | UnsetType = UNSET


class Devices(Struct):
    devices: list[Device]


class Status(Struct):
    version: str
    started: str
    uptime: float
    gateway: Gateway
    clock: Clock
    store: State
    devices: list[Device]
    brokers: list[Broker]
    settings: State


class Stats(Struct):
    uptime: float | None
    store: State
    events_lost: int
    devices: dict[str, Device]
    brokers: dict[str, Broker]


class Setting(Struct):
    """`origin` is `file:line:column`, `default` or the like."""

    key: str
    value: str
    origin: str


class SettingsShown(Struct):
    settings: list[Setting]


class Findings(Struct):
    findings: list[Finding]


class Reloaded(Struct):
    applied: bool
    changed: list[str]
    problems: list[str]


class Response(Struct):
    """The outcome of a command. A rejected one has the status of its error."""

    id: str
    command: str
    status: Literal["accepted", "done", "failed", "rejected", "outcome-unknown"]
    timestamp: str
    result: Any = None
    error: Problem | None = None
    device_id: str | UnsetType | None = UNSET
    gateway_id: str | UnsetType = UNSET


class Entry(Struct):
    """Of the ledger of commands."""

    id: str
    device_id: str | None
    command: str
    source: str
    status: str
    recorded: str
    finished: str | None
    response: State | None


class Entries(Struct):
    commands: list[Entry]
    cursor: int | None


class Reading(Struct):
    """The values stand beside these members, by name."""

    id: str
    schema: int
    gateway_id: str
    device_id: str
    metric_type: str
    timestamp: str
    clock: Literal["synchronised", "unsynchronised", "rectified"]
    urgent: bool
    replayed: bool
    patient_id: str | UnsetType = UNSET
    units: dict[str, str] | UnsetType = UNSET
    quality: str | UnsetType = UNSET
    flags: list[str] | UnsetType = UNSET


class Readings(Struct):
    """`cursor` leads to the next page; null after the last one."""

    readings: list[Reading]
    cursor: int | str | None


class Backlog(Struct):
    backlog: list[State]


class Gaps(Struct):
    gaps: list[State]


class DeadLetter(Struct):
    time: str
    broker: str
    reading: str
    code: int | None
    reason: str | None


class DeadLetters(Struct):
    dead_letters: list[DeadLetter]


class AuditEntry(Struct):
    seq: int
    time: str
    what: str


class Audited(Struct):
    audit: list[AuditEntry]
    cursor: int | None


class Token(Struct):
    """Times are RFC 3339; `expires` null = until it is revoked."""

    id: str
    name: str
    role: Literal["viewer", "operator", "admin"]
    created: str
    expires: str | None
    used: str | None
    publish: list[str]
    subscribe: list[str]


class Tokens(Struct):
    tokens: list[Token]


class NewToken(Token):
    """`token` is its text, told this once."""

    token: str


class Session(Struct):
    """`csrf` goes with every request of a page that changes something, as X-CSRF-Token."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    publish: list[str]
    subscribe: list[str]
    csrf: str | None


class Ended(Struct):
    ended: bool


class Code(Struct):
    code: str
    role: Literal["viewer", "operator", "admin"]
    seconds: float


class Drivers(Struct):
    drivers: list[str]


class Driver(Struct):
    name: str
    title: str
    options: State
    commands: list[Command]


class BrokerRemoved(Struct):
    name: str
    removed: bool


class DeviceRemoved(Struct):
    id: str
    removed: bool


class Subscriptions(Struct):
    subscriptions: list[State]


class Messages(Struct):
    messages: list[State]
    cursor: int | None


class Topics(Struct):
    topics: list[State]


class Discovered(Struct):
    brokers: list[State]
    hint: str


class Reply(NamedTuple):
    """Of one route: the type of its JSON (None = no JSON), the statuses of success, the media type, and another one
    that the client may accept."""

    kind: Any
    statuses: tuple[int, ...] = (200,)
    media: str = "application/json"
    other: str | None = None


JSON = "application/json"
LINES = "application/x-ndjson"
V1 = "/api/v1"

REPLIES: dict[tuple[str, str], Reply] = {
    ("GET", "/health"): Reply(Health),
    ("GET", "/health/detailed"): Reply(HealthDetailed),
    ("GET", "/metrics"): Reply(None, media="text/plain"),
    ("GET", f"{V1}/status"): Reply(Status),
    ("GET", f"{V1}/stats"): Reply(Stats),
    ("GET", f"{V1}/settings"): Reply(SettingsShown),
    ("GET", f"{V1}/doctor"): Reply(Findings),
    ("POST", f"{V1}/reload"): Reply(Reloaded),
    ("POST", f"{V1}/gateway/command"): Reply(Response, (200, 202)),
    ("GET", f"{V1}/brokers"): Reply(Brokers),
    ("POST", f"{V1}/brokers"): Reply(Broker, (201,)),
    ("GET", f"{V1}/brokers/status"): Reply(Brokers),
    ("GET", f"{V1}/brokers/discovered"): Reply(Discovered),
    ("GET", f"{V1}/brokers/{{name}}"): Reply(Broker),
    ("PUT", f"{V1}/brokers/{{name}}"): Reply(Broker, (200, 201)),
    ("DELETE", f"{V1}/brokers/{{name}}"): Reply(BrokerRemoved),
    ("POST", f"{V1}/brokers/{{name}}/control"): Reply(Broker),
    ("GET", f"{V1}/devices"): Reply(Devices),
    ("POST", f"{V1}/devices"): Reply(Device, (201,)),
    ("GET", f"{V1}/devices/{{id}}"): Reply(Device),
    ("PUT", f"{V1}/devices/{{id}}"): Reply(Device, (200, 201)),
    ("DELETE", f"{V1}/devices/{{id}}"): Reply(DeviceRemoved),
    ("GET", f"{V1}/devices/{{id}}/data"): Reply(Readings, other="text/csv"),
    ("GET", f"{V1}/devices/{{id}}/raw"): Reply(None, media=LINES),
    ("POST", f"{V1}/devices/{{id}}/command"): Reply(Response, (200, 202)),
    ("GET", f"{V1}/devices/{{id}}/commands"): Reply(Entries),
    ("GET", f"{V1}/drivers"): Reply(Drivers),
    ("GET", f"{V1}/drivers/{{driver}}"): Reply(Driver),
    ("GET", f"{V1}/readings"): Reply(Readings, other="text/csv"),
    ("GET", f"{V1}/readings/follow"): Reply(None, media=LINES),
    ("GET", f"{V1}/backlog"): Reply(Backlog),
    ("GET", f"{V1}/gaps"): Reply(Gaps),
    ("GET", f"{V1}/dead-letters"): Reply(DeadLetters),
    ("GET", f"{V1}/audit"): Reply(Audited),
    ("GET", f"{V1}/tokens"): Reply(Tokens),
    ("POST", f"{V1}/tokens"): Reply(NewToken, (201,)),
    ("DELETE", f"{V1}/tokens/{{id}}"): Reply(Token),
    ("GET", f"{V1}/session"): Reply(Session),
    ("POST", f"{V1}/session"): Reply(Session, (201,)),
    ("DELETE", f"{V1}/session"): Reply(Ended),
    ("POST", f"{V1}/session/code"): Reply(Code, (201,)),
    ("POST", f"{V1}/publish"): Reply(State, (200, 202)),
    ("POST", f"{V1}/broadcast"): Reply(State, (200, 202)),
    ("GET", f"{V1}/subscriptions"): Reply(Subscriptions),
    ("POST", f"{V1}/subscriptions"): Reply(State, (200, 201)),
    ("DELETE", f"{V1}/subscriptions/{{topic:path}}"): Reply(State),
    ("GET", f"{V1}/messages"): Reply(Messages),
    ("GET", f"{V1}/topics"): Reply(Topics),
    ("GET", "/openapi.json"): Reply(dict[str, Any]),
}
