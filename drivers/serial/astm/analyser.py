"""Results of an analyser by ASTM E1394: every analyte under its own name, as readings of the metric `laboratory`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.laboratory import CONTROL, MAX_TEXT, abnormal_flag, is_nothing, name_part, result_reading, slug
from gatepost.drivers.reading import FROM_MEMORY, Reading, Reply, iso_time
from gatepost.drivers.record_digests import RecordDigests, digest_of
from gatepost.drivers.serial.astm import records
from gatepost.drivers.serial.astm.decoder import AstmDecoder

MARK = "results"  # the name of the bookmark
MOST_SEEN = 128  # results that an analyser may send again
MOST_NAMES = 512  # analytes of one order
STATES = {"P": "preliminary", "C": "corrected"}
DOUBT = "W"  # status of a result whose validity is questionable (LIS02-A2, 9.9)
NONE = frozenset({"X", "I"})  # status of a result that there is not, or not yet


class AnalyserResult(NamedTuple):
    name: str
    result: records.AstmResult
    unreal: tuple[str, ...] = ()  # flags of what is no measurement of a patient


class AnalyserDecoder(AstmDecoder):
    """Decoder of an analyser. A result that is sent again with its order is acknowledged and not given again."""

    def __init__(self, bookmarks: Mapping[str, Any], names: Mapping[str, str]) -> None:
        super().__init__(bookmarks)
        self._names = names
        self._given = RecordDigests(bookmarks.get(MARK), MOST_SEEN)
        self._about: dict[str, str] = {}  # the newest records that a result belongs to
        self._details: dict[str, tuple[str, ...]] = {}  # of the first result of each analyte of an order

    def _record(self, text: str) -> list[Reading | Reply]:
        kind = text[0]
        try:
            if kind in "HPO":
                self._details.clear()
            if kind == "H":
                self._about = {kind: text}
                return [self._new_header(text)]
            if kind in "PO":
                self._about = {name: self._about[name] for name in "HP" if name in self._about and name != kind}
                self._about[kind] = text
            elif kind == "R":
                return self._result(text)
        except FrameError as wrong:
            self.faults.add(wrong.kind, "a record is malformed")
        return []

    def _result(self, text: str) -> list[Reading | Reply]:
        marks = self._header.delimiters
        result = records.decode_result(text, marks, analyser=True)
        order = self._about.get("O", "")
        timed = result.timestamp is not None or re.search(r"\d{12}", order) is not None
        about = [record for kind, record in self._about.items() if kind != "H" or not timed]
        name = self._name(result)
        if not self._given.add(digest_of("\r".join((*about, text)))):
            return []
        unreal = [CONTROL] if records.is_control(order, marks) or self._header.processing == "Q" else []
        if self._header.processing in ("T", "D"):
            unreal.append("test-data")
        return [self._reading(AnalyserResult(name, result, tuple(unreal)))]

    def _name(self, result: records.AstmResult) -> str:
        """That of its analyte; of further results for it (the parts of a GeneXpert's result, the raw signal of an
        Architect) with what their test id says otherwise than the first."""
        name = self._names.get(result.analyte) or slug(result.analyte)
        if name not in self._details and len(self._details) < MOST_NAMES:
            self._details[name] = result.detail
        first = self._details.get(name, ())
        if result.detail == first:
            return name
        own = [part for place, part in enumerate(result.detail) if part and part not in first[place : place + 1]]
        return f"{name}_{name_part(' '.join(own)) or 'other'}"[:64]

    def _reading(self, found: AnalyserResult) -> Reading:
        name, result = found.name, found.result
        if not result.text and result.quantity:
            shown = result.quantity
            result = msgspec.structs.replace(result, value=records.number(shown), text=shown, quantity="")
        flags = [FROM_MEMORY, *found.unreal]
        flags += [abnormal_flag(mark) for mark in result.markers[:4] if mark not in ("N", "<", ">")]
        if result.status in STATES:
            flags.append(STATES[result.status])
        none = result.status in NONE or is_nothing(result.text)
        why = "not-measured" if none else f"{result.beyond}-range" if result.beyond else ""
        why = why or ("questionable" if result.status == DOUBT else "")
        value, text = (None, "") if none else (None if result.beyond else result.value, result.text)
        beside = "" if none else result.quantity[:MAX_TEXT]
        amount = records.number(beside)
        mark, time = (MARK, self._given.dump()), iso_time(result.timestamp)
        reading = result_reading(name, value, text, result.unit, tuple(flags), why, time, mark)
        if beside and beside.isprintable():
            reading.values[f"{name}_quantity"] = beside if amount is None else amount
        if amount is not None:  # the unit is that of the number beside the word
            reading.units = {f"{name}_quantity": result.unit} if result.unit else {}
        return reading
