"""OneTouch Ultra2: lines -> readings of the metric `glucose` and replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import BAD, FROM_MEMORY, GOOD, Faults, Reading, Reply
from gatepost.drivers.serial.common.line_splitter import LineSplitter
from gatepost.drivers.serial.common.memory_dump import MemoryDump
from gatepost.drivers.serial.onetouch import lines

LONGEST_LINE = 128
COMMENTS = {
    "01": "not-enough-food", "02": "too-much-food", "03": "mild-exercise", "04": "hard-exercise", "05": "medication",
    "06": "stress", "07": "illness", "08": "feels-hypo", "09": "menses", "10": "vacation", "11": "other",
}  # fmt: skip


class OneTouchDecoder:
    """Each line of a dump is one item: a Reading that is new, or a Reply `known` or `bad`. Other answers are Replies
    `serial_number`, `version`, `unit`, `clock` and `memory` (the beginning of a dump)."""

    def __init__(self, bookmarks: Mapping[str, Any]) -> None:
        self.faults = Faults()
        self._seen = MemoryDump(bookmarks)
        self._split = LineSplitter(self.faults, LONGEST_LINE)
        self._owner = ""

    def feed(self, data: bytes) -> list[Reading | Reply]:
        return [self._line(line, cut) for line, cut in self._split.lines(data)]

    def _line(self, octets: bytes, cut: bool) -> Reading | Reply:
        try:
            line = lines.decode_line(octets.decode("latin-1").strip("\0\x11 "))
        except FrameError as wrong:
            if not cut:  # the first line may have lost its beginning when the port was opened
                self.faults.add(wrong.kind, "a line of the meter is malformed")
            return Reply("bad", {})
        match line:
            case lines.OneTouchRecord():
                return self._record(line)
            case lines.MemoryHeader():
                self._owner = line.serial_number
                return Reply("memory", {"count": line.count, "serial_number": line.serial_number})
            case lines.SerialReply():
                self._owner = line.serial_number
                return Reply("serial_number", {"serial_number": line.serial_number})
            case lines.ClockReply():
                return Reply("clock", {"time": line.time.isoformat()})
            case lines.UnitReply():
                return Reply("unit", {"unit": line.unit})
            case lines.VersionReply():
                return Reply("version", {"version": line.version})

    def _record(self, record: lines.OneTouchRecord) -> Reading | Reply:
        if not self._owner:  # the rest of a dump that somebody else asked for: of which meter?
            return Reply("bad", {})
        mark = self._seen.take(self._owner, *vars_of(record))
        return Reply("known", {}) if mark is None else reading(record, mark)


def vars_of(record: lines.OneTouchRecord) -> tuple[object, ...]:
    """What tells two records apart."""
    return (record.time.isoformat(), record.mg_dl, record.control_solution, record.meal, record.comment,
            record.over_range, record.under_range)  # fmt: skip


def reading(record: lines.OneTouchRecord, mark: tuple[str, str] | None = None) -> Reading:
    """A result of a control solution, beyond the range, or with a parity error in the meter is no value."""
    why = (
        "control-solution"
        if record.control_solution
        else "parity-error"
        if record.parity_error
        else "over-range"
        if record.over_range
        else "under-range"
        if record.under_range
        else None
    )
    flags = [FROM_MEMORY] if why is None else [FROM_MEMORY, f"glucose:{why}"]
    if record.meal != "none":
        flags.append(f"meal-{record.meal}")
    if record.comment != "00":
        flags.append(f"comment-{COMMENTS.get(record.comment, record.comment)}")
    if why is None:
        values, units = {"glucose": record.mg_dl}, {"glucose": "mg/dL"}
    else:
        values, units = {}, {}
    quality = GOOD if why is None else BAD
    return Reading("glucose", values, units, tuple(flags), quality, record.time.isoformat(), bookmark=mark)
