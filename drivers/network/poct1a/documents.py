"""Documents of POCT1-A (CLSI POCT01): XML messages back to back on one connection, some framed as MLLP; received."""

from __future__ import annotations

import pyexpat  # and not xml, which is two MiB of memory
import re
from collections.abc import Iterator
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults, time_parts

MAX_DOCUMENT = 1 << 20  # octets
MAX_TAGS = 20_000
MAX_TAG = 128  # octets of a tag that has begun
MAX_ITEMS = 256  # results of one message
PATIENT_ROLE = "OBS"
_ROOT = re.compile(rb"<(/?)([A-Z]{3}\.R\d\d)[\s/>]")  # tags of messages
_BETWEEN = re.compile(rb"<\?[^<>]*>|[\s\x00-\x1f]+")  # what may stand between documents
_DECLARATION = re.compile(rb"<!(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)", re.IGNORECASE)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d))?)?")
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


class ObservedResult(NamedTuple):
    """One result; `value` None when it is none, `text` then says what was sent instead. `cancelled`: it is NULL."""

    code: str
    system: str
    name: str
    value: float | int | None
    text: str
    unit: str
    method: str
    interpretation: str
    status: str
    cancelled: bool


class ObservedService(NamedTuple):
    role: str
    time: list[int] | None
    sequence: int | None
    patient_result: bool
    results: list[ObservedResult]


class PoctMessage(NamedTuple):
    """One document; only what its type has is filled in."""

    kind: str
    control_id: str
    device: dict[str, str]
    application_timeout: int | None
    profile: str
    directives: list[str]
    max_message: int | None
    new_observations: int | None
    condition: str
    services: list[ObservedService]
    topic: str
    ack: str
    ack_control_id: str
    error_detail: str

    @property
    def needs_answer(self) -> bool:
        return self.kind.partition(".")[0] in ("HEL", "DST", "OBS", "EVS", "KPA", "DEV")


