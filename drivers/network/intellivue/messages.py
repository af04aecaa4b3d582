"""Messages of the IntelliVue Data Export protocol (Philips 4535 642 59271), received: octets -> what they say."""

from __future__ import annotations

from typing import NamedTuple

from gatepost.drivers.checksums import FrameError

MAX_OBJECTS = 2048  # of one message
CONNECT = b"\x00\x00\x01\x00"  # begins a connect indication
PRESENTATION = b"\xe1\x00"  # begins what an association carries
INVOKE, RESULT, ERROR, LINKED = 1, 2, 3, 5  # ROSE
EVENT, CONFIRMED_EVENT, GET, SET, CONFIRMED_SET, ACTION, CONFIRMED_ACTION = 0, 1, 3, 4, 5, 6, 7  # commands
POLL, EXTENDED_POLL = 0x0C16, 0xF13B
MDS_CREATE, CONNECT_INDICATION = 0x0D06, 0x0D17
SESSION = {
    0x0D: "association-request", 0x0E: "association-accepted", 0x0C: "association-refused",
    0x19: "association-abort", 0x09: "release-request", 0x0A: "release-response",
}  # fmt: skip
REQUESTS = {CONFIRMED_ACTION: "poll-request", GET: "get-request", CONFIRMED_SET: "set-request"}
LINKS = {1: "first", 2: "middle", 3: "last"}

Attributes = dict[int, bytes]


class PolledObject(NamedTuple):
    """One object of a poll's result; the same handle may come twice, with other attributes."""

    context: int
    handle: int
    attributes: Attributes


class PollResult(NamedTuple):
    """`sequence`: of an extended poll, else None. `ticks`: the monitor's relative time, 1/8 ms."""

    number: int
    sequence: int | None
    ticks: int
    time: list[int] | None
    object_class: int
    objects: list[PolledObject]


class ExportMessage(NamedTuple):
    """One message. `linked`: first, middle or last part of a result that goes on; its final part is none of them, and
    empty."""

    kind: str
    invoke_id: int = 0
    linked: str = ""
    linked_count: int = 0
    action: int = 0
    event_type: int = 0
    event_time: int = 0
    attributes: Attributes | None = None
    poll: PollResult | None = None


class OctetCursor:
    """Reads big-endian numbers one after the other; FrameError truncated at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise FrameError("truncated")
        found = self._data[self._at : end]
        self._at = end
        return found

    def number(self, size: int = 2) -> int:
        return int.from_bytes(self.take(size), "big")

    def part(self) -> OctetCursor:
        """What its length, two octets, says."""
        return OctetCursor(self.take(self.number()))

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def decode_message(payload: bytes) -> ExportMessage:
    """One datagram, or the payload of one frame. FrameError truncated, bad_header, bad_length, unsupported."""
    if not payload:
        raise FrameError("truncated")
    if payload.startswith(CONNECT):
        return _remote_operation(OctetCursor(payload[len(CONNECT) :]), "connect-indication")
    if payload.startswith(PRESENTATION):
        cursor = OctetCursor(payload[2:])
        cursor.number()  # presentation context
        return _remote_operation(cursor)
    kind = SESSION.get(payload[0])
    if kind is None:
        raise FrameError("bad_header")
    cursor = OctetCursor(payload[1:])
    size = cursor.number(1)
    if cursor.left < (cursor.number() if size == 0xFF else size):
        raise FrameError("truncated")
    return ExportMessage(kind)


def _remote_operation(cursor: OctetCursor, kind: str = "") -> ExportMessage:
    operation = cursor.number()
    body = cursor.part()
    linked, count = "", 0
    if operation == LINKED:
        state = body.number(1)
        linked, count = LINKS.get(state, ""), body.number(1)
        if not linked:
            raise FrameError("bad_format")
    invoke_id = body.number()
    command = body.number()
    if operation == ERROR:
        return ExportMessage("error", invoke_id)
    if operation not in (INVOKE, RESULT, LINKED):
        raise FrameError("unsupported")
    inner = body.part()
    inner.take(6)  # the object that it is about
    if command in (EVENT, CONFIRMED_EVENT):
        return _event(inner, operation, invoke_id, kind)
    if operation == INVOKE:
        return ExportMessage(REQUESTS.get(command, "request"), invoke_id)
    if command == CONFIRMED_ACTION:
        return _action(inner, invoke_id, linked, count)
    if command in (GET, CONFIRMED_SET):
        name = "get-result" if command == GET else "set-result"
        return ExportMessage(name, invoke_id, attributes=attribute_list(inner))
    raise FrameError("unsupported")


def _event(cursor: OctetCursor, operation: int, invoke_id: int, kind: str) -> ExportMessage:
    time = cursor.number(4)
    event = cursor.number()
    if operation == RESULT:
        return ExportMessage("event-result", invoke_id, event_type=event)
    inner = cursor.part()
    if event == MDS_CREATE:
        kind = "mds-create-event"
        inner.take(6)
    found = attribute_list(inner) if event in (MDS_CREATE, CONNECT_INDICATION) else {}
    return ExportMessage(kind or "event", invoke_id, event_type=event, event_time=time, attributes=found)


def _action(cursor: OctetCursor, invoke_id: int, linked: str, count: int) -> ExportMessage:
    action = cursor.number()
    body = cursor.part()
    if action not in (POLL, EXTENDED_POLL):
        return ExportMessage("action-result", invoke_id, linked, count, action)
    number = body.number()
    sequence = body.number() if action == EXTENDED_POLL else None
    ticks = body.number(4)
    time = bcd_time(body.take(8))
    body.number()  # partition of the class
    object_class = body.number()
    body.number()  # attribute group
    objects: list[PolledObject] = []
    contexts, inner = body.number(), body.part()
    for _ in range(contexts):
        context, polled = inner.number(), inner.number()
        each = inner.part()
        if len(objects) + polled > MAX_OBJECTS:
            raise FrameError("bad_length")
        objects += [PolledObject(context, each.number(), attribute_list(each)) for _ in range(polled)]
    poll = PollResult(number, sequence, ticks, time, object_class, objects)
    return ExportMessage("poll-result", invoke_id, linked, count, action, poll=poll)


def attribute_list(cursor: OctetCursor) -> Attributes:
    """Count, length, then id, length and value of each."""
    count, inner = cursor.number(), cursor.part()
    found: Attributes = {}
    for _ in range(count):
        name = inner.number()
        found[name] = inner.take(inner.number())
    return found


def bcd_time(octets: bytes) -> list[int] | None:
    """Century, year, month, day, hour, minute, second, fraction, two digits each; all FF = unknown."""
    digits = octets[:7].hex()
    if len(octets) < 8 or not digits.isdecimal():
        return None
    century, *rest = (int(digits[at : at + 2]) for at in range(0, 14, 2))
    return [century * 100 + rest[0], *rest[1:]]
