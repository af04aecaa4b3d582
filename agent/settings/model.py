"""Types of the settings. Durations are seconds, sizes are bytes; the YAML spellings are read by `units.py`.

A `Meta` carries what a value may be and what the key means; the checker, the editor schema and the docs share it.
Annotations are no texts here: msgspec would evaluate some hundred of them at each start.
"""

from ipaddress import ip_address
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field


def split_address(listen: str) -> tuple[str, int]:
    """Host without brackets, and port; raises ValueError."""
    host, mark, port = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets")
    if not mark or not host or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
        raise ValueError("no host:port")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it; a name other than localhost is not known to be one."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


Seconds = Annotated[float, Meta(ge=0, extra={"unit": "duration"}, description="a duration: 500ms, 30s, 5m, 7d")]
Bytes = Annotated[int, Meta(ge=0, extra={"unit": "size"}, description="a size: 64MB, 2GB")]
DatabaseBytes = Annotated[int, Meta(ge=65536, extra={"unit": "size"})]
PerSecond = Annotated[float, Meta(ge=0, extra={"unit": "rate"}, description="a rate: 20/s, 5/m")]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
LogLevel = Literal["debug", "info", "warning", "error"]
Label = Annotated[str, Meta(max_length=64)]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[int, Meta(ge=1)]
PositiveSeconds = Annotated[float, Meta(ge=0.001, extra={"unit": "duration"})]
KeepAlive = Annotated[Seconds, Meta(le=65535)]  # MQTT: a 16-bit count of seconds
Address = Annotated[
    str, Meta(pattern=r"^([0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})$")
]


