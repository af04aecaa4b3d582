"""The product's own decoders under the names that test vectors use, so that tools and tests run vectors against them.

An adapter takes the input and returns the decoded fields; it raises FrameError (or ValueError) to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from drivers import checksums
from drivers.reading import Faults
from drivers.serial import and_format, contec5, contec7_packets
from drivers.serial.frames import FrameError

Fields = dict[str, Any]
FromBytes = Callable[[bytes], Fields]
FromText = Callable[[str], Fields]
FromChunks = Callable[[Iterable[bytes]], list[Fields]]
FromRequest = Callable[[Fields], bytes]

TOLERANCE = 1e-9  # relative


def contec5_live(frame: bytes) -> Fields:
    return msgspec.structs.asdict(contec5.decode_live(frame))


def contec5_stored(frame: bytes) -> Fields:
    return {"records": contec5.decode_stored(frame)}


def contec5_stream(chunks: Iterable[bytes]) -> list[Fields]:
    frames = contec5.LiveFrames(Faults())
    return [msgspec.structs.asdict(frame) for chunk in chunks for frame in frames.feed(chunk) if frame is not None]


def _contec7_fields(packet: contec7_packets.Packet) -> Fields:
    fields: Fields = {"type": packet.type, "data": list(packet.data)}
    if packet.type == contec7_packets.LIVE:
        fields |= msgspec.structs.asdict(contec7_packets.decode_live(packet.data))
    elif packet.type == contec7_packets.LENGTH:
        fields |= contec7_packets.decode_length(packet.data)
    elif packet.type == contec7_packets.FEEDBACK:
        fields |= contec7_packets.feedback(packet.data)
    return fields


def contec7(frame: bytes) -> Fields:
    return _contec7_fields(contec7_packets.decode_packet(frame))


def contec7_length(frame: bytes) -> Fields:
    packet = contec7_packets.decode_packet(frame)
    if packet.type != contec7_packets.LENGTH:
        raise FrameError("bad_header")
    return contec7_packets.decode_length(packet.data)


def contec7_stream(chunks: Iterable[bytes]) -> list[Fields]:
    reader = contec7_packets.PacketReader(Faults())
    return [_contec7_fields(packet) for chunk in chunks for packet in reader.feed(chunk) if packet is not None]


def contec7_encode(request: Fields) -> bytes:
    arguments: list[int] = next((value for name, value in request.items() if name != "command"), [])
    return contec7_packets.encode_packet(request["command"], bytes(arguments))


def and_standard(text: str) -> Fields:
    return msgspec.structs.asdict(and_format.decode_line(text))


FRAMES: dict[str, FromBytes] = {
    "contec-5byte": contec5_live,
    "contec-5byte-stored": contec5_stored,
    "contec-v7": contec7,
    "contec-v7-length": contec7_length,
}
LINES: dict[str, FromText] = {"and-standard": and_standard}
STREAMS: dict[str, FromChunks] = {"contec-5byte": contec5_stream, "contec-v7": contec7_stream}
ENCODERS: dict[str, FromRequest] = {"contec-v7": contec7_encode}
CHECKSUMS: dict[str, Callable[[bytes], int]] = {"sum8": checksums.sum8, "sum16": checksums.sum16}

ADAPTERS: dict[str, Mapping[str, object]] = {
    "serial-frame": FRAMES,
    "serial-line": LINES,
    "serial-stream": STREAMS,
    "encode": ENCODERS,
    "checksum": CHECKSUMS,
}


class NotBuilt(LookupError):
    """No decoder of ours takes this kind or protocol."""


def decode(vector: Fields) -> Fields:
    """What our decoder makes of a vector's input; NotBuilt, or FrameError / ValueError when it refuses."""
    kind = vector["kind"]
    name = str(vector.get("algorithm" if kind == "checksum" else "protocol"))
    if name not in ADAPTERS.get(kind, {}):
        raise NotBuilt(f"{kind} {name}")
    if kind == "serial-frame":
        return FRAMES[name](bytes.fromhex(vector["input_hex"]))
    if kind == "serial-line":
        return LINES[name](vector["text"])
    if kind == "serial-stream":
        return {"readings": STREAMS[name](bytes.fromhex(chunk) for chunk in vector["chunks"])}
    if kind == "encode":
        return {"output_hex": ENCODERS[name](vector["request"]).hex()}
    return {"value": CHECKSUMS[name](bytes.fromhex(vector["input_hex"]))}


def judge(vector: Fields) -> str:
    """Empty when our decoder does what the vector expects, else the difference; NotBuilt."""
    try:
        got = decode(vector)
    except (FrameError, ValueError) as refused:
        return "" if "expect_error" in vector else f"refused ({refused}), expected {vector['expect']}"
    if "expect_error" in vector:
        return f"expected a refusal ({vector['expect_error']}), got {got}"
    return difference(vector["expect"], got)


def difference(expected: Any, got: Any, where: str = "") -> str:
    """The first member of `expected` that `got` lacks or has otherwise, else empty; others in `got` do not count."""
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return f"{where or 'result'}: expected {expected}, got {got!r}"
        for name, value in expected.items():
            place = f"{where}.{name}" if where else name
            if name not in got:
                return f"{place}: expected {value!r}, got nothing"
            found = difference(value, got[name], place)
            if found:
                return found
        return ""
    if isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            return f"{where}: expected {expected}, got {got!r}"
        each = (difference(value, got[i], f"{where}[{i}]") for i, value in enumerate(expected))
        return next((text for text in each if text), "")
    if _same(expected, got):
        return ""
    return f"{where}: expected {expected!r}, got {got!r}"


def _same(expected: Any, got: Any) -> bool:
    if isinstance(expected, bool) or isinstance(got, bool) or not isinstance(expected, (int, float)):
        return type(expected) is type(got) and bool(expected == got)
    if not isinstance(got, (int, float)):
        return False
    return abs(expected - got) <= TOLERANCE * max(abs(expected), abs(got))
