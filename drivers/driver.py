"""The contract of a driver, and the registry by entry points.

A driver is data (name, line settings, commands) and three sans-I/O pieces: a decoder, what to say to the device, and a
simulated twin. It never opens anything itself: a link (drivers/serial/link.py, drivers/ble/link.py) owns the hardware.
An installed package adds drivers through the entry point group `gatepost.drivers`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from drivers.reading import Faults, Reading, Reply

T = TypeVar("T")

ENTRY_POINTS = "gatepost.drivers"


class Line(msgspec.Struct, frozen=True):
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


class Decoder(Protocol):
    """Sans-I/O: bytes in any chunks -> what they mean. Never raises on bytes, resyncs itself, bounded memory."""

    faults: Faults

    def feed(self, data: bytes) -> list[Reading | Reply]: ...


class Exchange(Protocol):
    """What a command may do with its device: send octets and wait, bounded, for something decoded."""

    async def send(self, data: bytes) -> None: ...

    async def wait(self, match: Callable[[Reading | Reply], T | None], timeout: float) -> T:
        """The first non-None result of `match` over what was decoded since the last `send`; else TimeoutError."""
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


class Driver(ABC):
    """One kind of device. An instance belongs to one configured device and holds its validated options."""

    name: ClassVar[str]
    title: ClassVar[str]
    transport: ClassVar[str] = "serial"
    line: ClassVar[Line] = Line()
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
    source: ClassVar[str] = ""  # specification and section

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.options_type() if options is None else options

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        """What the values of its readings can be called, with these options; () = that is not known."""
        if cls.values:
            return cls.values
        from drivers.metrics import METRICS

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

    async def execute(self, command: str, parameters: msgspec.Struct, exchange: Exchange) -> dict[str, Any]:
        """Carry out one of `commands`; raises CommandFailed or TimeoutError."""
        raise CommandFailed("unknown-command", f"{self.name} has no command {command!r}")

    @classmethod
    @abstractmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        """A simulated device of this kind."""


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
        from importlib.metadata import entry_points

        return cls({point.name: point.load for point in entry_points(group=ENTRY_POINTS)})

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
