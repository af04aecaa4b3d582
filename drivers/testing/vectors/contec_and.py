"""Contec oximeters and the plain sums under the names of the vectors."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gatepost.drivers import checksums
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.contec import v5_frames, v7_packets, v7_segments
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def contec5_live(frame: bytes) -> Fields:
    return msgspec.structs.asdict(v5_frames.decode_live(frame))


def contec5_stored(frame: bytes) -> Fields:
    return {"records": v5_frames.decode_stored(frame)}


def contec5_stream(chunks: Iterable[bytes]) -> list[Fields]:
    frames = v5_frames.LiveFrames(Faults())
    return [msgspec.structs.asdict(frame) for chunk in chunks for frame in frames.feed(chunk) if frame is not None]


def _contec7_fields(packet: v7_packets.V7Packet) -> Fields:
    fields: Fields = {"type": packet.type, "data": list(packet.data)}
    if packet.type == v7_packets.LIVE:
        fields |= msgspec.structs.asdict(v7_packets.decode_live(packet.data))
    elif packet.type == v7_packets.LENGTH:
        fields |= v7_packets.decode_length(packet.data)
    elif packet.type == v7_packets.FEEDBACK:
        fields |= v7_packets.feedback(packet.data)
    fields |= v7_segments.describe(packet.type, packet.data) or {}
    return fields


def contec7(frame: bytes) -> Fields:
    return _contec7_fields(v7_packets.decode_packet(frame))


def contec7_length(frame: bytes) -> Fields:
    packet = v7_packets.decode_packet(frame)
    if packet.type != v7_packets.LENGTH:
        raise FrameError("bad_header")
    return v7_packets.decode_length(packet.data)


def contec7_stream(chunks: Iterable[bytes]) -> list[Fields]:
    reader = v7_packets.V7PacketReader(Faults())
    return [_contec7_fields(packet) for chunk in chunks for packet in reader.feed(chunk) if packet is not None]


def contec7_encode(request: Fields) -> bytes:
    arguments: list[int] = next((value for name, value in request.items() if name != "command"), [])
    return v7_packets.encode_packet(request["command"], bytes(arguments))


TABLE: Table = {
    "serial-frame": {
        "contec-5byte": contec5_live,
        "contec-5byte-stored": contec5_stored,
        "contec-v7": contec7,
        "contec-v7-length": contec7_length,
        **{f"contec-v7-{about}": contec7 for about in ("stored", "start-date", "start-time", "segments", "feedback")},
    },
    "serial-stream": {"contec-5byte": contec5_stream, "contec-v7": contec7_stream},
    "encode": {"contec-v7": contec7_encode},
    "checksum": {"sum8": checksums.sum8, "sum16": checksums.sum16},
}
