"""Decoder of a POCT1-A analyser: octets -> results as readings with bookmarks, and the messages to be answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.laboratory import CONTROL, abnormal_flag, beyond_range, is_nothing, result_reading, slug
from gatepost.drivers.network.poct1a.documents import (
    DocumentSplitter,
    ObservedResult,
    ObservedService,
    PoctMessage,
    decode_document,
)
from gatepost.drivers.reading import FROM_MEMORY, Faults, Reading, Reply, iso_time
from gatepost.drivers.record_digests import RecordDigests, digest_of

MARK = "results"  # the name of the bookmark
MOST_SEEN = 256  # results that an analyser may send again
MOST_DUE = 64  # messages that wait to be answered; an analyser waits for each answer
METHODS = {"C": "method-calculated", "I": "method-typed-in"}


class PoctDecoder:
    """A result that is sent again is acknowledged and not given again."""

    def __init__(self, bookmarks: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self.faults = Faults()
        self.due: deque[PoctMessage] = deque(maxlen=MOST_DUE)
        self._names = names
        self._splitter = DocumentSplitter(self.faults)
        self._given = RecordDigests(bookmarks.get(MARK), MOST_SEEN)
        self._serial = ""  # of the analyser, as its hello said

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for octets in self._splitter.feed(data):
            try:
                message = decode_document(octets)
            except FrameError as wrong:
                self.faults.add(wrong.kind.replace("_", "-"), "a document that is no message")
                continue
            self._serial = message.device.get("serial_id", self._serial)
            out += [reading for service in message.services for reading in self._service(service)]
            self.due.append(message._replace(services=[]))
            out.append(Reply("poct1-a", {"message": message.kind[:16]}))
        return out

    def _service(self, service: ObservedService) -> list[Reading]:
        out = []
        for place, result in enumerate(service.results):
            known = [self._serial, service.role, service.sequence, service.time, place, result.code, result.text]
            known += [result.unit, result.cancelled]  # one that was edited at the analyser is another
            if self._given.add(digest_of(repr(known))):
                out.append(self._reading(service, result))
        return out

    def _reading(self, service: ObservedService, result: ObservedResult) -> Reading:
        code = result.code
        name = self._names.get(code) or slug(result.name, code)
        flags = [FROM_MEMORY] if service.patient_result else [FROM_MEMORY, CONTROL]
        if result.method in METHODS:
            flags.append(METHODS[result.method])
        if result.interpretation not in ("", "N"):
            flags.append(abnormal_flag(result.interpretation))
        none = result.cancelled or is_nothing(result.text)
        why = "not-measured" if none else beyond_range(result.text)
        value, text = (None, "") if none else (result.value, result.text)
        mark = (MARK, self._given.dump())
        return result_reading(name, value, text, result.unit[:32], tuple(flags), why, iso_time(service.time), mark)
