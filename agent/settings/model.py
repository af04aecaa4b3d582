"""The settings as types. Durations are seconds, sizes are bytes; the YAML spellings are read by `units.py`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

Seconds = Annotated[float, Meta(ge=0, extra={"unit": "duration"}, description="a duration: 500ms, 30s, 5m, 7d")]
Bytes = Annotated[int, Meta(ge=0, extra={"unit": "size"}, description="a size: 64MB, 2GB")]
PerSecond = Annotated[float, Meta(ge=0, extra={"unit": "rate"}, description="a rate: 20/s")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1)]


class SecretRef(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a secret is kept: exactly one of the three."""

    credential: str | None = None
    file: str | None = None
    env: str | None = None


Secret = SecretRef | str


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are problems."""


class Gateway(_Section, frozen=True):
    id: Name = ""  # filled with the host name
    organization: Name | None = None
    state_dir: str = "/var/lib/gatepost"
    labels: dict[str, str] = {}


class Store(_Section, frozen=True):
    commit_interval: Seconds = 1.0
    keep: Seconds = 7 * 86400.0
    max_size: Bytes = 2_000_000_000
    reserve: Bytes = 200_000_000
    when_full: Literal["drop-oldest", "refuse"] = "drop-oldest"


class Tls(_Section, frozen=True):
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: bool = True


class Batch(_Section, frozen=True):
    readings: Positive = 1
    delay: Seconds = 0.0
    compress: Literal["none", "gzip", "zstd"] = "none"


class Route(_Section, frozen=True):
    """What a broker is given: device and metric patterns (shell style); an empty list means every one."""

    devices: list[str] = []
    metrics: list[str] = []


class Backlog(_Section, frozen=True):
    share: Share = 0.2
    rate: Annotated[float, Meta(ge=0)] = 0.0


class Broker(_Section, frozen=True):
    url: str
    failover: list[str] = []
    username: str | None = None
    password: Secret | None = None
    client_id: str | None = None
    tls: Tls = field(default_factory=Tls)
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    keepalive: Seconds = 30.0
    qos: Literal[0, 1, 2] = 1
    window: Annotated[int, Meta(ge=1, le=60000)] = 100
    format: str = "devices"
    topics: dict[str, str] = {}
    batch: Batch = field(default_factory=Batch)
    routes: list[Route] = []
    backlog: Backlog = field(default_factory=Backlog)
    commands: bool = True
    active: bool = True


class Threshold(_Section, frozen=True):
    min: float | None = None
    max: float | None = None


class Device(_Section, frozen=True):
    driver: str
    port: str | None = None
    baudrate: Positive | None = None
    parity: Literal["N", "E", "O", "M", "S"] | None = None
    stopbits: Annotated[float, Meta(ge=1, le=2)] | None = None  # 1, 1.5, 2
    bytesize: Literal[5, 6, 7, 8] | None = None
    flow: Literal["none", "rtscts", "xonxoff"] | None = None
    rts: bool | None = None  # state to hold the line in; None = leave it to the system
    dtr: bool | None = None  # False keeps an Arduino from resetting at every opening
    silence: Seconds | None = None  # reopen when nothing came for so long; None = the driver's; 0 = never
    address: str | None = None
    name: str | None = None
    adapter: str | None = None
    brokers: list[str] | None = None  # None = every broker
    patient: str | None = None
    token: Secret | None = None
    every: Seconds | None = None  # None = the driver's
    thresholds: dict[str, Threshold] = {}
    options: dict[str, Any] = {}


class Signing(_Section, frozen=True):
    algorithm: Literal["hmac-sha256"] = "hmac-sha256"
    key: Secret | None = None
    required: bool = False


class Commands(_Section, frozen=True):
    allow: dict[str, list[str]] = msgspec.field(
        default_factory=lambda: {
            "*": ["ping", "status", "read_now", "start_monitoring", "stop_monitoring", "set_interval"]
        }
    )
    default_ttl: Seconds = 60.0
    timeout: Seconds = 30.0
    signing: Signing = field(default_factory=Signing)


class Api(_Section, frozen=True):
    socket: str = "/run/gatepost/api.sock"
    listen: str | None = None
    cors_origins: list[str] = []
    rate_limit: PerSecond = 20.0


class Logging(_Section, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(_Section, frozen=True):
    gateway: Gateway = field(default_factory=Gateway)
    store: Store = field(default_factory=Store)
    brokers: dict[Name, Broker] = {}
    devices: dict[Name, Device] = {}
    commands: Commands = field(default_factory=Commands)
    api: Api = field(default_factory=Api)
    logging: Logging = field(default_factory=Logging)
