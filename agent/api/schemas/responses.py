"""Response schemas: what handlers return, for type checkers and the OpenAPI document; loaded only for that document.

Further members may come: readers ignore those that they do not know.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from gatepost.agent.api.auth.principal import Role, TokenRole
from gatepost.agent.api.schemas.carried_responses import CarriedProgress as CarriedProgress
from gatepost.agent.api.schemas.carried_responses import OwedMessages as OwedMessages
from gatepost.agent.api.schemas.carried_responses import OwedRanges as OwedRanges
from gatepost.agent.api.schemas.carried_responses import ReceiptTaken as ReceiptTaken
from gatepost.agent.commands.model import Status
from gatepost.agent.core.views import BrokerView as BrokerView
from gatepost.agent.core.views import CommandView as CommandView
from gatepost.agent.core.views import DeviceView as DeviceView
from gatepost.agent.core.views import ReadingPayload
from gatepost.agent.diagnostics.finding import Finding

State = dict[str, Any]


class ErrorDetail(TypedDict):
    """`key` is stable, `message` a sentence, `hint` what to do."""

    key: str
    message: str
    hint: str


class ErrorBody(TypedDict):
    error: ErrorDetail


class HealthReport(TypedDict):
    """`mqtt_connected`: the default broker, or any where there is no default; `uptime` in seconds; `message_count`:
    messages received."""

    status: Literal["healthy", "degraded"]
    mqtt_connected: bool
    uptime: float | None
    message_count: int
    active_subscriptions: int
    websocket_connections: int


class ClockState(TypedDict):
    now: str
    synchronised: bool
    boot: str


class ListenerHealth(TypedDict):
    """`state`: off, ok, or why it is not served."""

    state: str
    connected: int


class HealthParts(TypedDict):
    store: State
    clock: ClockState
    devices: dict[str, str]
    brokers: dict[str, str]
    listener: ListenerHealth


class HealthDetailed(TypedDict):
    status: Literal["ok", "degraded"]
    parts: HealthParts


class GatewayInfo(TypedDict):
    id: str
    organization: str | None
    labels: dict[str, str]


class BrokerList(TypedDict):
    brokers: list[BrokerView]


class DeviceList(TypedDict):
    devices: list[DeviceView]


class FleetState(TypedDict):
    """Desired state: `version` is in force, `decided` is the newest one judged, and `status` its outcome; `unreported`
    reports wait for the broker; `manual`: a trial waits until a person confirms it."""

    broker: str
    version: int | None
    decided: int | None
    status: Literal["trying", "applied", "refused", "reverted", "superseded"] | None
    reason: str | None
    problems: list[dict[str, str]]
    at: str | None
    unreported: int
    manual: bool


class ListenerTrouble(TypedDict):
    """`trouble`: why devices that speak MQTT cannot connect; `certificate_ends`: of the one in use."""

    trouble: str
    certificate_ends: NotRequired[str | None]


class StatusReport(TypedDict):
    version: str
    started: str
    uptime: float
    gateway: GatewayInfo
    clock: ClockState
    store: State
    devices: list[DeviceView]
    brokers: list[BrokerView]
    settings: State
    api: State | None
    listener: ListenerTrouble | None
    fleet: FleetState | None


class ListenerClient(TypedDict):
    """A connection of a device; times are RFC 3339."""

    device: str
    client_id: str
    address: str
    protocol: Literal["5", "3.1.1"]
    tls: bool
    since: str
    last: str
    unacknowledged: int


class ListenerView(TypedDict):
    """Devices that speak MQTT to the gateway; `refused` counts by reason: auth, topic, payload, malformed, rate."""

    isInitialized: bool
    connectedClients: int
    authenticatedClients: int
    host: str | None
    port: int | None
    tls: bool
    ws: str | None
    received: int
    stored: int
    unacknowledged: int
    sessions: int
    refused: dict[str, int]
    trouble: str
    clients: list[ListenerClient]


class RefusedMessage(TypedDict):
    """The newest message of a device on a topic that was refused for this reason: `age` in seconds, `count` of them,
    `size` in octets; `payload`: the first 512 octets as text, null where it may hold a secret."""

    device: str
    topic: str
    reason: str
    age: float
    count: int
    size: int
    payload: str | None


class RefusedMessageList(TypedDict):
    refused: list[RefusedMessage]


class HungUp(TypedDict):
    """`ended`: how many connections of the device were ended."""

    device: str
    ended: int


class StatsReport(TypedDict):
    uptime: float | None
    store: State
    events_lost: int
    devices: dict[str, DeviceView]
    brokers: dict[str, BrokerView]
    listener: ListenerView


class SettingView(TypedDict):
    """`origin` is `file:line:column`, `default` or the like; `help` says what the key means; `editable`: the API may
    change it."""

    key: str
    value: str
    origin: str
    help: str
    editable: bool


class SettingsShown(TypedDict):
    settings: list[SettingView]


class FindingList(TypedDict):
    findings: list[Finding]


class ReloadResult(TypedDict):
    """`tried`: refused while it was applied; a check of the files finds no mistake. `unserved`: applied, and the API or
    the listener is not served as the settings say."""

    applied: bool
    changed: list[str]
    problems: list[str]
    tried: NotRequired[bool]
    unserved: NotRequired[bool]


class CommandOutcome(TypedDict):
    """The outcome of a command. A rejected one has the status of its error."""

    id: str
    command: str
    status: Status
    timestamp: str
    result: Any
    error: ErrorDetail | None
    device_id: NotRequired[str | None]
    gateway_id: NotRequired[str]


class LedgerEntryView(TypedDict):
    """A command in the ledger."""

    id: str
    device_id: str | None
    command: str
    source: str
    status: str
    recorded: str
    finished: str | None
    response: Any


class LedgerPage(TypedDict):
    commands: list[LedgerEntryView]
    cursor: int | None


class ReadingList(TypedDict):
    """`cursor` leads to the next page; null after the last one."""

    readings: list[ReadingPayload]
    cursor: int | None


class BacklogView(TypedDict):
    backlog: list[State]


class GapList(TypedDict):
    gaps: list[State]


class LossView(TypedDict):
    """Which stored readings may be missing; empty = none, or marked as seen."""

    loss: str


class DeadLetter(TypedDict):
    time: str
    broker: str
    reading: str
    code: int | None
    reason: str | None


class DeadLetters(TypedDict):
    dead_letters: list[DeadLetter]


class AuditEntry(TypedDict):
    seq: int
    time: str
    what: str


class AuditPage(TypedDict):
    audit: list[AuditEntry]
    cursor: int | None


class TokenView(TypedDict):
    """Times are RFC 3339; `expires` null = until it is revoked."""

    id: str
    name: str
    role: TokenRole
    created: str
    expires: str | None
    used: str | None
    publish: list[str]
    subscribe: list[str]
    device: str | None
    kiosk: bool


class TokenList(TypedDict):
    tokens: list[TokenView]


class NewToken(TokenView):
    """`token` is its text, shown only once."""

    token: str


class SessionView(TypedDict):
    """`csrf` goes with every request of a page that changes something, as X-CSRF-Token; `kiosk`: a board."""

    name: str
    role: Role
    publish: list[str]
    subscribe: list[str]
    csrf: str | None
    kiosk: bool


class SignedOut(TypedDict):
    ended: bool


class LoginSessionView(TypedDict):
    id: str
    name: str
    role: Role
    address: str
    token: str | None
    opened: str
    seen: str


class SessionList(TypedDict):
    sessions: list[LoginSessionView]


class SessionEnded(TypedDict):
    id: str
    ended: bool


class LoginCode(TypedDict):
    code: str
    role: Role
    kiosk: bool
    seconds: float


class DriverList(TypedDict):
    drivers: list[str]
    titles: dict[str, str]


class DriverView(TypedDict):
    name: str
    title: str
    transport: str
    options: State
    commands: list[CommandView]


class FormatList(TypedDict):
    formats: list[str]


class FormatView(TypedDict):
    """`options` is a JSON Schema."""

    name: str
    summary: str
    options: dict[str, Any]


class BrokerRemoved(TypedDict):
    name: str
    removed: bool


class DeviceRemoved(TypedDict):
    id: str
    removed: bool


class PublishedMessage(TypedDict):
    """`size` in octets."""

    broker: str
    topic: str
    qos: int
    retain: bool
    size: int


class BroadcastOutcome(TypedDict):
    """The outcome at one broker; `error` where it was not sent."""

    broker: str
    topic: str
    error: NotRequired[ErrorDetail]


class BroadcastReport(TypedDict):
    brokers: list[BroadcastOutcome]


class SubscriptionView(TypedDict):
    """`reason` says why it was refused."""

    broker: str
    topic: str
    qos: int
    state: Literal["waiting", "refused", "subscribed"]
    reason: str


class SubscriptionList(TypedDict):
    subscriptions: list[SubscriptionView]


class SubscriptionRemoved(TypedDict):
    topic: str
    brokers: list[str]
    removed: bool


class MessagePage(TypedDict):
    messages: list[State]
    cursor: int | None


class TopicList(TypedDict):
    topics: list[State]


class DiscoveredBrokers(TypedDict):
    brokers: list[State]
    hint: str