class SecretRef(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Reference to a secret: exactly one of the three."""

    credential: Annotated[str | None, Meta(description="name of a systemd credential (LoadCredential=)")] = None
    file: Annotated[str | None, Meta(description="absolute path of a file that holds just the secret")] = None
    env: Annotated[str | None, Meta(description="name of an environment variable that holds the secret")] = None


Secret = SecretRef | str


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are problems."""


class GatewaySettings(_Section, frozen=True):
    id: Annotated[Name, Meta(description="name of this gateway in topics and payloads; default: the host name")] = ""
    organization: Annotated[
        Name | None, Meta(description="also obeys commands on organizations/<organization>/broadcast")
    ] = None
    state_dir: Annotated[str, Meta(description="directory of the database, own drops and the audit log")] = (
        "/var/lib/gatepost"
    )
    labels: Annotated[dict[str, str], Meta(description="your own key: value notes about this gateway")] = {}


class StoreSettings(_Section, frozen=True):
    commit_interval: Annotated[
        Seconds,
        Meta(
            le=60, description="at most one commit in this time; a reading after quiet and an urgent one commit at once"
        ),
    ] = 1.0
    keep: Annotated[Seconds, Meta(description="how long history is kept after every broker has it")] = 7 * 86400.0
    max_size: Annotated[DatabaseBytes, Meta(description="largest size of the database on disk")] = 2_000_000_000
    reserve: Annotated[Bytes, Meta(description="free disk space that is never used")] = 200_000_000
    when_full: Annotated[
        Literal["drop-oldest", "refuse"],
        Meta(description="at the limit: make room by dropping the oldest (with a gap record), or take no more"),
    ] = "drop-oldest"


class TlsSettings(_Section, frozen=True):
    ca: Annotated[str | None, Meta(description="file of CA certificates; default: those of the system")] = None
    cert: Annotated[str | None, Meta(description="file of the client certificate (with key)")] = None
    key: Annotated[str | None, Meta(description="file of the client certificate's private key")] = None
    verify: Annotated[bool, Meta(description="check the broker's certificate and host name")] = True


class BatchSettings(_Section, frozen=True):
    readings: Annotated[Positive, Meta(description="readings in one message")] = 1
    delay: Annotated[Seconds, Meta(description="how long to wait for a batch to fill")] = 0.0
    compress: Annotated[Literal["none", "gzip", "zstd"], Meta(description="compression of a batch")] = "none"


class RouteRule(_Section, frozen=True, omit_defaults=True):
    """A rule of what a broker is given; the first one that matches a reading counts. Empty lists match everything."""

    devices: Annotated[list[str], Meta(description="device patterns, shell style; empty = every device")] = []
    metrics: Annotated[list[str], Meta(description="metric_type patterns, shell style; empty = every metric")] = []
    rooms: Annotated[list[str], Meta(description="patterns of the devices' rooms, shell style; empty = every one")] = []
    only: Annotated[
        list[Literal["urgent", "good"]], Meta(description="only urgent readings, only those of quality good, or both")
    ] = []
    topic: Annotated[
        str | None, Meta(description="topic of these readings: {gateway} {device} {metric} {value} {room}")
    ] = None
    qos: Annotated[Literal[0, 1, 2] | None, Meta(description="QoS of these readings; default: the broker's")] = None
    retain: Annotated[bool | None, Meta(description="whether the broker retains them; default: the format's")] = None
    every: Annotated[
        Seconds, Meta(description="send only the newest of each device and metric in this time; urgent ones always")
    ] = 0.0
    drop: Annotated[bool, Meta(description="these readings are not for this broker")] = False


class BacklogSettings(_Section, frozen=True):
    share: Annotated[Share, Meta(description="weight of the backlog beside live readings, 0 to 1")] = 0.2
    rate: Annotated[
        PerSecond, Meta(extra={"bare": True}, description="most backlog messages per second; 0 = no limit")
    ] = 0.0


class BrokerSettings(_Section, frozen=True):
    url: Annotated[str, Meta(description="mqtt://, mqtts://, ws:// or wss://, host and port")]
    failover: Annotated[list[str], Meta(description="URLs to try in turn when `url` is not reachable")] = []
    username: Annotated[str | None, Meta(description="user name at the broker")] = None
    password: Annotated[Secret | None, Meta(description="password at the broker: a secret")] = None
    client_id: Annotated[str | None, Meta(description="MQTT client id; default: gatepost-<gateway id>")] = None
    tls: Annotated[TlsSettings, Meta(description="certificates of mqtts and wss")] = field(default_factory=TlsSettings)
    protocol: Annotated[
        Literal["auto", "5", "3.1.1"], Meta(description="MQTT version; auto tries 5 and falls back to 3.1.1")
    ] = "auto"
    keepalive: Annotated[KeepAlive, Meta(description="longest silence before a ping; 0 = none")] = 30.0
    qos: Annotated[Literal[0, 1, 2], Meta(description="QoS of readings; 0 is not acknowledged by the broker")] = 1
    window: Annotated[int, Meta(ge=1, le=60000, description="messages in flight")] = 100
    label: Annotated[Label | None, Meta(description="free text for people")] = None
    format: Annotated[str, Meta(description="payload format; `gatepost formats` lists them")] = "devices"
    options: Annotated[
        dict[str, Any], Meta(extra={"driver": True}, description="options of the format: `gatepost formats NAME`")
    ] = {}
    layout: Annotated[
        Literal["device", "gateway"],
        Meta(description="gateway: topics of devices lie below gateways/<gateway>/, so that one rule covers all"),
    ] = "device"
    order: Annotated[
        Literal["listed", "random"],
        Meta(description="order in which url and failover are tried; random: another one for each gateway"),
    ] = "listed"
    session: Annotated[
        Literal["clean", "kept"],
        Meta(description="kept: the broker keeps commands for a gateway that is away, for a day at most"),
    ] = "clean"
    command_qos: Annotated[
        Literal[0, 1, 2], Meta(description="QoS of the subscriptions to commands; with 0 the broker keeps no queue")
    ] = 1
    topics: Annotated[dict[str, str], Meta(description="topics that differ from the defaults, by their key")] = {}
    batch: Annotated[BatchSettings, Meta(description="several readings in one message")] = field(
        default_factory=BatchSettings
    )
    routes: Annotated[
        list[RouteRule],
        Meta(description="which readings this broker is given, and how: the first rule that matches; empty = all"),
    ] = []
    backlog: Annotated[BacklogSettings, Meta(description="pace of what is sent late, after an outage")] = field(
        default_factory=BacklogSettings
    )
    commands: Annotated[bool, Meta(description="whether commands from this broker are obeyed")] = True
    active: Annotated[bool, Meta(description="false = configured, not connected")] = True


def client_id_of(broker: BrokerSettings, gateway: str) -> str:
    """MQTT client id with which this gateway connects to the broker."""
    return broker.client_id or f"gatepost-{gateway}"


class ThresholdSettings(_Section, frozen=True):
    min: Annotated[float | None, Meta(description="a value below makes the reading urgent")] = None
    max: Annotated[float | None, Meta(description="a value above makes the reading urgent")] = None


class DeviceSettings(_Section, frozen=True):
    driver: Annotated[str, Meta(description="name of the driver; `gatepost drivers` lists them")]
    port: Annotated[str | None, Meta(description="serial: a path (best /dev/serial/by-id/...) or a pyserial URL")] = (
        None
    )
    baudrate: Annotated[Positive | None, Meta(description="serial speed, where it differs from the driver's")] = None
    parity: Annotated[
        Literal["N", "E", "O", "M", "S"] | None,
        Meta(
            extra={"spellings": {"none": "N", "even": "E", "odd": "O", "mark": "M", "space": "S"}},
            description="none, even, odd, mark, space, or N, E, O, M, S; default: the driver's",
        ),
    ] = None
    stopbits: Annotated[
        Annotated[float, Meta(ge=1, le=2)] | None, Meta(description="1, 1.5 or 2; default: the driver's")
    ] = None
    bytesize: Annotated[Literal[5, 6, 7, 8] | None, Meta(description="data bits; default: the driver's")] = None
    flow: Annotated[
        Literal["none", "rtscts", "xonxoff"] | None,
        Meta(
            extra={"spellings": {"hardware": "rtscts", "software": "xonxoff"}},
            description="flow control: none, rtscts (hardware), xonxoff (software); default: the driver's",
        ),
    ] = None
    rts: Annotated[bool | None, Meta(description="state to hold RTS in; default: left to the system")] = None
    dtr: Annotated[
        bool | None, Meta(description="state to hold DTR in; false keeps an Arduino from resetting at every opening")
    ] = None
    silence: Annotated[
        Seconds | None, Meta(description="reopen when nothing came for so long; 0 = never; default: the driver's")
    ] = None
    address: Annotated[Address | None, Meta(description="Bluetooth LE address")] = None
    name: Annotated[str | None, Meta(description="Bluetooth LE: advertised name, where the address changes")] = None
    adapter: Annotated[str | None, Meta(description="Bluetooth LE adapter, for example hci0; default: any")] = None
    brokers: Annotated[list[str] | None, Meta(description="brokers that get its readings; default: all")] = None
    label: Annotated[Label | None, Meta(description="free text for people")] = None
    room: Annotated[Label | None, Meta(description="where it stands, for people and for routes")] = None
    patient: Annotated[str | None, Meta(description="opaque subject reference; no name, no date of birth")] = None
    token: Annotated[Secret | None, Meta(description="token that commands for it must carry: a secret")] = None
    every: Annotated[
        Seconds | None, Meta(description="report at most this often; 0 = every reading; default: the driver's")
    ] = None
    thresholds: Annotated[
        dict[str, ThresholdSettings], Meta(description="a value outside makes the reading urgent, by value name")
    ] = {}
    options: Annotated[
        dict[str, Any], Meta(extra={"driver": True}, description="the driver's own options, validated by it")
    ] = {}


class SigningSettings(_Section, frozen=True):
    algorithm: Annotated[
        Literal["hmac-sha256", "ed25519"],
        Meta(description="how commands are signed: with a shared key (hmac-sha256) or a key pair (ed25519)"),
    ] = "hmac-sha256"
    key: Annotated[
        Secret | None, Meta(description="hmac-sha256: the shared key, a secret; ed25519: the public key, in base64")
    ] = None
    required: Annotated[bool, Meta(description="refuse commands without a signature")] = False


class CommandSettings(_Section, frozen=True):
    allow: Annotated[
        dict[str, list[str]],
        Meta(description='who may do what: {device pattern, "gateway" or "*": [command names or "*"]}'),
    ] = msgspec.field(
        default_factory=lambda: {
            "*": ["ping", "status", "read_now", "start_monitoring", "stop_monitoring", "set_interval"]
        }
    )
    default_ttl: Annotated[PositiveSeconds, Meta(description="life of a command that names no expiry")] = 60.0
    timeout: Annotated[PositiveSeconds, Meta(description="longest execution of a command")] = 30.0
    signing: Annotated[SigningSettings, Meta(description="signatures of commands")] = field(
        default_factory=SigningSettings
    )
    respond_to: Annotated[
        list[str], Meta(description="topic filters that a command's response topic may match beside the gateway's own")
    ] = []


class ApiTls(_Section, frozen=True):
    """Certificate of the TCP API."""

    cert: Annotated[str, Meta(description="file of the certificate with its chain, PEM")]
    key: Annotated[str, Meta(description="file of the certificate's private key, PEM, without a password")]


class JwtSettings(_Section, frozen=True):
    """JSON Web Tokens of one's own identity provider."""

    algorithm: Annotated[Literal["HS256", "RS256", "ES256"], Meta(description="algorithm that tokens are signed with")]
    issuer: Annotated[str, Meta(description="`iss` that a token must have")]
    audience: Annotated[str, Meta(description="`aud` that a token must have")]
    key: Annotated[Secret | None, Meta(description="HS256: the shared secret, at least 32 octets")] = None
    jwks_file: Annotated[str | None, Meta(description="RS256, ES256: file of the provider's key set (JWKS)")] = None
    role_claim: Annotated[
        str, Meta(description="claim that names the role: viewer, operator or admin; a.b is claim b inside claim a")
    ] = "role"


class ApiSettings(_Section, frozen=True):
    socket: Annotated[str, Meta(description="path of the Unix socket that the command line uses")] = (
        "/run/gatepost/api.sock"
    )
    listen: Annotated[str | None, Meta(description="host:port of the TCP API; null = no TCP")] = None
    tls: Annotated[ApiTls | None, Meta(description="serve TCP with TLS")] = None
    insecure: Annotated[
        bool, Meta(description="true = allow other machines without TLS: others can read tokens and readings")
    ] = False
    jwt: Annotated[JwtSettings | None, Meta(description="also take JWTs of your identity provider")] = None
    cors_origins: Annotated[list[str], Meta(description="web origins that may call the TCP API")] = []
    rate_limit: Annotated[PerSecond, Meta(description="most requests of one client")] = 20.0
    secret_dirs: Annotated[
        list[str], Meta(description="directories in which {file} secrets and TLS files named through the API may lie")
    ] = []
    default_broker: Annotated[
        Name | None, Meta(description="broker of requests that name none, where there are several")
    ] = None


class BluetoothSettings(_Section, frozen=True):
    connections: Annotated[
        int, Meta(ge=1, le=64, description="connections that one adapter holds; CSR chips hold 5, Broadcom 7")
    ] = 5
    turn: Annotated[
        Seconds, Meta(description="how long a device that streams keeps its connection while others wait for one")
    ] = 60.0


class ListenerTls(ApiTls, frozen=True):
    """Certificate of the listener, and the authority of its devices' certificates."""

    client_ca: Annotated[
        str | None, Meta(description="file of CA certificates: devices may show one of theirs instead of a token")
    ] = None


class ListenerSettings(_Section, frozen=True):
    """Devices that speak MQTT to the gateway; off unless it has an address."""

    listen: Annotated[str | None, Meta(description="host:port where devices connect; null = off")] = None
    ws: Annotated[str | None, Meta(description="host:port of MQTT over WebSocket, path /mqtt; null = off")] = None
    tls: Annotated[ListenerTls | None, Meta(description="serve both with TLS")] = None
    insecure: Annotated[
        bool, Meta(description="true = allow other machines without TLS: others can read tokens and readings")
    ] = False
    max_connections: Annotated[int, Meta(ge=1, le=10_000, description="most devices at once")] = 200
    connect_timeout: Annotated[
        PositiveSeconds, Meta(le=300, description="time in which a device must identify itself (CONNECT)")
    ] = 10.0
    keepalive_max: Annotated[PositiveSeconds, Meta(le=65535, description="longest silence of a device")] = 600.0
    max_packet: Annotated[
        Annotated[int, Meta(ge=512, le=1_000_000, extra={"unit": "size"})], Meta(description="largest message")
    ] = 64_000
    window: Annotated[int, Meta(ge=1, le=1000, description="unacknowledged messages of one device")] = 20
    ack_within: Annotated[
        PositiveSeconds,
        Meta(le=60, description="longest wait of a message for its acknowledgement; the commit comes earlier for it"),
    ] = 0.25
    rate: Annotated[PerSecond, Meta(description="messages of one device; 0 = no limit")] = 50.0
    session_expiry: Annotated[
        Seconds, Meta(le=30 * 86400, description="longest life of a session without its device; commands wait so long")
    ] = 3600.0


class FleetKey(_Section, frozen=True):
    id: Annotated[Name, Meta(description="name of the key (`id`), as desired state names it")]
    ed25519: Annotated[str, Meta(description="public half of the key that signs desired state, in base64")]


FLEET_ALLOW = ("devices.*", *(f"brokers.*.{key}" for key in ("routes", "batch", "backlog", "window")), "logging.level")


class FleetSettings(_Section, frozen=True):
    """Desired state from a fleet; off unless a broker carries it."""

    broker: Annotated[
        Name | None, Meta(description="broker that carries desired state, reports and accounts; null = off")
    ] = None
    keys: Annotated[
        list[FleetKey], Meta(description="keys that may sign desired state; two while you change keys")
    ] = []
    allow: Annotated[
        list[str], Meta(description="keys that desired state may set, and all below them; `*` = any name")
    ] = field(default_factory=lambda: list(FLEET_ALLOW))


class LoggingSettings(_Section, frozen=True):
    level: Annotated[LogLevel, Meta(description="lowest severity that is logged")] = "info"
    format: Annotated[Literal["text", "json"], Meta(description="lines for people or for programs")] = "text"


class Settings(_Section, frozen=True):
    gateway: Annotated[GatewaySettings, Meta(description="who this gateway is")] = field(
        default_factory=GatewaySettings
    )
    store: Annotated[StoreSettings, Meta(description="the durable log of readings")] = field(
        default_factory=StoreSettings
    )
    brokers: Annotated[dict[Name, BrokerSettings], Meta(description="MQTT brokers, by a name of your choice")] = {}
    devices: Annotated[dict[Name, DeviceSettings], Meta(description="devices, by their id")] = {}
    commands: Annotated[CommandSettings, Meta(description="commands from brokers, API and command line")] = field(
        default_factory=CommandSettings
    )
    listener: Annotated[ListenerSettings, Meta(description="devices that speak MQTT to the gateway")] = field(
        default_factory=ListenerSettings
    )
    fleet: Annotated[FleetSettings, Meta(description="desired state from a fleet, signed")] = field(
        default_factory=FleetSettings
    )
    api: Annotated[ApiSettings, Meta(description="the local API")] = field(default_factory=ApiSettings)
    bluetooth: Annotated[BluetoothSettings, Meta(description="Bluetooth adapters")] = field(
        default_factory=BluetoothSettings
    )
    logging: Annotated[LoggingSettings, Meta(description="what the agent logs")] = field(
        default_factory=LoggingSettings
    )
