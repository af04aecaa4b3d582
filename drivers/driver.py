"""The contract of a driver, and the registry by entry points.

A driver is data (name, line settings, commands) and sans-I/O pieces: a decoder, what to say to the device, perhaps a
conversation with it, and a simulated twin. It never opens anything itself: a link (drivers/serial/port/link.py,
drivers/ble/link/links.py) owns the hardware. An installed package adds drivers through the entry point group
`gatepost.drivers`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

import msgspec

from gatepost.drivers.installed import entry_points
from gatepost.drivers.reading import Faults, Reading, Reply

if TYPE_CHECKING:
    from gatepost.drivers.ble.peripheral import Peripheral

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


class Command(msgspec.Struct, frozen=True):
    """A declared command: its parameters are a msgspec struct type, so they validate and document themselves."""

    name: str
    title: str
    parameters: type[msgspec.Struct] = NoParameters
    timeout: float = 10.0  # seconds the device may take
    example: dict[str, Any] = {}


class KeepAlive(msgspec.Struct, frozen=True):
    """Octets that a device must hear every `interval` seconds."""

    data: bytes
    interval: float


class ForbiddenWrite(NamedTuple):
    """Words that no driver may say to its device (erase, tare, zero, ...) unless the device's option `permit` names
    them. `pattern` is searched in what is written; for BLE in the octets written to `characteristic` (a full UUID)."""

    name: str
    pattern: re.Pattern[bytes]
    characteristic: str = ""


class ScanProbe(NamedTuple):
    """Words that change nothing on any device and make this one say who it is; `options` are those of a device that was
    found so."""

    words: bytes
    options: dict[str, Any] = {}  # noqa: RUF012  # a NamedTuple, never changed


class ScanHints(NamedTuple):
    """How a scan knows such a device, beside the readings that its decoder finds; all of it may be left out.

    `lines`: line settings other than the driver's own that are common. `telling`: kinds of Reply that nothing else
    gives. `questions` are only asked when a person wants that. `names`: how BLE names begin.
    """

    lines: tuple[SerialSettings, ...] = ()
    telling: tuple[str, ...] = ()
    questions: tuple[ScanProbe, ...] = ()
    names: tuple[str, ...] = ()


class Decoder(Protocol):
    """Sans-I/O: what the link hears -> what it means. Serial: bytes in any chunks; BLE: GattValue or Advert
    (drivers/ble/peripheral.py). Never raises on what it is given, resyncs itself, bounded memory."""

    faults: Faults

    def feed(self, data: Any, /) -> list[Reading | Reply]: ...


class LocalTime(NamedTuple):
    """The gateway's local wall time, without a zone, for devices that have a clock; `trusted` once it is in step."""

    local: datetime
    trusted: bool


class DeviceIO(Protocol):
    """What a command or a conversation may do with its device. Everything that waits is bounded."""

    async def send(self, data: bytes) -> None:
        """Octets to a serial device."""
        ...

    async def wait(self, match: Callable[[Reading | Reply], T | None], timeout: float) -> T:
        """The first non-None result of `match` over what was decoded since the last `send`; else TimeoutError."""
        ...

    @property
    def peripheral(self) -> Peripheral:
        """The connected BLE peripheral: read, write, subscribe."""
        ...

    def feed(self, data: Any) -> None:
        """To the decoder, as if the device had said it by itself: a value that the conversation read."""
        ...

    async def stored(self, timeout: float = 30.0) -> None:
        """Until every reading with a `mark` that was decoded so far is on disk; TimeoutError."""
        ...

    def now(self) -> LocalTime: ...

    def tell(self, **known: Any) -> None:
        """Parts of the device's status: battery (%), signal_strength (dBm), firmware, serial_number, ..."""
        ...

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        """How far something long has come, for people who look at the device."""
        ...


class Twin(Protocol):
    """A simulated device, sans-I/O: what it says by itself, and what it answers."""

    interval: float  # seconds between two ticks

    def tick(self) -> bytes: ...

    def hear(self, data: bytes) -> bytes: ...


class CommandFailed(Exception):
    """The device answered that it did not do it; `key` is stable, the text is for a person."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class SessionOver(Exception):
    """Raised by a conversation that has all it wanted: the link is closed, and opened again after `pause` seconds (BLE:
    when the device shows itself after that)."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


class WrongDevice(Exception):
    """What is connected is not what the driver is for; the text says what was found and what was expected."""


