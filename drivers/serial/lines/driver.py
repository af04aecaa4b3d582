"""Driver `lines`: any device that prints lines of JSON, key=value or CSV, or that a regular expression can read."""

from __future__ import annotations

import random
import re
from typing import Any, ClassVar

import orjson

from gatepost.drivers.driver import Driver, ScanHints, SerialSettings, Twin
from gatepost.drivers.reading import UNCERTAIN, Faults, Reading, Reply
from gatepost.drivers.serial.common.line_splitter import LineSplitter
from gatepost.drivers.serial.lines.fields import compile_fields, plain_objects
from gatepost.drivers.serial.lines.formats import (
    EXPLAINED,
    BadLine,
    Parse,
    csv_lines,
    is_utf8,
    json_lines,
    keyvalue_lines,
    regex_lines,
)
from gatepost.drivers.serial.lines.options import LinesOptions
from gatepost.drivers.serial.lines.waveforms import channels, compile_row
from gatepost.drivers.testing.ecg_beat import heart_beat
from gatepost.drivers.waveforms import WaveformBlocks

__all__ = ["CUT", "Lines", "LinesDecoder", "LinesOptions", "LinesTwin"]

WAVE_TICKS = 25  # a second, of a twin that prints a waveform
CUT = "first-line"  # flag of a reading whose line may have lost its beginning when the port was opened


class LinesDecoder:
    """Lines -> readings. A line that does not fit is counted; the first one after opening is not even that."""

    def __init__(self, options: LinesOptions) -> None:
        self.faults = Faults()
        ending = options.line_end.encode(options.encoding) if options.line_end else None
        self._split = LineSplitter(self.faults, options.max_line, ending)
        self._parse = _parser(options, self.faults)
        self._convert = compile_fields(
            options.metric, options.fields, options.others == "keep", options.device_time, options.device_time_format
        )
        as_it_is = not options.fields and options.others == "keep" and not options.device_time
        self._plain = plain_objects(options.metric) if as_it_is and reads_utf8(options) else None
        self._first_line = options.first_line
        self._can_tell = options.format == "json"  # a JSON object that lost its beginning is no JSON any more

    def feed(self, data: bytes) -> list[Reading | Reply]:
        lines = self._split.feed(data)
        out: list[Reading | Reply] = []
        if self._split.cut:
            out += self._first(lines.pop(0))
        parse, convert, plain = self._parse, self._convert, self._plain
        for line in lines:
            if plain is not None and (reading := plain(line)) is not None:
                out.append(reading)
                continue
            try:
                members = parse(line)
                reading = convert(members)
            except BadLine as bad:
                self.faults.add(str(bad), EXPLAINED[str(bad)])
                continue
            if reading is not None:
                out.append(reading)
            elif members:
                self.faults.add("no-values", EXPLAINED["no-values"])
        return out

    def _first(self, line: bytes) -> list[Reading]:
        if self._first_line == "skip":
            return []
        try:
            members = self._parse(line)
        except BadLine:
            return []
        reading = self._convert(members)
        if reading is None:
            return []
        if self._first_line == "mark" and not (self._can_tell and line.lstrip().startswith(b"{")):
            reading.quality = UNCERTAIN
            reading.flags = (*reading.flags, CUT)
        return [reading]


class WaveDecoder:
    """Lines that are samples -> blocks of a second. A line that does not fit leaves a gap; the first one after opening
    may be cut and is left out unless it is to be kept."""

    def __init__(self, options: LinesOptions, rate_hz: float) -> None:
        self.faults = Faults()
        ending = options.line_end.encode(options.encoding) if options.line_end else None
        self._split = LineSplitter(self.faults, options.max_line, ending, holes=True)
        self._parse = _parser(options, self.faults)
        self._row = compile_row(options.fields)
        self._blocks = WaveformBlocks(options.metric, rate_hz, channels(options.fields))
        self._keeps_first = options.first_line == "keep"

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        lines = self._split.feed(data)
        if self._split.cut and not self._keeps_first:
            del lines[0]
        for line in lines:
            try:
                if not line:
                    raise BadLine  # one that was too long, and is counted
                members = self._parse(line)
                if members:  # not a header line
                    out += self._blocks.add(self._row(members))
            except BadLine as bad:
                if str(bad):
                    self.faults.add(str(bad), EXPLAINED[str(bad)])
                out += self._blocks.gap()
        return out


