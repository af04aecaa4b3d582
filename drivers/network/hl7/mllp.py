"""MLLP framing (HL7 Minimal Lower Layer Protocol): 0B, message, 1C 0D. What stands outside of frames does not count."""

from __future__ import annotations

import re

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.network.hl7.message import ResultMessage, decode_message, decode_text
from gatepost.drivers.network.peer_message import RoutedMessage, SharedAnswer
from gatepost.drivers.reading import Faults

START, END = b"\x0b", b"\x1c"
MAX_MESSAGE = 1 << 20  # octets
SILENCE = 2.0  # seconds after which a message without a frame is over
_HEADER = re.compile(rb"(?<=[\r\n])(?=MSH)")


class MllpSplitter:
    """`feed(octets)` -> messages without their frame; one that is not ended before the next is dropped."""

    patience = None

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._message = bytearray()
        self._inside = False
        self._noise = False  # and counted

    @property
    def held(self) -> int:
        return len(self._message)

    def feed(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        while data:
            if not self._inside:
                noise, start, data = data.partition(START)
                self._outside(noise)
                self._inside = bool(start)
                continue
            again, end = data.find(START), data.find(END)
            if again >= 0 and (end < 0 or again < end):
                self._faults.add("incomplete", "a message was not ended before the next one")
                self._drop()
                data = data[again + 1 :]
                self._inside = True
            elif end < 0:
                self._keep(data)
                data = b""
            else:
                self._keep(data[:end])
                if self._inside:
                    found.append(bytes(self._message))
                self._drop()
                data = data[end + 1 :]
        return found

    def _outside(self, noise: bytes) -> None:
        if not noise.strip(b"\r\n\x00 "):
            return
        if not self._noise:
            self._faults.add("noise", "octets outside of a message")
        self._noise = True

    def _keep(self, part: bytes) -> None:
        self._message += part  # one piece: a list of what came octet by octet takes thirty times as much
        if len(self._message) > MAX_MESSAGE:
            self._faults.add("too-long", f"a message is longer than {MAX_MESSAGE} octets")
            self._drop()

    def _drop(self) -> None:
        self._message, self._inside, self._noise = bytearray(), False, False


class UnframedSplitter:
    """`feed(octets)` -> messages of a sender that frames nothing: each goes to the next header, or to a silence, in
    which `feed` is given nothing."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def patience(self) -> float | None:
        return SILENCE if self._held else None

    @property
    def held(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        held, whole = self._held, []
        looked = max(1, len(held) - 2)  # each octet is looked at once, however few come at a time
        held += data.translate(None, START + END)
        while (header := _HEADER.search(held, looked)) is not None:
            whole.append(bytes(held[: header.start()]))
            del held[: header.start()]
            looked = 1
        if not data or len(held) > MAX_MESSAGE:
            whole.append(bytes(held))
            held.clear()
        return [text for text in whole if text.startswith(b"MSH") and len(text) <= MAX_MESSAGE]


class Hl7Router:
    """Splits one connection into messages, framed, and says of which bed and sender each is."""

    def __init__(self, unframed: bool = False) -> None:
        self._splitter = UnframedSplitter() if unframed else MllpSplitter(Faults())

    @property
    def patience(self) -> float | None:
        return self._splitter.patience

    @property
    def held(self) -> int:
        return self._splitter.held

    def feed(self, data: bytes) -> list[RoutedMessage]:
        found = []
        for text in self._splitter.feed(data):
            parts = split_beds(text)
            shared = SharedAnswer(len(parts)) if len(parts) > 1 else None
            found += [RoutedMessage(START + part + END + b"\r", _keys(part), shared) for part in parts]
        return found


def split_beds(octets: bytes) -> list[bytes]:
    """A message as one for each bed that it tells of, all with its header; nearly always it is one."""
    if octets.count(b"PV1") < 2:
        return [octets]
    header: list[bytes] = []
    groups: list[list[bytes]] = []
    beds: list[bytes] = []
    visit = False  # the group has its PV1
    for segment in re.split(rb"[\r\n]+", octets.strip(b"\r\n \t\0")):
        kind = segment[:3]
        if kind == b"PID" or (kind == b"PV1" and (visit or not groups)):
            groups.append([])
            beds.append(b"")
            visit = False
        if kind == b"PV1":
            visit = True
            beds[-1] = b"".join(segment.split(header[0][3:4])[3:4]) if header and header[0][3:4] else b""
        (groups[-1] if groups else header).append(segment)
    # Each part has the whole header, so one that is no header would make gigabytes of a message.
    several = len(set(beds)) > 1 and len(groups) * sum(map(len, header)) <= MAX_MESSAGE
    return [b"\r".join((*header, *group)) for group in groups] if several else [octets]


def _keys(octets: bytes) -> dict[str, tuple[str, ...]]:
    try:
        return keys_of(decode_message(decode_text(octets)))
    except FrameError:
        return {}


def keys_of(message: ResultMessage) -> dict[str, tuple[str, ...]]:
    """What `options.match` may ask for: bed (also as ward^room^bed), ward, room, sender, device, facility."""
    ward, room, bed = (*message.location, "", "", "")[:3]
    whole = "^".join((ward, room, bed)).rstrip("^")
    named = {"ward": (ward,), "room": (room,), "bed": (bed, whole, "^".join(message.location).rstrip("^"))}
    devices = dict.fromkeys(item.device for item in message.observations if item.device)
    named |= {"sender": message.sender[:2], "facility": (message.facility,), "device": tuple(devices)}
    return {name: tuple(text for text in texts if text) for name, texts in named.items()}
