"""Driver `oximeter-ascii`: oximeters that print a line a second (Nonin handhelds, Masimo ASCII 1, Nellcor N-595)."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, SerialSettings, Twin
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Faults, Reading, Reply, iso_time
from gatepost.drivers.serial.common.line_splitter import LineSplitter
from gatepost.drivers.serial.common.status_updates import StatusUpdates, follow
from gatepost.drivers.serial.oximeter_ascii.lines import DIALECTS, NELLCOR_STATUS, OximeterLine, is_heading
from gatepost.drivers.serial.oximeter_ascii.twin import OximeterAsciiTwin

METRIC = "pulse_oximetry"
LONGEST_LINE = 256
MOST_HEADINGS = 12  # in a row; more of what looks like them is another device
VALUES = {  # of a line -> name, UCUM unit
    "spo2": ("spo2", "%"),
    "pulse_rate": ("heart_rate", "/min"),
    "pi_pct": ("perfusion_index", "%"),
    "spco_pct": ("spco", "%"),
    "spmet_pct": ("spmet", "%"),
    "sphb": ("sphb", ""),
    "desat": ("desat", ""),
    "pi_delta": ("pi_delta", ""),
    "pvi": ("pvi", "%"),
    "pulse_amplitude": ("pulse_amplitude", ""),
}
ALWAYS = ("spo2", "pulse_rate")  # other parameters are missed only where they were seen: not all are installed
# Why there is no value, the first that applies; with values they make them doubtful.
DOUBTS = (
    "no-sensor",
    "sensor-disconnected",
    "sensor-fault",
    "unrecognized-sensor",
    "sensor-off",
    "ambient-light",
    "loss-of-pulse-with-interference",
    "loss-of-pulse",
    "pulse-search",
    "interference",
    "low-perfusion",
    "low-signal-quality",
)


class OximeterAsciiOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose lines they are."""

    dialect: Annotated[
        Literal["auto", "nonin", "masimo", "nellcor"],
        Meta(description="the form of the lines; auto takes whichever a line has"),
    ] = "auto"


class OximeterAsciiDecoder:
    """Lines -> readings. Headings are passed over, other lines that do not fit are counted."""

    def __init__(self, options: OximeterAsciiOptions) -> None:
        self.faults = Faults()
        self._split = LineSplitter(self.faults, LONGEST_LINE)
        self._dialects = tuple(DIALECTS) if options.dialect == "auto" else (options.dialect,)
        self._fits = options.dialect != "auto"  # whether the first of them has been seen
        self._headings = 0  # since the last line of data
        self._seen: set[str] = set(ALWAYS)
        self._news = StatusUpdates()

    def feed(self, data: bytes) -> list[Reading | Reply]:
        found = (self._line(line.strip(b"\0 \x02\x03"), first) for line, first in self._split.lines(data))
        return [item for items in found for item in items]

    def _line(self, line: bytes, first: bool) -> list[Reading | Reply]:
        if not line:
            return []
        if not line.isascii():
            self.faults.add("encoding", "octets above 7F: check `baudrate` and `parity`")
            return []
        text = line.decode("ascii")
        kind = "bad_format"
        for dialect in self._dialects:
            try:
                found = DIALECTS[dialect](text)
            except FrameError as wrong:
                kind = wrong.kind if wrong.kind != "bad_format" else kind
                continue
            if self._dialects[0] != dialect:  # the one that fits is tried first from now on
                self._dialects = (dialect, *(other for other in self._dialects if other != dialect))
            self._fits, self._headings = True, 0
            return [*self._learn(found), self._reading(found)]
        likely = self._dialects[:1] if self._fits else self._dialects
        heading = any(is_heading(text, dialect) for dialect in likely)
        self._headings += heading
        if not first and (not heading or self._headings > MOST_HEADINGS):
            self.faults.add(kind, "a line is not of the expected form: check `dialect`")
        return []

    def _learn(self, line: OximeterLine) -> list[Reply]:
        low = "LB" in line.status if self._dialects[0] == "nellcor" else None
        return self._news.learn(serial_number=line.serial, battery_low=low)

    def _reading(self, line: OximeterLine) -> Reading:
        remarks = [NELLCOR_STATUS.get(code, code) for code in line.status]
        why = next((doubt for doubt in DOUBTS if doubt in remarks), "")
        values: dict[str, Any] = {}
        units: dict[str, str] = {}
        flags: list[str] = []
        for name, value in line.values.items():
            ours, unit = VALUES[name]
            if value is None or (name in ALWAYS and not value):
                if name in self._seen:
                    flags.append(f"{ours}:{why or 'no-signal'}")
                continue
            self._seen.add(name)
            values[ours] = value
            if unit:
                units[ours] = unit
        there = sum(VALUES[name][0] in values for name in ALWAYS)
        quality = BAD if not there else UNCERTAIN if why or there < len(ALWAYS) else GOOD
        flags += remarks
        flags += (name for name, on in (("alarm", line.alarm), ("event", line.event), ("fast", line.fast)) if on)
        return Reading(METRIC, values, units, tuple(dict.fromkeys(flags)), quality, _device_time(line))


def _device_time(line: OximeterLine) -> str | None:
    """ISO 8601; a time of day alone is none."""
    return None if line.time is None or len(line.time) < 6 else iso_time(line.time)


class OximeterAscii(Driver):
    """Printer lines of oximeters. It only listens."""

    name = "oximeter-ascii"
    title = "Oximeters that print lines: Nonin handhelds, Masimo ASCII 1, Nellcor N-595"
    line = SerialSettings(9600)
    metrics = (METRIC,)
    values = tuple(name for name, _unit in VALUES.values())
    default_interval = 1.0
    silence = 15.0
    options_type = OximeterAsciiOptions
    example_options: ClassVar[dict[str, Any]] = {"dialect": "masimo"}
    forbidden = (ForbiddenWrite("speak", re.compile(rb"")),)
    source = "operator's manuals of Nonin 2500, 8500, 9600, Masimo Rad-8 and Radical-7, Nellcor N-395 and N-595"

    def decoder(self) -> OximeterAsciiDecoder:
        return OximeterAsciiDecoder(self.options)

    async def run_session(self, io: DeviceIO) -> None:
        """Serial number and battery into the status."""
        await follow(io)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        dialect = getattr(options, "dialect", "auto")
        return OximeterAsciiTwin(seed, "nonin" if dialect == "auto" else dialect)
