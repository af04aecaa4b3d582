"""Contract of a driver, and the registry by entry points.

A driver is data (name, line settings, commands) and sans-I/O pieces: a decoder, octets to send, perhaps a session
with requests and answers, and a simulated twin. It never opens anything itself: a link (drivers/serial/port/link.py,
drivers/ble/link/links.py) owns the hardware. An installed package adds drivers through the entry point group
`gatepost.drivers`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib import invalidate_caches
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Meta

from gatepost.drivers.installed import EntryPoint, entry_points, installed_at
from gatepost.drivers.reading import Faults, Reading, Reply

if TYPE_CHECKING:
    from gatepost.drivers.ble.peripheral import BlePeripheral
    from gatepost.drivers.network.peer_message import MessageSplitter

T = TypeVar("T")

ENTRY_POINTS = "gatepost.drivers"


class SerialSettings(msgspec.Struct, frozen=True):
    """Serial line settings; parity N, E, O, M, S; flow none, rtscts, xonxoff."""

    baudrate: int = 9600
    bytesize: int = 8
    parity: str = "N"
    stopbits: float = 1
    flow: str = "none"


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A driver without options of its own."""


class NoParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command without parameters."""


class SyncTime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Set the device's clock."""

    time: Annotated[
        datetime | None,
        Meta(description="ISO 8601, as the device's clock shall show it; default: the gateway's local time"),
    ] = None


class Command(msgspec.Struct, frozen=True):
    """A declared command: its parameters are a msgspec struct type, so they validate and document themselves."""

    name: str
    title: str
    parameters: type[msgspec.Struct] = NoParameters
    timeout: float = 10.0  # seconds the device may take
    example: dict[str, Any] = {}
    free: bool = False  # its parameters are not known here: whatever is given goes to the device


class KeepAlive(msgspec.Struct, frozen=True):
    """Octets that a device must hear every `interval` seconds."""

    data: bytes
    interval: float


class ForbiddenWrite(NamedTuple):
    """Octets that no driver may write to its device (erase, tare, zero, ...) unless the device's option `permit` names
    the rule. `pattern` is searched in what is written; for BLE in what goes to `characteristic` (a full UUID)."""

    name: str
    pattern: re.Pattern[bytes]
    characteristic: str = ""


class ScanProbe(NamedTuple):
    """Request that changes nothing on any device and makes this one identify itself; `options` are those of a device
    that was found so."""

    request: bytes
    options: dict[str, Any] = {}  # noqa: RUF012  # a NamedTuple, never changed


class ScanHints(NamedTuple):
    """Hints by which a scan recognizes such a device, beside the readings that its decoder finds; all are optional.

    `lines`: line settings other than the driver's own that are common. `identifying_replies`: kinds of Reply that
    nothing else gives. `probes` are only sent when a person wants that. `names`: how BLE names begin.
    """

    lines: tuple[SerialSettings, ...] = ()
    identifying_replies: tuple[str, ...] = ()
    probes: tuple[ScanProbe, ...] = ()
    names: tuple[str, ...] = ()


class SupportedDevice(NamedTuple):
    """Device that a driver is for, as docs/supported-devices.md lists it. `evidence`: "captured" = decoded from what
    other people captured of it, "documents" = from its maker's or from two programs, "not seen" = from one source."""

    maker: str
    models: tuple[str, ...]
    kind: str
    evidence: str = "captured"


class Decoder(Protocol):
    """Sans-I/O decoder: octets -> readings and replies. Serial: bytes in any chunks; BLE: GattValue or ReceivedAdvert
    (drivers/ble/peripheral.py). Never raises on what it is given, resyncs itself, bounded memory."""

    faults: Faults

    def feed(self, data: Any, /) -> list[Reading | Reply]: ...


class LocalTime(NamedTuple):
    """Local time of the gateway, without a zone, for devices that have a clock; `trusted` once it is synchronised."""

    local: datetime
    trusted: bool


