"""Driver `openbci-cyton`: OpenBCI Cyton, with or without Daisy, behind its USB dongle.

Source: OpenBCI documentation, Cyton Data Format and Cyton Board SDK. Nothing of the board is set: it is started,
stopped and, unless told otherwise, reset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.driver import (
    CommandFailed,
    DeviceIO,
    Driver,
    ForbiddenWrite,
    ScanHints,
    ScanProbe,
    SerialSettings,
    Twin,
    WrongDevice,
)
from gatepost.drivers.options import DriverOptions, OptionProblem
from gatepost.drivers.reading import Faults, Reading, Reply
from gatepost.drivers.serial.cyton.packets import (
    CHANNELS,
    HIGH_RAIL,
    LOW_RAIL,
    CytonPacket,
    CytonPacketReader,
    CytonText,
)
from gatepost.drivers.serial.cyton.twin import CytonTwin
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

RATE = 250.0  # Hz
MOVED_RATE = 25.0  # Hz
REFERENCE = 4.5  # V, of the ADS1299
FULL_SCALE = 2**23 - 1
PER_COUNT = 0.002 / 16  # [g]

START, STOP, RESET, REGISTERS = b"b", b"s", b"v", b"?"
OURS = re.compile("OpenBCI|ADS1299|ADS_ID|Device failed to poll Host")
BANNER_TIMEOUT = 5.0  # seconds until the board has said who it is
FIRST_BLOCK_TIMEOUT = 3.0  # seconds until the first block of a second

Gain = Literal[1, 2, 4, 6, 8, 12, 24]
Name = Annotated[str, Meta(max_length=32)]


class CytonOptions(DriverOptions, frozen=True, forbid_unknown_fields=True):
    """What the board does not say of itself."""

    channels: Annotated[
        list[Name],
        Meta(max_length=16, description='names of its inputs in order; "" leaves one out (default ch1, ...)'),
    ] = msgspec.field(default_factory=list)
    gain: Annotated[
        Gain | list[Gain],
        Meta(description="of all inputs, or of each; 24 unless another program set it and reset is false"),
    ] = 24
    daisy: Annotated[bool, Meta(description="a Daisy module is attached: 16 inputs at 125 Hz each")] = False
    acceleration: Annotated[bool, Meta(description="report the accelerometer, too")] = True
    reset: Annotated[
        bool, Meta(description="reset the board first; false keeps what another program set, and its gains")
    ] = True

    def problems(self) -> list[OptionProblem]:
        most = self.inputs
        found = []
        names = [name for name in self.channels if name]
        if len(names) != len(set(names)):
            found.append(OptionProblem("`channels` has a name twice", ("channels",), ("channels",)))
        for name, given in (("channels", self.channels), ("gain", self.gain)):
            if isinstance(given, list) and len(given) > most:
                hint = "with a Daisy module: daisy: true" if not self.daisy else ""
                message = f"`{name}` has {len(given)} entries, and there are {most} inputs"
                found.append(OptionProblem(message, (name,), (name, "daisy"), hint))
        if self.channels and not names:
            found.append(OptionProblem("`channels` leaves every input out", ("channels",), ("channels",)))
        return found

    @property
    def inputs(self) -> int:
        return 2 * CHANNELS if self.daisy else CHANNELS

    def wanted(self) -> Iterable[tuple[int, WaveformChannel]]:
        """The inputs that are reported, by position."""
        names = self.channels or [f"ch{i + 1}" for i in range(self.inputs)]
        for i, name in enumerate(names):
            gain = self.gain[i] if isinstance(self.gain, list) and i < len(self.gain) else self.gain
            factor = 24 if isinstance(gain, list) else gain
            if name:
                yield i, WaveformChannel(name, "uV", REFERENCE / factor / FULL_SCALE * 1e6)


class _Inputs:
    """The inputs of one ADS1299: which of the eight counts are reported, as blocks."""

    def __init__(self, options: CytonOptions, first: int, rate: float) -> None:
        wanted = [(i - first, channel) for i, channel in options.wanted() if first <= i < first + CHANNELS]
        self._places = [i for i, _ in wanted]
        self._names = [channel.name for _, channel in wanted]
        self.blocks = WaveformBlocks("ecg", rate, [channel for _, channel in wanted])

    def add(self, packet: CytonPacket) -> list[Reading]:
        row = [packet.counts[i] for i in self._places]
        for i, count in enumerate(row):
            if count in (HIGH_RAIL, LOW_RAIL):
                why = "over" if count == HIGH_RAIL else "under"
                self.blocks.note(f"{self._names[i]}:{why}-range", i)
        if packet.board_time_ms is not None:
            self.blocks.tell("board_time", packet.board_time_ms, "ms")
        return self.blocks.add(row)


class CytonDecoder:
    """Packets -> blocks of a second; what the board or its dongle says -> a Reply `board`, other text up to `$$$` ->
    `words`."""

    def __init__(self, options: CytonOptions) -> None:
        self.faults = Faults()
        self._packets = CytonPacketReader(self.faults)
        rate = RATE / 2 if options.daisy else RATE
        # With a Daisy module odd samples are the board's and even ones the module's.
        self._daisy = _Inputs(options, CHANNELS, rate) if options.daisy else None
        self._board = _Inputs(options, 0, rate)
        self._moved = _Acceleration() if options.acceleration else None
        self._last: int | None = None

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for item in self._packets.feed(data):
            if isinstance(item, CytonPacket):
                self._take(item, out)
            elif isinstance(item, CytonText):
                out += self._interrupted()
                out.append(Reply("board" if OURS.search(item.text) else "words", {"text": item.text}))
        return out

    def _take(self, packet: CytonPacket, out: list[Reading | Reply]) -> None:
        last, self._last = self._last, packet.sample
        if last is not None and packet.sample != (last + 1) & 0xFF:
            self._missed(last, (packet.sample - last - 1) & 0xFF, out)
        inputs = self._daisy if self._daisy is not None and packet.sample % 2 == 0 else self._board
        out += inputs.add(packet)
        if self._moved is not None:
            out += self._moved.add(packet)

    def _interrupted(self) -> list[Reading]:
        """The board said something in words: it does not stream meanwhile, and counts anew."""
        self._last = None
        blocks = [inputs.blocks for inputs in (self._board, self._daisy, self._moved) if inputs is not None]
        return [block for each in blocks for block in each.gap()]

    def _missed(self, last: int, lost: int, out: list[Reading | Reply]) -> None:
        """By the sample number, which wraps at 256: of a longer loss it tells only the remainder."""
        self.faults.add("lost-packets", "the radio lost packets", lost)
        if self._daisy is None:
            out += self._board.blocks.gap(lost)
        else:
            even = sum((last + 1 + i) % 2 == 0 for i in range(lost))
            out += self._board.blocks.gap(lost - even) if lost > even else []
            out += self._daisy.blocks.gap(even) if even else []
        if self._moved is not None:
            out += self._moved.blocks.gap()


class _Acceleration:
    """The accelerometer: three axes at once, or an octet a packet where packets carry the time."""

    def __init__(self) -> None:
        self.blocks = WaveformBlocks(
            "acceleration", MOVED_RATE, [WaveformChannel(axis, "[g]", PER_COUNT) for axis in "xyz"]
        )
        self._parts: dict[str, int] = {}

    def add(self, packet: CytonPacket) -> list[Reading]:
        if packet.accel_counts is not None:
            return self.blocks.add(packet.accel_counts) if any(packet.accel_counts) else []  # zeros: nothing new
        if packet.accel_part is None:
            return []
        name, octet = packet.accel_part
        if name == "X":
            self._parts = {}
        self._parts[name] = octet
        if name != "z" or len(self._parts) < 6:
            return []
        parts, self._parts = self._parts, {}
        return self.blocks.add(
            [int.from_bytes((parts[axis], parts[axis.lower()]), "big", signed=True) for axis in "XYZ"]
        )


class OpenBciCyton(Driver):
    """OpenBCI Cyton."""

    name = "openbci-cyton"
    title = "OpenBCI Cyton (ECG, EMG, EEG) behind its USB dongle, with or without Daisy"
    line = SerialSettings(115200)
    metrics = ("ecg", "acceleration")
    values = ("lost_samples", "board_time")
    silence = 10.0
    options_type = CytonOptions
    example_options: ClassVar[dict[str, Any]] = {"channels": ["I", "II", "V1"]}
    forbidden = (ForbiddenWrite("board-settings", re.compile(rb"[^bsv?]")),)
    scan_hints = ScanHints(identifying_replies=("board",), probes=(ScanProbe(REGISTERS),))
    source = "OpenBCI documentation, Cyton Data Format and Cyton Board SDK"

    def decoder(self) -> CytonDecoder:
        return CytonDecoder(self.options)

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (STOP,)

    async def run_session(self, io: DeviceIO) -> None:
        """Reset, hear who it is, start; TimeoutError when nothing comes of it."""
        if self.options.reset:
            await io.send(STOP)
            await io.send(RESET)
            self._greeted(await io.wait(_words, BANNER_TIMEOUT), io)
        await io.send(START)
        await io.wait(lambda item: True if isinstance(item, Reading) else None, FIRST_BLOCK_TIMEOUT)

    def _greeted(self, text: str, io: DeviceIO) -> None:
        if "Failure" in text:
            raise CommandFailed("no-board", "the dongle does not reach its board: is the board switched on?")
        if "OpenBCI" not in text:
            raise WrongDevice("another device than an OpenBCI board answered the reset")
        has_daisy = "Daisy" in text
        if has_daisy != self.options.daisy:
            found, right = ("with", "true") if has_daisy else ("without", "false")
            raise WrongDevice(f"the board is {found} a Daisy module; the option says otherwise: set daisy: {right}")
        firmware = re.search(r"Firmware: v?([\w.]{1,16})", text)
        if firmware:
            io.update_status(firmware=firmware[1])

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return CytonTwin(seed, bool(options and options.daisy))


def _words(item: Reading | Reply) -> str | None:
    return item.fields["text"] if isinstance(item, Reply) and item.kind in ("board", "words") else None
