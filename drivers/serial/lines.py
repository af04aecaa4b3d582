"""Driver `lines`: any device that prints lines of JSON, key=value or CSV, or that a regular expression can read."""

from __future__ import annotations

import random
import re
from typing import Any, ClassVar

import orjson

from drivers.driver import Driver, Line, Twin
from drivers.reading import UNCERTAIN, Faults, Reading, Reply
from drivers.serial.framing import LineSplitter
from drivers.serial.line_fields import compile_fields
from drivers.serial.line_formats import BadLine, Parse, csv_lines, json_lines, keyvalue_lines, regex_lines
from drivers.serial.line_options import LinesOptions

__all__ = ["CUT", "Lines", "LinesDecoder", "LinesOptions", "LinesTwin"]

CUT = "first-line"  # flag of a reading whose line may have lost its beginning when the port was opened


class LinesDecoder:
    """Lines -> readings. A line that does not fit is counted; the first one after opening is not even that."""

    def __init__(self, options: LinesOptions) -> None:
        self.faults = Faults()
        ending = options.line_end.encode(options.encoding) if options.line_end else None
        self._split = LineSplitter(self.faults, options.max_line, ending)
        self._parse = _parser(options, self.faults)
        self._convert = compile_fields(
            options.metric,
            options.fields,
            options.others == "keep",
            options.device_time,
            options.device_time_format,
        )
        self._first_line = options.first_line
        self._can_tell = options.format == "json"  # a JSON object that lost its beginning is no JSON any more

    def feed(self, data: bytes) -> list[Reading | Reply]:
        lines = self._split.feed(data)
        out: list[Reading | Reply] = []
        if self._split.cut:
            self._split.cut = False
            out += self._first(lines.pop(0))
        parse, convert = self._parse, self._convert
        for line in lines:
            try:
                members = parse(line)
                reading = convert(members)
            except BadLine as bad:
                self.faults.add(str(bad))
                continue
            if reading is not None:
                out.append(reading)
            elif members:
                self.faults.add("no-values")
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


class LinesTwin:
    """Prints one line a tick in the configured form; numbers wander, `seq` counts."""

    def __init__(self, options: LinesOptions, seed: int, interval: float = 1.0) -> None:
        self.interval = interval
        self._options = options
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._level = 20.0
        self._seq = 0

    def tick(self) -> bytes:
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
            return _sample(options.pattern, [self._value(name) for name in re.compile(options.pattern).groupindex])
        names = [name for name in options.fields if not name.startswith("/")] or ["seq", "temperature", "humidity"]
        members = {name: self._value(name) for name in names}
        if options.format == "keyvalue":
            mark = options.separator or "="
            return (options.delimiter or " ").join(f"{name}{mark}{value}" for name, value in members.items())
        return orjson.dumps(members).decode()

    def _value(self, name: str) -> int | float:
        return self._seq if name == "seq" else round(self._level + len(name), 2)


class Lines(Driver):
    """Any device that prints lines."""

    name = "lines"
    title = "Any device that prints lines: JSON, key=value, CSV or a regular expression"
    line = Line(9600)
    every = 0.0
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

    def decoder(self) -> LinesDecoder:
        return LinesDecoder(self.options)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return LinesTwin(options or LinesOptions(), seed)


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
