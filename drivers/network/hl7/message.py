"""HL7 v2 result messages (ORU): text -> who sent it, for which bed, and its observations. HL7 2.6, chapters 2 and 7."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(?:(\d\d)(?:\.\d+|\d{3})?)?)?(?:([+-])(\d\d)(\d\d))?")
_CHARSETS = {
    **{f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 10), 15)},
    "ASCII": "ascii", "GB 18030-2000": "gb18030", "UNICODE UTF-8": "utf-8", "UTF-8": "utf-8", "UTF8": "utf-8",
}  # fmt: skip


class Hl7Time(NamedTuple):
    """Time as sent: year, month, day(, hour, minute(, second)), and the minutes of its zone if it has one."""

    parts: tuple[int, ...]
    zone_minutes: int | None = None


class Observation(NamedTuple):
    """One OBX segment; texts as sent, with escapes undone."""

    kind: str
    code: tuple[str, str, str]  # code, name, coding system
    sub_id: str
    value: str
    unit: tuple[str, str, str]
    flags: str
    status: str
    time: Hl7Time | None
    device: str
    service: str  # OBR-4.1 that stands before it
    ordered: Hl7Time | None  # OBR-7: the time of those that have none


class ResultMessage(NamedTuple):
    """One message."""

    message: str  # for example ORU^R01
    control_id: str
    processing: str
    version: str
    sender: tuple[str, ...]
    facility: str
    time: Hl7Time | None
    accept_ack: str
    application_ack: str
    location: tuple[str, ...]  # PV1-3: ward, room, bed, ...
    patient: str  # PID-3.1
    observations: list[Observation]


class _Marks(NamedTuple):
    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


def decode_text(octets: bytes) -> str:
    """By the character set of MSH-18, else UTF-8, else Latin-1."""
    head = re.split(rb"[\r\n]", octets.lstrip(b"\r\n \t"), maxsplit=1)[0]
    fields = head.split(head[3:4] or b"|")
    named = fields[17].split(b"~")[0].decode("latin-1").strip().upper() if len(fields) > 17 else ""
    for charset in (_CHARSETS.get(named, "utf-8"), "utf-8"):
        try:
            return octets.decode(charset)
        except UnicodeDecodeError:
            continue
    return octets.decode("latin-1")


def decode_message(text: str) -> ResultMessage:
    """FrameError bad_header when there is no MSH. Segments end with CR, LF or CRLF."""
    segments = [line for line in re.split(r"[\r\n]+", text.strip("\r\n \t\x00")) if line]
    if not segments or not segments[0].startswith("MSH") or len(segments[0]) < 8:
        raise FrameError("bad_header")
    marks = _marks(segments[0])
    head = segments[0].split(marks.field)

    def header(number: int) -> str:
        return head[number - 1].strip() if len(head) >= number else ""

    kind = header(9).split(marks.component)
    location: tuple[str, ...] = ()
    patient = service = ""
    ordered: Hl7Time | None = None
    observations: list[Observation] = []
    for segment in segments[1:]:
        fields = segment.split(marks.field)
        match fields[0]:
            case "PV1" if len(fields) > 3:
                location = tuple(_plain(part, marks).strip() for part in fields[3].split(marks.component))
            case "PID" if len(fields) > 3:
                patient = _plain(fields[3].split(marks.component)[0], marks).strip()
            case "OBR":
                service = fields[4].split(marks.component)[0].strip() if len(fields) > 4 else ""
                ordered = decode_time(fields[7]) if len(fields) > 7 else None
            case "OBX" if len(fields) > 3:
                observations.append(_observation(fields, marks, service, ordered))
    return ResultMessage(
        "^".join(part for part in kind[:2] if part),
        _plain(header(10), marks),
        header(11).split(marks.component)[0],
        header(12).split(marks.component)[0],
        tuple(_plain(part, marks).strip() for part in header(3).split(marks.component)),
        header(4),
        decode_time(header(7)),
        header(15),
        header(16),
        location if any(location) else (),
        patient,
        observations,
    )


def _marks(head: str) -> _Marks:
    """MSH-1 and MSH-2; one sender leaves some out, which then have their usual sign."""
    field = head[3]
    sent = head[4:].partition(field)[0]
    usual = _Marks()
    marks = [field, *(sent[i] if i < len(sent) else usual[i + 1] for i in range(4))]
    return _Marks(*marks) if len(set(marks)) == 5 and not any(mark.isalnum() for mark in marks) else usual


def _observation(fields: Sequence[str], marks: _Marks, service: str, ordered: Hl7Time | None) -> Observation:
    def field(number: int) -> str:
        return fields[number].strip() if len(fields) > number else ""

    def triple(number: int) -> tuple[str, str, str]:
        """Code, text and coding system; the alternative ones where only they are of MDC, or the first are none."""
        parts = [_plain(part, marks).strip() for part in field(number).split(marks.component)[:6]]
        parts += [""] * (6 - len(parts))
        first, second, third = parts[3:] if parts[5] == "MDC" != parts[2] or not any(parts[:3]) else parts[:3]
        return first, second, third

    return Observation(
        field(2),
        triple(3),
        _plain(field(4), marks),
        _value(field(2), field(5), marks),
        triple(6),
        _plain(field(8), marks),
        field(11),
        decode_time(field(14)),
        field(18).split(marks.component)[0],
        service,
        ordered,
    )


def _value(kind: str, sent: str, marks: _Marks) -> str:
    """Samples with `^` between them; the parts of a structured number (`>^500`) without."""
    if kind in ("NA", "SN"):
        return sent.replace(marks.component, "^" if kind == "NA" else "").removeprefix("=" if kind == "SN" else "")
    return _plain(sent, marks)


def decode_time(text: str) -> Hl7Time | None:
    """YYYYMMDD[HHMM[SS[.S...]]][+ZZZZ]; None for anything else. Some leave out the point before milliseconds."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    parts = tuple(int(part) for part in found.groups()[:6] if part is not None)
    zone = None
    if found[7]:
        zone = (int(found[8]) * 60 + int(found[9])) * (-1 if found[7] == "-" else 1)
    return Hl7Time(parts, zone)


def _plain(text: str, marks: _Marks) -> str:
    """With the escape sequences for delimiters undone; others are left out."""
    if marks.escape not in text:
        return text
    signs = {"F": marks.field, "S": marks.component, "T": marks.subcomponent, "R": marks.repetition, "E": marks.escape}
    escape = re.escape(marks.escape)
    return re.sub(f"{escape}([^{escape}]*){escape}", lambda found: signs.get(found[1], ""), text)


def encode_answer(message: ResultMessage, code: str, stamp: str) -> bytes:
    """The acknowledgement, framed: AA, AE, AR or CA. `stamp` is our time, YYYYMMDDHHMMSS."""
    trigger = message.message.partition("^")[2]
    kind = f"ACK^{trigger}" if trigger else "ACK"
    version = message.version if re.fullmatch(r"[0-9.]{1,8}", message.version) else "2.6"
    processing = message.processing if message.processing in ("P", "T", "D") else "P"
    control = re.sub(r"[^ -~]|[|^~\\&]", "", message.control_id)[:199]
    lines = (f"MSH|^~\\&|GATEPOST||||{stamp}||{kind}|{control}|{processing}|{version}", f"MSA|{code}|{control}")
    return b"\x0b" + "".join(line + "\r" for line in lines).encode("ascii") + b"\x1c\x0d"