class DeviceIO(Protocol):
    """Device I/O of a session or a command: all that it may do with its device. Everything that waits is bounded."""

    async def send(self, data: bytes) -> None:
        """Write octets to a serial device."""
        ...

    async def wait(self, match: Callable[[Reading | Reply], T | None], timeout: float) -> T:
        """The first non-None result of `match` over what was decoded since the last `send`; else TimeoutError."""
        ...

    @property
    def peripheral(self) -> BlePeripheral:
        """The connected BLE peripheral: read, write, subscribe."""
        ...

    def feed(self, data: Any) -> None:
        """Hand data to the decoder as if the device had sent it by itself: a value that the session read."""
        ...

    async def stored(self, timeout: float = 30.0) -> None:
        """Wait until every reading with a `bookmark` that was decoded so far is on disk; TimeoutError."""
        ...

    def now(self) -> LocalTime: ...

    def update_status(self, **known: Any) -> None:
        """Update parts of the device's status: battery (%), signal_strength (dBm), firmware, serial_number, ..."""
        ...

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        """Report how far something long has come, for people who look at the device."""
        ...


class Twin(Protocol):
    """Simulated device, sans-I/O: `tick` is what it sends by itself, `hear` what it answers."""

    interval: float  # seconds between two ticks

    def tick(self) -> bytes: ...

    def hear(self, data: bytes) -> bytes: ...


class DatagramTwin(Protocol):
    """Simulated device that speaks UDP: each item is one datagram."""

    interval: float

    def tick(self) -> list[bytes]: ...

    def hear(self, data: bytes) -> list[bytes]: ...


class CommandFailed(Exception):
    """A command was refused by the device; `key` is stable, the text is for a person."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class SessionOver(Exception):
    """Raised by a session that is complete: the link is closed, and opened again after `pause` seconds (BLE:
    when the device shows itself after that)."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


class WrongDevice(Exception):
    """Another device than the driver is for is connected; the text says what was found and what was expected."""


class Driver(ABC):
    """Driver of one kind of device. An instance belongs to one configured device and holds its validated options.

    Stored records: a decoder gives each as a Reading with `bookmark`, a name and a JSON value ("up to here"). The
    gateway writes the bookmark in the transaction of the reading, bypasses interval and monitoring for it, and fills
    `bookmarks` with the stored ones before each session. So a record counts as taken exactly when it is stored; what is
    at or before its bookmark is not given again.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    transport: ClassVar[str] = "serial"
    line: ClassVar[SerialSettings] = SerialSettings()
    metrics: ClassVar[tuple[str, ...]] = ()
    values: ClassVar[tuple[str, ...] | None] = None  # names of its values; () = any; None = the catalogue's
    default_interval: ClassVar[float] = 0.0  # seconds between reports, unless `every` is set; 0 = every reading
    aggregation: ClassVar[str] = "last"  # "last" or "median" of the numbers since the last report
    silence: float | None = None  # seconds without a byte after which the link is reopened; None = never; may change
    streams: bool = True  # it sends all the time; False = only when something is measured; may depend on the options
    options_type: ClassVar[type[msgspec.Struct]] = NoOptions  # rules between options: see drivers/options.py
    example_options: ClassVar[dict[str, Any]] = {}  # for the example that people are shown
    commands: ClassVar[tuple[Command, ...]] = ()  # beyond those that the gateway gives every device
    datagrams: bool = False  # its link carries datagrams (UDP), each a drivers/network/datagram.py; set by that link
    keep_alive: KeepAlive | None = None  # may depend on the options
    keeps_records: ClassVar[bool] = False  # its readings may carry bookmarks: without bookmarks it is not opened
    forbidden: ClassVar[tuple[ForbiddenWrite, ...]] = ()  # what must never be written, enforced by the gateway
    scan_hints: ClassVar[ScanHints] = ScanHints()  # for `gatepost scan`
    source: ClassVar[str] = ""  # specification and section
    devices: ClassVar[tuple[SupportedDevice, ...]] = ()  # of single makers, by name

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.options_type() if options is None else options
        self.bookmarks: dict[str, Any] = {}  # name -> the newest value that is stored; set before each session

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        """Names that the values of its readings can have, with these options; () = unknown."""
        if cls.values is not None:
            return cls.values
        from gatepost.drivers.metrics import METRICS

        if not cls.metrics or any(name not in METRICS for name in cls.metrics):
            return ()
        return tuple(dict.fromkeys(value.name for name in cls.metrics for value in METRICS[name].values))

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh decoder; one for each opening of the link."""

    def named_commands(self) -> tuple[Command, ...]:
        """`commands`, and those that the options name."""
        return self.commands

    def any_command(self, name: str) -> Command | None:
        """A command of a device that says not which it understands; None = it understands `commands` alone."""
        return None

    def message_splitter(self) -> MessageSplitter | None:
        """Splits what comes over a connection among the devices that share it; None = it is one device's."""
        return None

    def on_open_bytes(self) -> tuple[bytes, ...]:
        """Octets to send after opening, for example "start live data"."""
        return ()

    def on_close_bytes(self) -> tuple[bytes, ...]:
        """Octets to send before closing."""
        return ()

    async def run_session(self, io: DeviceIO) -> None:  # noqa: B027  # most devices need none
        """Run beside the decoder until the link closes: ask for records, set clocks, subscribe.

        May return when there is nothing more to do. Raises SessionOver, WrongDevice, CommandFailed or TimeoutError;
        each ends the session.
        """

    def violation(self, data: bytes, characteristic: str = "") -> str | None:
        """The name of the rule that forbids to write this to the device; None when it is allowed."""
        permitted = getattr(self.options, "permit", ())
        for rule in self.forbidden:
            if rule.characteristic == characteristic and rule.name not in permitted and rule.pattern.search(data):
                return rule.name
        return None

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        """Carry out one of `commands`; raises CommandFailed or TimeoutError."""
        raise CommandFailed("unknown-command", f"{self.name} has no command {command!r}")

    @classmethod
    @abstractmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Any:
        """A simulated device of this kind: a Twin; for BLE an emulated peripheral (drivers/ble/twin.py)."""

    @classmethod
    def datagram_twin(cls, options: Any = None, seed: int = 0) -> DatagramTwin | None:
        """A simulated device that speaks UDP; None where such a device does not."""
        return None


