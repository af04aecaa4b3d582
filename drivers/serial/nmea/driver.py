"""Driver `nmea0183`: weather stations, water thermometers, transducers and GPS receivers that speak NMEA 0183."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import Driver, ScanHints, SerialSettings, Twin
from gatepost.drivers.options import MetricName
from gatepost.drivers.reading import Faults, Reading, Reply
from gatepost.drivers.serial.common.line_splitter import LineSplitter
from gatepost.drivers.serial.nmea.sentence import decode_sentence
from gatepost.drivers.serial.nmea.twin import NmeaTwin
from gatepost.drivers.serial.nmea.values import READERS

LONGEST_LINE = 256  # octets; the standard says 82, some senders know no limit


class NmeaOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is taken of what is heard, and what it is called."""

    metric: Annotated[MetricName, Meta(description="the metric_type of weather, water and transducers")] = "environment"
    checksum: Annotated[
        bool, Meta(description="refuse sentences without a checksum; a wrong one is always refused")
    ] = True
    talkers: Annotated[
        list[str], Meta(description="only sentences of these talkers, such as WI or GP; empty = of all")
    ] = []
    names: Annotated[
        dict[str, str], Meta(description="XDR: transducer name -> name upstream: {TEMPAIR: temperature}")
    ] = {}


class NmeaDecoder:
    """Sentences -> readings; a kind that says nothing to us is counted in `others`, not as a fault."""

    def __init__(self, options: NmeaOptions) -> None:
        self.faults = Faults()
        self.others: dict[str, int] = {}
        self._options = options
        self._talkers = frozenset(options.talkers)
        self._split = LineSplitter(self.faults, LONGEST_LINE)

    def feed(self, data: bytes) -> list[Reading | Reply]:
        found = (self._line(line, cut) for line, cut in self._split.lines(data))
        return [reading for reading in found if reading is not None]

    def _line(self, octets: bytes, cut: bool) -> Reading | None:
        try:
            sentence = decode_sentence(octets.decode("latin-1").strip(" \0"), self._options.checksum)
            if self._talkers and sentence.talker not in self._talkers:
                return None
            reader = READERS.get(sentence.kind)
            if reader is None:
                self._other(sentence.kind)
                return None
            return reader(sentence.fields, self._options.metric, self._options.names)
        except FrameError as wrong:
            if not cut:  # the first line may have lost its beginning when the port was opened
                self.faults.add(wrong.kind, "a line is no good sentence; is the baud rate right (4800, 38400)?")
            return None

    def _other(self, kind: str) -> None:
        if kind in self.others or len(self.others) < 100:
            self.others[kind] = self.others.get(kind, 0) + 1


class Nmea0183(Driver):
    """Listens only."""

    name = "nmea0183"
    title = "NMEA 0183 instruments: weather, water, transducers, position"
    line = SerialSettings(4800, 8, "N", 1)
    scan_hints = ScanHints(lines=(SerialSettings(9600), SerialSettings(38400)))
    metrics = ("environment", "position")
    values = ()  # transducers have names of their own
    default_interval = 1.0
    options_type = NmeaOptions
    example_options: ClassVar[dict[str, Any]] = {"names": {"TEMPAIR": "temperature"}}
    source = "NMEA 0183, as publicly described"

    def decoder(self) -> NmeaDecoder:
        return NmeaDecoder(self.options)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return NmeaTwin(seed)
