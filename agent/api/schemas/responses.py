"""What the routes answer, as types: for the OpenAPI document and its readers. Loaded only when that is asked for.

Further members may come: who reads an answer ignores what it does not know.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from msgspec import UNSET, Struct, UnsetType

from gatepost.agent.core.views import ReadingPayload
from gatepost.agent.diagnostics.finding import Finding

State = dict[str, Any]


class ErrorDetail(Struct):
    """`key` is stable, `message` a sentence, `hint` what to do."""

    key: str
    message: str
    hint: str


class ErrorBody(Struct):
    error: ErrorDetail


class HealthReport(Struct):
    status: Literal["ok"]


class ClockState(Struct):
    now: str
    synchronised: bool
    boot: str


class HealthParts(Struct):
    store: State
    clock: ClockState
    devices: dict[str, str]
    brokers: dict[str, str]


class HealthDetailed(Struct):
    status: Literal["ok", "degraded"]
    parts: HealthParts


class GatewayInfo(Struct):
    id: str
    organization: str | None
    labels: dict[str, str]


class BrokerView(Struct):
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


class BrokerList(Struct):
    brokers: list[BrokerView]


class CommandView(Struct):
    """`parameters` is a JSON Schema."""

    name: str
    title: str
    parameters: State
    timeout: float | None
    example: Any = UNSET


class DeviceView(Struct):
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
    commands: list[CommandView] | UnsetType = UNSET
    configured: State | UnsetType = UNSET
    origin: Any = UNSET
    etag: str | UnsetType | None = UNSET
    warnings: list[Any] | UnsetType = UNSET


class DeviceList(Struct):
    devices: list[DeviceView]


class StatusReport(Struct):
    version: str
    started: str
    uptime: float
    gateway: GatewayInfo
    clock: ClockState
    store: State
    devices: list[DeviceView]
    brokers: list[BrokerView]
    settings: State


class StatsReport(Struct):
    uptime: float | None
    store: State
    events_lost: int
    devices: dict[str, DeviceView]
    brokers: dict[str, BrokerView]


class SettingView(Struct):
    """`origin` is `file:line:column`, `default` or the like."""

    key: str
    value: str
    origin: str


class SettingsShown(Struct):
    settings: list[SettingView]


class FindingList(Struct):
    findings: list[Finding]


class ReloadResult(Struct):
    applied: bool
    changed: list[str]
    problems: list[str]


class CommandOutcome(Struct):
    """The outcome of a command. A rejected one has the status of its error."""

    id: str
    command: str
    status: Literal["accepted", "done", "failed", "rejected", "outcome-unknown"]
    timestamp: str
    result: Any = None
    error: ErrorDetail | None = None
    device_id: str | UnsetType | None = UNSET
    gateway_id: str | UnsetType = UNSET


class LedgerEntryView(Struct):
    """Of the ledger of commands."""

    id: str
    device_id: str | None
    command: str
    source: str
    status: str
    recorded: str
    finished: str | None
    response: State | None


class LedgerPage(Struct):
    commands: list[LedgerEntryView]
    cursor: int | None


class ReadingList(Struct):
    """`cursor` leads to the next page; null after the last one."""

    readings: list[ReadingPayload]
    cursor: int | str | None


class BacklogView(Struct):
    backlog: list[State]


class GapList(Struct):
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


class AuditPage(Struct):
    audit: list[AuditEntry]
    cursor: int | None


class TokenView(Struct):
    """Times are RFC 3339; `expires` null = until it is revoked."""

    id: str
    name: str
    role: Literal["viewer", "operator", "admin"]
    created: str
    expires: str | None
    used: str | None
    publish: list[str]
    subscribe: list[str]


class TokenList(Struct):
    tokens: list[TokenView]


class NewToken(TokenView):
    """`token` is its text, told this once."""

    token: str


class SessionView(Struct):
    """`csrf` goes with every request of a page that changes something, as X-CSRF-Token."""

    name: str
    role: Literal["viewer", "operator", "admin"]
    publish: list[str]
    subscribe: list[str]
    csrf: str | None


class SignedOut(Struct):
    ended: bool


class LoginCode(Struct):
    code: str
    role: Literal["viewer", "operator", "admin"]
    seconds: float


class DriverList(Struct):
    drivers: list[str]


class DriverView(Struct):
    name: str
    title: str
    options: State
    commands: list[CommandView]


class BrokerRemoved(Struct):
    name: str
    removed: bool


class DeviceRemoved(Struct):
    id: str
    removed: bool


class SubscriptionList(Struct):
    subscriptions: list[State]


class MessagePage(Struct):
    messages: list[State]
    cursor: int | None


class TopicList(Struct):
    topics: list[State]


class DiscoveredBrokers(Struct):
    brokers: list[State]
    hint: str


class RouteReply(NamedTuple):
    """Of one route: the type of its JSON (None = no JSON), the statuses of success, the media type, and another one
    that the client may accept."""

    kind: Any
    statuses: tuple[int, ...] = (200,)
    media: str = "application/json"
    other: str | None = None


JSON = "application/json"
LINES = "application/x-ndjson"
V1 = "/api/v1"

REPLIES: dict[tuple[str, str], RouteReply] = {
    ("GET", "/health"): RouteReply(HealthReport),
    ("GET", "/health/detailed"): RouteReply(HealthDetailed),
    ("GET", "/metrics"): RouteReply(None, media="text/plain"),
    ("GET", f"{V1}/status"): RouteReply(StatusReport),
    ("GET", f"{V1}/stats"): RouteReply(StatsReport),
    ("GET", f"{V1}/settings"): RouteReply(SettingsShown),
    ("GET", f"{V1}/doctor"): RouteReply(FindingList),
    ("POST", f"{V1}/reload"): RouteReply(ReloadResult),
    ("POST", f"{V1}/gateway/command"): RouteReply(CommandOutcome, (200, 202)),
    ("GET", f"{V1}/brokers"): RouteReply(BrokerList),
    ("POST", f"{V1}/brokers"): RouteReply(BrokerView, (201,)),
    ("GET", f"{V1}/brokers/status"): RouteReply(BrokerList),
    ("GET", f"{V1}/brokers/discovered"): RouteReply(DiscoveredBrokers),
    ("GET", f"{V1}/brokers/{{name}}"): RouteReply(BrokerView),
    ("PUT", f"{V1}/brokers/{{name}}"): RouteReply(BrokerView, (200, 201)),
    ("DELETE", f"{V1}/brokers/{{name}}"): RouteReply(BrokerRemoved),
    ("POST", f"{V1}/brokers/{{name}}/control"): RouteReply(BrokerView),
    ("GET", f"{V1}/devices"): RouteReply(DeviceList),
    ("POST", f"{V1}/devices"): RouteReply(DeviceView, (201,)),
    ("GET", f"{V1}/devices/{{id}}"): RouteReply(DeviceView),
    ("PUT", f"{V1}/devices/{{id}}"): RouteReply(DeviceView, (200, 201)),
    ("DELETE", f"{V1}/devices/{{id}}"): RouteReply(DeviceRemoved),
    ("GET", f"{V1}/devices/{{id}}/data"): RouteReply(ReadingList, other="text/csv"),
    ("GET", f"{V1}/devices/{{id}}/raw"): RouteReply(None, media=LINES),
    ("POST", f"{V1}/devices/{{id}}/command"): RouteReply(CommandOutcome, (200, 202)),
    ("GET", f"{V1}/devices/{{id}}/commands"): RouteReply(LedgerPage),
    ("GET", f"{V1}/drivers"): RouteReply(DriverList),
    ("GET", f"{V1}/drivers/{{driver}}"): RouteReply(DriverView),
    ("GET", f"{V1}/readings"): RouteReply(ReadingList, other="text/csv"),
    ("GET", f"{V1}/readings/follow"): RouteReply(None, media=LINES),
    ("GET", f"{V1}/backlog"): RouteReply(BacklogView),
    ("GET", f"{V1}/gaps"): RouteReply(GapList),
    ("GET", f"{V1}/dead-letters"): RouteReply(DeadLetters),
    ("GET", f"{V1}/audit"): RouteReply(AuditPage),
    ("GET", f"{V1}/tokens"): RouteReply(TokenList),
    ("POST", f"{V1}/tokens"): RouteReply(NewToken, (201,)),
    ("DELETE", f"{V1}/tokens/{{id}}"): RouteReply(TokenView),
    ("GET", f"{V1}/session"): RouteReply(SessionView),
    ("POST", f"{V1}/session"): RouteReply(SessionView, (201,)),
    ("DELETE", f"{V1}/session"): RouteReply(SignedOut),
    ("POST", f"{V1}/session/code"): RouteReply(LoginCode, (201,)),
    ("POST", f"{V1}/publish"): RouteReply(State, (200, 202)),
    ("POST", f"{V1}/broadcast"): RouteReply(State, (200, 202)),
    ("GET", f"{V1}/subscriptions"): RouteReply(SubscriptionList),
    ("POST", f"{V1}/subscriptions"): RouteReply(State, (200, 201)),
    ("DELETE", f"{V1}/subscriptions/{{topic:path}}"): RouteReply(State),
    ("GET", f"{V1}/messages"): RouteReply(MessagePage),
    ("GET", f"{V1}/topics"): RouteReply(TopicList),
    ("GET", "/openapi.json"): RouteReply(dict[str, Any]),
}
