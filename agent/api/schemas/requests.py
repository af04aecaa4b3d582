"""Request schemas: query parameters and bodies of the routes, which validate and document themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gatepost.agent.api.auth.principal import Role
from gatepost.agent.settings.model import LogLevel, Name
from gatepost.agent.uplink.carried.carried_message import CarriedMessage

Limit = Annotated[int, Meta(ge=1, le=1000, description="a number from 1 to 1000")]
Which = Annotated[Name, Meta(description="a name: letters, digits, `_`, `.` and `-`, at most 64")]
Moment = Annotated[datetime, Meta(tz=True, description="a time as RFC 3339 with a zone, such as 2026-11-20T10:30:00Z")]
Cursor = Annotated[int, Meta(ge=1, le=2**63 - 1, description="the `cursor` of the answer before")]


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameters."""


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Limit = 100


class LedgerQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    cursor: Cursor | None = None


class AuditQuery(LedgerQuery, frozen=True, forbid_unknown_fields=True):
    what: Annotated[str | None, Meta(description="only entries of this kind")] = None


class DeadLetterQuery(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Limit = 100
    broker: Which | None = None


class HistoryQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of stored readings, newest first unless `order` says otherwise; without `limit` 100, as CSV all."""

    since: Moment | None = None
    until: Moment | None = None
    metric: str | None = None
    limit: Limit | None = None
    cursor: Cursor | None = None
    order: Annotated[Literal["newest", "oldest"], Meta(description="which come first")] = "newest"


class DeviceHistoryQuery(HistoryQuery, frozen=True, forbid_unknown_fields=True):
    """With `resolution`: curves instead of readings, least, most, mean and last of each bucket of that length."""

    resolution: Annotated[
        str | None, Meta(examples=["5m"], description="a duration such as 10s, 5m or 2h, or auto: curves of buckets")
    ] = None
    values: Annotated[str | None, Meta(description="with resolution: only these, such as spo2,heart_rate")] = None


class AllHistoryQuery(HistoryQuery, frozen=True, forbid_unknown_fields=True):
    device: Which | None = None


class FollowQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Live readings, after the `last` stored ones."""

    device: Which | None = None
    metric: str | None = None
    last: Annotated[int, Meta(ge=0, le=1000, description="a number from 0 to 1000")] = 0


class OwedPage(Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of the log, the urgent ones or the others, from `lo` to before `hi`."""

    lo: Annotated[int, Meta(ge=0, le=2**62)] = 0
    hi: Annotated[int, Meta(ge=1, le=2**62)] = 2**62
    urgent: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 500


class CarriedReadings(Struct, frozen=True, forbid_unknown_fields=True):
    """Readings `start` and following of a parcel, each as its messages. `parcel` is the digest of the whole parcel."""

    parcel: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    start: Annotated[int, Meta(ge=0, le=10_000_000)]
    readings: Annotated[list[Annotated[list[CarriedMessage], Meta(max_length=1000)]], Meta(max_length=1000)]


class LogQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Lines of the agent's own log, the newest `limit` of them; with `follow` live ones after them."""

    level: LogLevel = "debug"
    device: Which | None = None
    grep: Annotated[str | None, Meta(description="only lines with this text, in upper or lower case")] = None
    limit: Limit = 200
    follow: bool = False


class BrokerControl(Struct, frozen=True, forbid_unknown_fields=True):
    action: Literal["connect", "disconnect"]


class SettingsChangeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to change: `settings` as in a settings file, or the text of one (`yaml`, and its `name` for messages),
    merged over the agent's own drop. A broker or device in it is taken whole, null removes it. `unset`: keys that leave
    the drop, so that the files or the defaults count again."""

    settings: dict[str, Any] = {}
    yaml: Annotated[str | None, Meta(description="the text of a settings file")] = None
    name: Annotated[str, Meta(max_length=256)] = "settings"
    unset: Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=64)] = []


class SettingsApplyBody(SettingsChangeBody, frozen=True, forbid_unknown_fields=True):
    """With `confirm`, a duration from 10s to 1h, the change is undone unless it is confirmed within that time."""

    confirm: Annotated[str | None, Meta(description="a duration such as 2m; null = for good at once")] = None


class ScanBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`seconds`: how long to wait for a serial port to send, or to listen for Bluetooth. `ask`: also send harmless
    questions to silent serial devices. `ports`: only these serial ports."""

    kind: Literal["serial", "ble"]
    seconds: Annotated[float, Meta(ge=1, le=60)] | None = None
    ask: bool = False
    ports: Annotated[list[Annotated[str, Meta(min_length=1, max_length=256)]], Meta(max_length=16)] = []


class BrokerTestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A saved broker (`broker`), or one with these `settings`; with both, `***` keeps a secret of the saved one, for
    the same address only."""

    broker: Which | None = None
    settings: dict[str, Any] | None = None


class DeviceTestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A device with these `settings`; with `device`, `***` keeps a secret of that saved one."""

    settings: dict[str, Any]
    device: Which | None = None
    seconds: Annotated[float, Meta(ge=1, le=60)] = 15.0


class NoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """No body, or `{}`."""


class CommandBody(Struct, frozen=True):
    """A command as in MQTT; further members are parameters beside `command`. The dispatcher checks it."""

    command: str
    id: str | None = None
    parameters: dict[str, Any] = {}


Filters = Annotated[list[Annotated[str, Meta(max_length=1024)]], Meta(max_length=64, description="MQTT topic filters")]


TokenName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@ -]{1,64}$", description="what it is for")]


class TokenBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Without topics: all of them, for a viewer none. With `device`: a token of that device for the listener, without a
    role. With `kiosk`: one of a viewer whose browser stays signed in."""

    role: Role | None = None
    device: (
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="id of a device of driver mqtt")] | None
    ) = None
    name: TokenName | None = None
    kiosk: bool = False
    expires: Annotated[
        str | None, Meta(examples=["30d"], description="a duration such as 30d; null = until it is revoked")
    ] = None
    publish: Filters | None = None
    subscribe: Filters | None = None


class SignIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A token, or a login code."""

    token: Annotated[str, Meta(max_length=16384)] | None = None
    code: Annotated[str, Meta(max_length=128, description="of `gatepost token browser`; good once")] | None = None


class CodeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`role` defaults to operator. With `kiosk` the code signs a board in, a viewer whose token is made then."""

    role: Role | None = None
    kiosk: bool = False
    name: TokenName | None = None


class NewBroker(Struct, frozen=True):
    """A broker: its name and its settings, as in a settings file (docs/settings.md)."""

    name: Which
    url: str


class BrokerBody(Struct, frozen=True):
    """The settings of a broker as in a settings file (docs/settings.md); they replace all earlier ones."""

    url: str


class NewDevice(Struct, frozen=True):
    """A device: its id and its settings, as in a settings file (docs/settings.md); `type` = `driver`."""

    device_id: Which


class DeviceBody(Struct, frozen=True):
    """The settings of a device as in a settings file (docs/settings.md); they replace all earlier ones."""


TopicName = Annotated[str, Meta(min_length=1, max_length=1024, description="a topic")]
TopicFilter = Annotated[str, Meta(min_length=1, max_length=1024, description="a topic, or a filter with `+` and `#`")]


class PublishBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A string goes out as it is (`encoding` base64: the octets that it stands for), anything else as JSON."""

    topic: TopicName
    payload: Any = ""
    broker: Which | None = None
    encoding: Literal["text", "json", "base64"] | None = None
    qos: Literal[0, 1, 2] = 1
    retain: bool = False


class BroadcastBody(Struct, frozen=True, forbid_unknown_fields=True):
    """A message for every gateway of the organization, this one too; `broker` null = through all connected ones."""

    payload: dict[str, Any]
    broker: Which | None = None


class SubscriptionBody(Struct, frozen=True, forbid_unknown_fields=True):
    topic: TopicFilter
    broker: Which | None = None
    qos: Literal[0, 1, 2] = 0


class BrokerQuery(Struct, frozen=True, forbid_unknown_fields=True):
    broker: Which | None = None


class TopicQuery(Struct, frozen=True, forbid_unknown_fields=True):
    broker: Which | None = None
    topic: TopicFilter | None = None
    limit: Limit = 1000


class MessageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A page of messages, newest first."""

    broker: Which | None = None
    topic: TopicFilter | None = None
    direction: Literal["in", "out"] | None = None
    since: Moment | None = None
    limit: Limit = 100
    cursor: Cursor | None = None