class UnknownDriver(LookupError):
    """No installed driver has this name."""


class Registry:
    """Drivers by name, loaded when first asked for: an unused driver costs no memory."""

    def __init__(self, sources: dict[str, Callable[[], type[Driver]]]) -> None:
        self._sources = dict(sources)
        self._loaded: dict[str, type[Driver]] = {}
        self._looked: tuple[int, ...] | None = None  # at what is installed, as it was then; None = nobody looks again

    @classmethod
    def installed(cls) -> Registry:
        """The drivers that installed packages declare in the entry point group `gatepost.drivers`, also those that are
        installed later; another version of a known one counts from the next start."""
        looked = installed_at()
        registry = cls(entry_points(ENTRY_POINTS))
        registry._looked = looked
        return registry

    @property
    def names(self) -> list[str]:
        self._look_again()
        return sorted(self._sources)

    def __contains__(self, name: str) -> bool:
        if name not in self._sources:
            self._look_again()
        return name in self._sources

    def __iter__(self) -> Iterator[type[Driver]]:
        return (self.get(name) for name in self.names)

    def titles(self) -> dict[str, str]:
        """Of every driver, for people; one that is not loaded is read in its source where that is plain. Blocks."""
        return {name: self._title(name) for name in self.names}

    def _title(self, name: str) -> str:
        source = self._sources[name]
        if name not in self._loaded and isinstance(source, EntryPoint) and (title := source.literal("title")):
            return title
        try:
            return self.get(name).title
        except Exception:  # of another package, and broken: it has a name still
            return name

    def get(self, name: str) -> type[Driver]:
        if name not in self._loaded:
            if name not in self:
                raise UnknownDriver(name)
            self._loaded[name] = self._sources[name]()
        return self._loaded[name]

    def _look_again(self) -> None:
        if self._looked is not None and self._looked != (now := installed_at()):
            self._looked = now
            invalidate_caches()  # the modules of what is new are found, too
            self._sources = {**entry_points(ENTRY_POINTS), **self._sources}
