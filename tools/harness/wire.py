"""MQTT (3.1.1 and 5), just enough of it to read a stream and to answer as a broker: OASIS MQTT 5.0, section 2 and 3."""

from __future__ import annotations

from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14


class Frame(NamedTuple):
    """One control packet: type, flags, and all that follows the fixed header."""

    kind: int
    flags: int
    body: bytes


class Publish(NamedTuple):
    topic: str
    mid: int  # 0 at QoS 0
    qos: int
    payload: bytes


class Frames:
    """Cuts a stream into packets; any chunks in, whole packets out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        at, size = 0, len(buffer)
        while size - at >= 2:
            length, shift, head = 0, 0, at + 1
            while True:
                if head >= size:
                    head = 0
                    break
                octet = buffer[head]
                head += 1
                length |= (octet & 0x7F) << shift
                if octet < 0x80:
                    break
                shift += 7
            if not head or head + length > size:
                break
            frames.append(Frame(buffer[at] >> 4, buffer[at] & 15, bytes(buffer[head : head + length])))
            at = head + length
        del buffer[:at]
        return frames


def publish(frame: Frame, version: int) -> Publish:
    body, qos = frame.body, frame.flags >> 1 & 3
    at = 2 + int.from_bytes(body[:2], "big")
    topic = body[2:at].decode()
    mid = 0
    if qos:
        mid = int.from_bytes(body[at : at + 2], "big")
        at += 2
    if version == 5:
        at = _skip(body, at)
    return Publish(topic, mid, qos, body[at:])


def ack(frame: Frame) -> tuple[int, int]:
    """Packet id and reason code of a PUBACK, PUBREC or PUBCOMP."""
    return int.from_bytes(frame.body[:2], "big"), frame.body[2] if len(frame.body) > 2 else 0


def version_of(connect: Frame) -> int:
    return connect.body[2 + int.from_bytes(connect.body[:2], "big")]


def packet(head: int, body: bytes) -> bytes:
    """`head` is the whole first octet."""
    length, size = len(body), b""
    while True:
        length, octet = length >> 7, length & 0x7F
        size += bytes((octet | (0x80 if length else 0),))
        if not length:
            return bytes((head,)) + size + body


def text(value: str) -> bytes:
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def connect(client_id: str, keepalive: int = 60) -> bytes:
    """MQTT 3.1.1, clean session."""
    return packet(0x10, text("MQTT") + b"\x04\x02" + keepalive.to_bytes(2, "big") + text(client_id))


def subscribe(topic: str, mid: int = 1, qos: int = 0) -> bytes:
    return packet(0x82, mid.to_bytes(2, "big") + text(topic) + bytes((qos,)))


def answer(frame: Frame, version: int) -> bytes:
    """What a willing broker says to a packet that is no PUBLISH; empty when nothing."""
    five = version == 5
    if frame.kind == CONNECT:
        return packet(0x20, b"\x00\x00\x00" if five else b"\x00\x00")
    if frame.kind == PINGREQ:
        return b"\xd0\x00"
    if frame.kind == PUBREL:
        return packet(0x70, frame.body[:2])
    if frame.kind in (SUBSCRIBE, UNSUBSCRIBE):
        at = _skip(frame.body, 2) if five else 2
        granted = b""
        while at < len(frame.body):
            at += 2 + int.from_bytes(frame.body[at : at + 2], "big")
            if frame.kind == SUBSCRIBE:
                granted += bytes((frame.body[at] & 3,))
                at += 1
            elif five:
                granted += b"\x00"
        head = 0x90 if frame.kind == SUBSCRIBE else 0xB0
        return packet(head, frame.body[:2] + (b"\x00" if five else b"") + granted)
    return b""


def _skip(body: bytes, at: int) -> int:
    """Past the properties that start at `at`."""
    length, shift = 0, 0
    while True:
        octet = body[at]
        at += 1
        length |= (octet & 0x7F) << shift
        shift += 7
        if octet < 0x80:
            return at + length