class LinesTwin:
    """Prints lines in the configured form, one a tick, of a waveform as many as its rate asks for; numbers wander,
    `seq` counts."""

    interval = 1.0

    def __init__(self, options: LinesOptions, seed: int) -> None:
        self._each = 1
        if options.waveform is not None:
            self._each = max(1, round(options.waveform.rate_hz / WAVE_TICKS))
            self.interval = self._each / options.waveform.rate_hz
        self._options = options
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._level = 20.0
        self._seq = 0

    def tick(self) -> bytes:
        return b"".join(self._next() for _ in range(self._each))

    def _next(self) -> bytes:
        self._seq += 1
        self._level = min(40.0, max(5.0, self._level + self._random.uniform(-0.3, 0.3)))
        return (self._line() + (self._options.line_end or "\n")).encode(self._options.encoding)

    def hear(self, data: bytes) -> bytes:
        return b""

    def _line(self) -> str:
        options = self._options
        if options.format == "csv":
            delimiter = options.delimiter or ","
            return delimiter.join(str(self._value(name)) for name in options.columns)
        if options.format == "regex":
            return _sample(options.pattern, [self._value(name) for name in options.sources()])
        names = [name for name in options.fields if not name.startswith("/")] or ["seq", "temperature", "humidity"]
        members = {name: self._value(name) for name in names}
        if options.format == "keyvalue":
            mark = options.separator or "="
            return (options.delimiter or " ").join(f"{name}{mark}{value}" for name, value in members.items())
        return orjson.dumps(members).decode()

    def _value(self, name: str) -> int | float:
        if self._options.waveform is not None:
            return round(512 + 300 * heart_beat(self._seq / self._options.waveform.rate_hz % 1.0))
        return self._seq if name == "seq" else round(self._level + len(name), 2)


class Lines(Driver):
    """Any device that prints lines."""

    name = "lines"
    title = "Any device that prints lines: JSON, key=value, CSV or a regular expression"
    line = SerialSettings(9600)
    scan_hints = ScanHints(lines=(SerialSettings(115200),))
    default_interval = 0.0
    options_type = LinesOptions
    source = "docs/drivers.md, lines"
    example_options: ClassVar[dict[str, Any]] = {
        "format": "json",
        "metric": "environment",
        "fields": {"t": {"name": "temperature", "unit": "Cel", "scale": 0.1}},
    }

    @classmethod
    def value_names(cls, options: Any = None) -> tuple[str, ...]:
        return options.value_names() if isinstance(options, LinesOptions) else ()

    def decoder(self) -> LinesDecoder | WaveDecoder:
        waveform = self.options.waveform
        return LinesDecoder(self.options) if waveform is None else WaveDecoder(self.options, waveform.rate_hz)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return LinesTwin(options or LinesOptions(), seed)


def reads_utf8(options: LinesOptions) -> bool:
    """Whether lines are JSON that needs no other decoding."""
    return options.format == "json" and is_utf8(options.encoding)


def _parser(options: LinesOptions, faults: Faults) -> Parse:
    encoding = options.encoding

    def decode(line: bytes) -> str:
        return line.decode(encoding, "replace")

    if options.format == "json":
        return json_lines(encoding, faults)
    if options.format == "keyvalue":
        return keyvalue_lines(decode, options.delimiter, options.separator)
    if options.format == "csv":
        return csv_lines(decode, options.columns, options.delimiter)
    return regex_lines(decode, options.pattern)


def _sample(pattern: str, values: list[int | float]) -> str:
    """A line for the twin: the pattern with each named group, which may not nest, replaced by a value."""
    rest = iter(values)
    text = re.sub(r"\(\?P<\w+>[^()]*\)", lambda _: str(next(rest, 0)), pattern)
    return re.sub(r"\\s[*+]?", " ", text).replace("\\", "").strip("^$")
