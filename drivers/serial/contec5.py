"""Driver `contec-cms50d-plus`: Contec oximeters that send five octets sixty times a second (older CMS50D+ and CMS50E).

Octet 0: bit 7 set, 6 beep, 5 SpO2 falling, 4 searched too long or finger out, 0-3 signal strength. Octet 1: waveform.
Octet 2: bit 6 is bit 7 of the pulse rate, 5 searching, 4 probe error, 0-3 bar graph. Octet 3: pulse rate, bits 0-6.
Octet 4: SpO2. No checksum: only octet 0 has bit 7 set. Zero means no value.
"""

from __future__ import annotations

import random
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from drivers.driver import Driver, Line, Twin
from drivers.reading import BAD, UNCERTAIN, Faults, Reading, Reply
from drivers.serial.frames import FrameError, Trust
from drivers.serial.pleth import PlethBlocks

SIZE = 5
UNITS = {"spo2": "%", "heart_rate": "/min"}
_STORED_HEADER = bytes.fromhex("f28000f28000f28000")


class Live(msgspec.Struct, frozen=True, gc=False):
    """One frame. None = the device has no value."""

    signal_strength: int
    search_timeout: bool
    spo2_drop: bool
    beep: bool
    waveform: int
    bar: int
    probe_error: bool
    searching: bool
    pulse_rate: int | None
    spo2: int | None


def decode_live(frame: bytes) -> Live:
    """Exactly one frame of five octets; FrameError truncated, bad_length or bad_sync."""
    if len(frame) < SIZE:
        raise FrameError("truncated")
    if len(frame) > SIZE:
        raise FrameError("bad_length")
    status, waveform, bar, pulse, spo2 = frame
    if not status & 0x80 or (waveform | bar | pulse | spo2) & 0x80:
        raise FrameError("bad_sync")
    return Live(
        signal_strength=status & 0x0F,
        search_timeout=bool(status & 0x10),
        spo2_drop=bool(status & 0x20),
        beep=bool(status & 0x40),
        waveform=waveform,
        bar=bar & 0x0F,
        probe_error=bool(bar & 0x10),
        searching=bool(bar & 0x20),
        pulse_rate=(pulse | (bar & 0x40) << 1) or None,
        spo2=spo2 or None,
    )


def decode_stored(frame: bytes) -> list[dict[str, int | None]]:
    """The answer to F5 F5: header, length - 1 in three groups of seven bits, records of three octets, one a second."""
    head = len(_STORED_HEADER)
    if not _STORED_HEADER.startswith(frame[:head]):
        raise FrameError("bad_header")
    if len(frame) < head + 3:
        raise FrameError("truncated")
    high, middle, low = frame[head : head + 3]
    if not high & 0x80 or not middle & 0x80 or low & 0x80:
        raise FrameError("bad_header")
    length = ((high & 0x7F) << 14 | (middle & 0x7F) << 7 | low) + 1
    body = frame[head + 3 :]
    if len(body) < length:
        raise FrameError("truncated")
    if len(body) > length or length % 3:
        raise FrameError("bad_length")
    return [_record(*body[i : i + 3]) for i in range(0, length, 3)]


def _record(mark: int, pulse: int, spo2: int) -> dict[str, int | None]:
    if mark & 0xFE != 0xF0 or not pulse & 0x80 or spo2 & 0x80:
        raise FrameError("bad_sync")
    return {"pulse_rate": ((mark & 1) << 7 | pulse & 0x7F) or None, "spo2": spo2 or None}


class LiveFrames:
    """Octets in any chunks -> frames. `None` in the result stands where octets were skipped to find the next frame."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rest = b""
        self._lost = True  # the first octets after opening may be the end of a frame: no fault

    def feed(self, data: bytes) -> list[Live | None]:
        data = self._rest + data
        frames: list[Live | None] = []
        at, end = 0, len(data)
        while at < end:
            bad = self._first_wrong(data, at, min(at + SIZE, end))
            if bad is not None:
                if not self._lost:
                    self._lost = True
                    self._faults.add("resync", "octets that belong to no frame were skipped")
                    frames.append(None)
                at = bad
            elif end - at < SIZE:
                break
            else:
                self._lost = False
                frames.append(decode_live(data[at : at + SIZE]))
                at += SIZE
        self._rest = data[at:]
        return frames

    @staticmethod
    def _first_wrong(data: bytes, at: int, end: int) -> int | None:
        """Where to look on when no frame begins at `at`; None = what is there looks right."""
        if not data[at] & 0x80:
            return at + 1
        for i in range(at + 1, end):
            if data[i] & 0x80:
                return i
        return None


class Contec5Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent beside the numbers."""

    waveform: Annotated[bool, Meta(description="send the plethysmogram too, a block of 60 samples each second")] = False