class DocumentSplitter:
    """`feed(octets)` -> documents, from the root's tag to its end tag; what stands between is dropped, and so is a
    document in which another one begins."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._rest = bytearray()
        self._root = b""  # of the document that has begun
        self._looked = 0
        self._refused = False  # the document that begins, or has begun
        self._noise = False  # and counted

    def feed(self, data: bytes) -> list[bytes]:
        self._rest += data
        found: list[bytes] = []
        while True:
            edges = [(edge.start(), edge.end(), bool(edge[1]), bytes(edge[2])) for edge in self._edges()]
            for start, end, closes, root in edges:
                if not closes:
                    self._between(start)
                    self._root, self._looked = root, end - start
                    break
                if self._root == root:
                    if not self._refused:
                        found.append(bytes(self._rest[:end]))
                    self._restart(end)
                    self._refused = False
                    self._noise = False
                    break
            else:
                break
        self._trim()
        return found

    def _edges(self) -> Iterator[re.Match[bytes]]:
        """The next first tag, or end of the document that has begun; at most one look at each octet."""
        for edge in _ROOT.finditer(self._rest, self._looked):
            if not edge[1] or edge[2] == self._root:
                yield edge
                return

    def _between(self, size: int) -> None:
        """Drop what stands before the first tag of a document."""
        dropped = bytes(self._rest[:size])
        begun = bool(self._root)
        self._restart(size)
        self._refused = self._refused and not begun
        if begun:
            self._faults.add("incomplete", "a document was not ended before the next one")
        elif _DECLARATION.search(dropped):
            self._faults.add("unsupported", "a document with a document type is not taken")
            self._refused = True
        elif _BETWEEN.sub(b"", dropped) and not self._noise:
            self._noise = True
            self._faults.add("noise", "octets outside of a document")

    def _trim(self) -> None:
        """What may be the beginning of a tag stays; outside of a document nothing else does."""
        at = self._rest.rfind(b"<", max(0, len(self._rest) - MAX_TAG))
        at = len(self._rest) if at < 0 else at
        if self._root and len(self._rest) <= MAX_DOCUMENT:
            self._looked = max(self._looked, at)
        elif self._root:
            self._faults.add("too-long", f"a document is longer than {MAX_DOCUMENT} octets")
            self._restart(len(self._rest))
        elif at:
            self._between(at)

    def _restart(self, size: int) -> None:
        del self._rest[:size]
        self._root, self._looked = b"", 0


class _Element(NamedTuple):
    depth: int
    tag: str
    values: dict[str, str]  # attributes; all that a message says is in them


def decode_document(octets: bytes) -> PoctMessage:
    """FrameError unsupported for a document type or too many tags, bad_format for what is no message."""
    if _DECLARATION.search(octets) or octets.count(b"<") > MAX_TAGS:
        raise FrameError("unsupported")
    elements = _parse(octets)
    kind = elements[0].tag
    device = {
        tag.partition(".")[2]: text
        for tag in ("DEV.device_id", "DEV.vendor_id", "DEV.model_id", "DEV.serial_id", "DEV.sw_version")
        if (text := _text(elements, tag))
    }
    directives = [item.values.get("V", "") for item in elements if item.tag == "DSC.directives_supported_cd"]
    return PoctMessage(
        kind,
        _text(elements, "HDR.control_id"),
        device,
        _whole(_text(elements, "DCP.application_timeout")),
        _text(elements, "DSC.connection_profile_cd"),
        directives[:MAX_ITEMS],
        _whole(_text(elements, "DSC.max_message_sz")),
        _whole(_text(elements, "DST.new_observations_qty")),
        _text(elements, "DST.condition_cd"),
        [_service(part, kind) for part in _parts(elements, "SVC")],
        _text(elements, "EOT.topic_cd"),
        _text(elements, "ACK.type_cd"),
        _text(elements, "ACK.ack_control_id"),
        _text(elements, "ACK.error_detail_cd"),
    )


def _parse(octets: bytes) -> list[_Element]:
    """The elements in the order of their tags. Without a document type there are no entities to grow."""
    elements: list[_Element] = []
    depth = 0

    def begins(tag: str, values: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        elements.append(_Element(depth, tag, values))

    def ends(tag: str) -> None:
        nonlocal depth
        depth -= 1

    parser = pyexpat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begins, ends
    try:
        parser.Parse(octets, True)
    except (pyexpat.ExpatError, ValueError, LookupError):  # also an encoding that there is not
        raise FrameError("bad_format") from None
    return elements


def _parts(elements: list[_Element], tag: str) -> list[list[_Element]]:
    """What is inside of each element with this tag."""
    found: list[list[_Element]] = []
    depth = 0  # of the one that is open
    for item in elements:
        if depth and item.depth > depth:
            found[-1].append(item)
            continue
        depth = 0
        if item.tag == tag and len(found) < MAX_ITEMS:
            found.append([])
            depth = item.depth
    return found


def _service(service: list[_Element], kind: str) -> ObservedService:
    role = _text(service, "SVC.role_cd")
    results = [_result(item) for item in _parts(service, "OBS")]
    patient = role == PATIENT_ROLE and not kind.endswith(".R02")
    time = time_of(_text(service, "SVC.observation_dttm"))
    return ObservedService(role, time, _whole(_text(service, "SVC.sequence_nbr")), patient, results)


def _result(item: list[_Element]) -> ObservedResult:
    named, value = _values(item, "OBS.observation_id"), _values(item, "OBS.value")
    words = _values(item, "OBS.qualitative_value")
    sent = value.get("V", "").strip()
    return ObservedResult(
        named.get("V", ""),
        named.get("SN", ""),
        named.get("DN", ""),
        number_of(sent),
        sent or words.get("V", "").strip(),
        value.get("U", ""),
        _text(item, "OBS.method_cd"),
        _text(item, "OBS.interpretation_cd"),
        _text(item, "OBS.status_cd"),
        "NULL" in value or "NULL" in words,
    )


def number_of(text: str) -> float | int | None:
    if not _NUMBER.fullmatch(text) or not text.isascii() or len(text) > 18:
        return None
    return float(text) if "." in text else int(text)


def time_of(text: str) -> list[int] | None:
    """As sent, without its zone; None for what is no time."""
    found = _TIME.match(text)
    if found is None or not text.isascii():
        return None
    return time_parts([int(part) for part in found.groups() if part is not None])


def _values(elements: list[_Element], tag: str) -> dict[str, str]:
    """The attributes of the first element with this tag."""
    return next((item.values for item in elements if item.tag == tag), {})


def _text(elements: list[_Element], tag: str) -> str:
    return _values(elements, tag).get("V", "")[:256]


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