class Driver(ABC):
    """One kind of device. An instance belongs to one configured device and holds its validated options.

    Stored records: a decoder gives each as a Reading with `mark`, a name and a JSON value ("up to here"). The gateway
    writes the mark in the transaction of the reading, bypasses pace and monitoring for it, and fills `bookmarks` with
    the stored marks before each session. So a record counts as taken exactly when it is stored; what is at or before
    its bookmark is not given again.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    transport: ClassVar[str] = "serial"
    line: ClassVar[SerialSettings] = SerialSettings()
    metrics: ClassVar[tuple[str, ...]] = ()
    values: ClassVar[tuple[str, ...]] = ()  # names of its values; () = those of the catalogue for `metrics`
    every: ClassVar[float] = 0.0  # default pace in seconds; 0 = every reading
    pace: ClassVar[str] = "last"  # how `every` condenses: "last" or "median" of the numbers since the last report
    silence: float | None = None  # seconds without a byte after which the link is reopened; None = never; may change
    steady: bool = True  # it speaks all the time; False = only when something is measured; may depend on the options
    options_type: ClassVar[type[msgspec.Struct]] = NoOptions  # rules between options: see drivers/options.py
    example_options: ClassVar[dict[str, Any]] = {}  # for the example that people are shown
    commands: ClassVar[tuple[Command, ...]] = ()  # beyond those that the gateway gives every device
    keep_alive: KeepAlive | None = None  # may depend on the options
    keeps_records: ClassVar[bool] = False  # its readings may carry marks: without bookmarks it is not opened
    forbidden: ClassVar[tuple[ForbiddenWrite, ...]] = ()  # what must never be said, enforced by the gateway
    recognition: ClassVar[ScanHints] = ScanHints()  # for `gatepost scan`
    source: ClassVar[str] = ""  # specification and section

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.options_type() if options is None else options
        self.bookmarks: dict[str, Any] = {}  # name -> the newest mark that is stored; set before each session

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        """What the values of its readings can be called, with these options; () = that is not known."""
        if cls.values:
            return cls.values
        from gatepost.drivers.metrics import METRICS

        if not cls.metrics or any(name not in METRICS for name in cls.metrics):
            return ()
        return tuple(dict.fromkeys(value.name for name in cls.metrics for value in METRICS[name].values))

    @abstractmethod
    def decoder(self) -> Decoder:
        """A fresh decoder; one for each opening of the link."""

    def greeting(self) -> tuple[bytes, ...]:
        """Octets to send after opening, for example "start live data"."""
        return ()

    def farewell(self) -> tuple[bytes, ...]:
        """Octets to send before closing."""
        return ()

    async def converse(self, talk: DeviceIO) -> None:  # noqa: B027  # most devices need none
        """Beside the decoder, from the greeting until the link closes: ask for records, set clocks, subscribe.

        May return when there is nothing more to say. Raises SessionOver, WrongDevice, CommandFailed or TimeoutError;
        each ends the session.
        """

    def objection(self, data: bytes, characteristic: str = "") -> str | None:
        """The name of the rule that forbids to say this to the device; None when it may be said."""
        permitted = getattr(self.options, "permit", ())
        for rule in self.forbidden:
            if rule.characteristic == characteristic and rule.name not in permitted and rule.pattern.search(data):
                return rule.name
        return None

    async def execute(self, command: str, parameters: msgspec.Struct, exchange: DeviceIO) -> dict[str, Any]:
        """Carry out one of `commands`; raises CommandFailed or TimeoutError."""
        raise CommandFailed("unknown-command", f"{self.name} has no command {command!r}")

    @classmethod
    @abstractmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Any:
        """A simulated device of this kind: a Twin; for BLE an emulated peripheral (drivers/ble/twin.py)."""


class UnknownDriver(LookupError):
    """No installed driver has this name."""


class Registry:
    """Drivers by name, loaded when first asked for: an unused driver costs no memory."""

    def __init__(self, sources: dict[str, Callable[[], type[Driver]]]) -> None:
        self._sources = dict(sources)
        self._loaded: dict[str, type[Driver]] = {}

    @classmethod
    def installed(cls) -> Registry:
        """The drivers that installed packages declare in the entry point group `gatepost.drivers`."""
        return cls(entry_points(ENTRY_POINTS))

    @property
    def names(self) -> list[str]:
        return sorted(self._sources)

    def __contains__(self, name: str) -> bool:
        return name in self._sources

    def __iter__(self) -> Iterator[type[Driver]]:
        return (self.get(name) for name in self.names)

    def get(self, name: str) -> type[Driver]:
        if name not in self._loaded:
            if name not in self._sources:
                raise UnknownDriver(name)
            self._loaded[name] = self._sources[name]()
        return self._loaded[name]