class Contec5Decoder:
    """Frames -> readings of metric pulse_oximetry, after two consistent frames."""

    def __init__(self, options: Contec5Options) -> None:
        self.faults = Faults()
        self._frames = LiveFrames(self.faults)
        self._trust = Trust(8, 4)  # 1/min and %: what may change within 1/60 s
        self._pleth = PlethBlocks() if options.waveform else None

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for frame in self._frames.feed(data):
            block = None
            if frame is None:
                self._trust.lose()
                block = self._pleth.cut() if self._pleth else None
            elif self._trust.judge(frame.pulse_rate, frame.spo2):
                out.append(reading(frame))
                block = self._pleth.add(frame.waveform) if self._pleth else None
            if block is not None:
                out.append(block)
        return out


def reading(frame: Live) -> Reading:
    """What one frame says about the person."""
    if frame.spo2 and frame.pulse_rate and not (frame.search_timeout or frame.searching or frame.probe_error):
        values = {"spo2": frame.spo2, "heart_rate": frame.pulse_rate}
        return Reading("pulse_oximetry", values, UNITS, ("spo2-falling",) if frame.spo2_drop else ())
    if frame.search_timeout:
        why = "no-finger"
    elif frame.probe_error:
        why = "sensor-fault"
    else:
        why = "searching" if frame.searching else "no-signal"
    values = {}
    units = {}
    flags: list[str] = []
    for name, value in (("spo2", frame.spo2), ("heart_rate", frame.pulse_rate)):
        if value:
            values[name] = value
            units[name] = UNITS[name]
        else:
            flags.append(f"{name}:{why}")
    if len(values) == 2:
        flags.append(why)
    return Reading("pulse_oximetry", values, units, tuple(flags), UNCERTAIN if values else BAD)


class Contec5Twin:
    """A finger in an oximeter: a frame a tick, pulse and saturation wander, the waveform follows the pulse."""

    def __init__(self, seed: int = 0, interval: float = 1 / 60) -> None:
        self.interval = interval
        self.finger = True
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._pulse = 72.0
        self._spo2 = 97.0
        self._phase = 0.0

    def frame(self) -> Live:
        drift = self._random.uniform
        self._pulse = min(140.0, max(48.0, self._pulse + drift(-0.1, 0.1)))
        self._spo2 = min(99.4, max(90.0, self._spo2 + drift(-0.03, 0.03)))
        self._phase = (self._phase + self._pulse / 60 * self.interval) % 1.0
        if not self.finger:
            return Live(0, True, False, False, 0, 0, False, False, None, None)
        level = pleth_level(self._phase)
        return Live(6, False, False, level > 95, level, level // 8, False, False, round(self._pulse), round(self._spo2))

    def tick(self) -> bytes:
        return encode_live(self.frame())

    def hear(self, data: bytes) -> bytes:
        return b""


def encode_live(frame: Live) -> bytes:
    """The five octets of a frame, as the device sends them."""
    pulse = frame.pulse_rate or 0
    status = frame.signal_strength | frame.search_timeout << 4 | frame.spo2_drop << 5 | frame.beep << 6
    bar = frame.bar | frame.probe_error << 4 | frame.searching << 5 | pulse >> 7 << 6
    return bytes((0x80 | status, frame.waveform, bar, pulse & 0x7F, frame.spo2 or 0))


def pleth_level(phase: float) -> int:
    """A pulse wave, 0 to 100: a quick rise and a slow fall."""
    return round(100 * (phase / 0.2 if phase < 0.2 else (1 - phase) / 0.8))


class ContecCms50dPlus(Driver):
    """Contec five-octet protocol, live."""

    name = "contec-cms50d-plus"
    title = "Contec CMS50D+ and CMS50E (older firmware), live data of five octets"
    line = Line(19200, 8, "O", 1)
    metrics = ("pulse_oximetry",)
    every = 1.0
    pace = "median"
    silence = 15.0
    values = ("spo2", "heart_rate")
    options_type = Contec5Options
    example_options: ClassVar[dict[str, Any]] = {"waveform": False}
    source = "public decoders of the CMS50D+ (atbrask/CMS50Dplus)"

    def decoder(self) -> Contec5Decoder:
        return Contec5Decoder(self.options)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return Contec5Twin(seed)
