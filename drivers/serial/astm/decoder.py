"""ASTM meters and analysers: octets -> readings of their results, and what the sender is to be answered."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, FROM_MEMORY, GOOD, Faults, Reading, Reply, iso_time
from gatepost.drivers.serial.astm import records
from gatepost.drivers.serial.astm.frames import AstmEvent, AstmReceiver
from gatepost.drivers.serial.common.memory_dump import MemoryDump

LONGEST_RECORD = 8192  # octets; a record may go over several frames
CURVES = b"MC"  # records of the maker, such as curves, and comments: no values
MOST_ASKED = 64  # answers that wait to be given; a sender waits for each
GLUCOSE = frozenset({"glucose", "glu", "gluc", "blood glucose"})
UNITS = {"mg/dl": "mg/dL", "mmol/l": "mmol/L", "g/dl": "g/dL", "g/l": "g/L", "umol/l": "umol/L", "%": "%"}  # UCUM
REFERENCES = {"P": "reference-plasma", "B": "reference-whole-blood", "D": "reference-deproteinized-whole-blood"}
USER_MARKS = {
    "B": "meal-before", "A": "meal-after", "D": "feels-unwell", "I": "sick", "S": "stress", "X": "activity",
}  # fmt: skip
ABNORMAL = {
    "L": "abnormal-low", "H": "abnormal-high", "LL": "abnormal-very-low", "HH": "abnormal-very-high", "A": "abnormal",
    "AA": "very-abnormal", "U": "going-up", "D": "going-down", "B": "better", "W": "worse",
}  # fmt: skip
CONTROL = "C"  # a Contour's mark of a control solution


class AstmRequest(NamedTuple):
    """What the sender waits for; `store`: not before its records are on disk."""

    answer: bytes
    store: bool


class AstmDecoder:
    """Readings as their records are complete; for each answer that is due an entry in `asks` and a Reply `astm`."""

    def __init__(self, bookmarks: Mapping[str, Any]) -> None:
        self.faults = Faults()
        self.asks: deque[AstmRequest] = deque(maxlen=MOST_ASKED)
        self.device: dict[str, str] = {}  # what the newest header said of the sender
        self.receiver = AstmReceiver(self.faults)
        self._seen = MemoryDump(bookmarks, twins=True)  # their clocks tell minutes
        self._header = records.AstmHeader(records.AstmDelimiters())
        self._control = False
        self._text = b""

    def feed(self, data: bytes) -> list[Reading | Reply]:
        return [item for event in self.receiver.feed(data) for item in self._event(event)]

    def expire(self) -> None:
        """The sender said nothing for too long."""
        self.receiver.expire()
        self._text = b""

    def _event(self, event: AstmEvent) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        if event.kind == "enquiry":
            self._text = b""
            self._seen.begin()
        elif event.kind == "frame" and event.frame is not None:
            if event.outside:
                self._text = b""
            out += self._frame(event.frame.text, event.frame.last, event.outside)
        elif event.kind == "end" and self._text:
            self.faults.add("incomplete", "a message ended in the middle of a record")
            self._text = b""
        if event.answer:
            self.asks.append(AstmRequest(event.answer, event.kind in ("frame", "duplicate")))
        if event.answer or event.kind == "end":
            out.append(Reply("astm", {"event": event.kind}))
        return out

    def _frame(self, text: bytes, last: bool, outside: bool) -> list[Reading | Reply]:
        text = self._text + text
        if last or outside:
            text += b"\r"
        *whole, self._text = re.split(rb"[\r\n]", text)
        if len(self._text) > LONGEST_RECORD:
            if self._text[:1] not in CURVES:
                self.faults.add("too-long", "a record is too long")
            self._text = CURVES[:1]  # what follows of it belongs to no other record
        out: list[Reading | Reply] = []
        for line in whole:
            if line and not (outside and line[:1] != b"H"):
                out += self._record(line.decode("latin-1"))
        return out

    def _record(self, text: str) -> list[Reading | Reply]:
        marks = self._header.delimiters
        try:
            match text[0]:
                case "H":
                    self._control = False
                    self._seen.begin()
                    return [self._new_header(text)]
                case "P":
                    self._control = False
                case "O":
                    self._control = records.is_control(text, marks)
                case "R":
                    result = records.decode_result(text, marks)
                    owner = self._header.serial_number or self._header.product or "unknown"
                    mark = self._seen.take(owner, text.split(marks.field, 2)[2])
                    if mark is not None:
                        return [reading(result, self._control, mark)]
        except FrameError as wrong:
            self.faults.add(wrong.kind, "a record is malformed")
        return []

    def _new_header(self, text: str) -> Reply:
        self._header = records.decode_header(text)
        told = {"serial_number": self._header.serial_number, "model": self._header.product}
        self.device = {name: text for name, text in told.items() if text}
        return Reply("device", dict(self.device))


def reading(result: records.AstmResult, control: bool = False, mark: tuple[str, str] | None = None) -> Reading:
    """Glucose under its metric, anything else under `reading`; a control's or an unmeasurable result is no value."""
    glucose = is_glucose(result)
    name = "glucose" if glucose else value_name(result.analyte)
    why = None
    if control or (result.user_marks and CONTROL in result.markers):
        why = "control-solution"
    elif result.beyond:
        why = f"{result.beyond}-range"
    elif result.value is None and glucose:
        why = "not-a-number"
    flags = [FROM_MEMORY] if why is None else [FROM_MEMORY, f"{name}:{why}"]
    if result.reference in REFERENCES:
        flags.append(REFERENCES[result.reference])
    flags += _remarks(result)
    time = iso_time(result.timestamp)
    metric = "glucose" if glucose else "reading"
    if why is not None:
        return Reading(metric, {}, {}, tuple(flags), BAD, time, bookmark=mark)
    value = result.text if result.value is None else result.value
    unit = UNITS.get(result.unit.casefold(), result.unit)
    return Reading(metric, {name: value}, {name: unit} if unit else {}, tuple(flags), GOOD, time, bookmark=mark)


def is_glucose(result: records.AstmResult) -> bool:
    return result.analyte.casefold() in GLUCOSE


def value_name(analyte: str) -> str:
    """The name of an analyte as the name of a value: lower case, letters, digits and underscores."""
    return re.sub(r"[^a-z0-9]+", "_", analyte.casefold()).strip("_")[:64] or "value"


def _remarks(result: records.AstmResult) -> list[str]:
    table = USER_MARKS if result.user_marks else ABNORMAL
    found = []
    for mark in result.markers:
        if mark in ("<", ">", "N") or (result.user_marks and mark == CONTROL):
            continue
        slug = re.sub(r"[^a-z0-9]+", "-", mark.casefold()).strip("-")[:16]
        if slug:
            found.append(table.get(mark, f"mark-{slug}"))
    return found[:16]
