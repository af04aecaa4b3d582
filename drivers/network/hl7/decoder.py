"""HL7 decoder: octets of MLLP -> readings, each with a bookmark, and the answers that are due once they are stored."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.network.hl7.alarms import Hl7Alarms
from gatepost.drivers.network.hl7.message import ResultMessage, decode_message, decode_text
from gatepost.drivers.network.hl7.mllp import MllpSplitter, keys_of, split_beds
from gatepost.drivers.network.hl7.observations import Places, readings_of, unreal_flags
from gatepost.drivers.network.hl7.options import Hl7Options
from gatepost.drivers.network.hl7.waveforms import waveforms_of
from gatepost.drivers.network.peer_message import SharedAnswer, fits
from gatepost.drivers.reading import BAD, GOOD, Faults, Reading, Reply
from gatepost.drivers.record_digests import RecordDigests, digest_of

MARK = "messages"  # the name of the bookmark
MOST_SEEN = 32  # messages that a sender may send again
MOST_DUE = 64  # answers that wait to be given; whom none is given sends again
COMMAND_ACK = "ORU^R42"  # about a command, which we never give


class DueAnswer(NamedTuple):
    """An answer; `stored`: not before what the message said is on disk."""

    message: ResultMessage
    code: str
    stored: bool
    peer: int
    shared: SharedAnswer | None = None


class Hl7Decoder:
    """Decoder of one device. A message that was taken before is answered and not given again: the newest bookmark
    holds the messages before it, and how many readings of the newest one are stored."""

    def __init__(self, options: Hl7Options, bookmarks: Mapping[str, Any]) -> None:
        self.faults = Faults()
        self.due: deque[DueAnswer] = deque(maxlen=MOST_DUE)
        self._options = options
        self._splitter = MllpSplitter(self.faults)
        mark = bookmarks.get(MARK)
        mark = mark if isinstance(mark, dict) else {}
        self._seen = RecordDigests(mark.get("seen"), MOST_SEEN)
        self._places: Places = {}
        self._alarms = Hl7Alarms()
        self._newest = str(mark.get("newest", ""))
        count = mark.get("count")
        self._count = count if isinstance(count, int) else 0

    def feed(self, data: bytes) -> list[Reading | Reply]:
        peer, stray = getattr(data, "peer", 0), bool(getattr(data, "stray", False))
        shared: SharedAnswer | None = getattr(data, "shared", None)
        out: list[Reading | Reply] = []
        for text in self._splitter.feed(data):
            parts = split_beds(text)
            answer = SharedAnswer(len(parts)) if len(parts) > 1 else shared
            for part in parts:
                out += self._message(part, peer, stray, answer)
        return out

    def _message(self, octets: bytes, peer: int, stray: bool, shared: SharedAnswer | None) -> list[Reading | Reply]:
        text = decode_text(octets)
        try:
            message = decode_message(text)
        except FrameError as wrong:
            self.faults.add(wrong.kind, "a message without its header")
            return []
        results = message.message.startswith("ORU^")
        ours = results and not stray and fits(self._options.match, keys_of(message))
        if results and not ours:
            self.faults.add("stray", "a message of a bed that no device is configured for")
        elif not results:
            self.faults.add("not-results", "a message that holds no results was refused")
        found = self._new_readings(text, message) if ours and message.message != COMMAND_ACK else []
        code = "AA" if results else "AR"
        self.due.append(DueAnswer(message._replace(observations=[], patient=""), code, ours, peer, shared))
        return [*found, Reply("hl7", {"message": message.message[:16], "answer": code})]

    def _new_readings(self, text: str, message: ResultMessage) -> list[Reading]:
        """Those that were not given before, each with its bookmark."""
        head = re.split(r"[\r\n]", text.strip("\r\n \t\x00"), maxsplit=1)[0]
        known = message.control_id and message.time
        digest = digest_of("\r".join((head, *message.location)) if known else text)
        told = 0
        if digest.hex() == self._newest:
            told = self._count
        elif not self._seen.add(digest):
            return []
        else:
            self._newest, self._count = digest.hex(), 0
        readings = readings_of(message, self._options.names, self._places) + self._alarms.readings(message)
        if self._options.waveforms:
            unreal = unreal_flags(message)
            readings += waveforms_of(message, unreal, BAD if unreal else GOOD)
        before = self._seen.dump()
        for number, reading in enumerate(readings[told:], told + 1):
            reading.bookmark = (MARK, {"seen": before, "newest": digest.hex(), "count": number})
        self._count = max(told, len(readings))
        return readings[told:]
