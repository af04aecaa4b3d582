"""Nonin and the oximeters that print lines, under the names of the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.nonin import formats as nonin
from gatepost.drivers.serial.nonin import stream
from gatepost.drivers.serial.oximeter_ascii import lines as ascii_lines
from gatepost.drivers.testing.vectors.kinds import Fields, Table, stream_of_lines


def _fields(found: msgspec.Struct) -> Fields:
    return {name: value for name, value in msgspec.structs.asdict(found).items() if value is not None} | {
        name: getattr(found, name) for name in ("pulse_rate", "spo2") if hasattr(found, name)
    }


def _packet(octets: bytes) -> Fields:
    return msgspec.structs.asdict(nonin.decode_packet(octets))


def _format7(octets: bytes) -> Fields:
    """A frame, or a packet of 25."""
    if len(octets) > nonin.FRAME:
        return msgspec.structs.asdict(nonin.decode_packet(octets, wide=True))
    return _fields(nonin.decode_frame7(octets))


def _spot(octets: bytes) -> Fields:
    return _spot_fields(nonin.decode_spot_check(octets))


def _spot_fields(spot: nonin.SpotCheck) -> Fields:
    return _fields(spot) | {"timestamp": list(spot.time)}


def _line_fields(line: ascii_lines.OximeterLine) -> Fields:
    fields: Fields = {**line.values, "status": list(line.status), "alarm": line.alarm}
    fields |= {"event": line.event, "fast": line.fast}
    if line.time is not None:
        fields["timestamp" if len(line.time) == 6 else "time"] = list(line.time)
    if line.serial is not None:
        fields["serial"] = line.serial
    return fields


def _read(reader: Any, chunks: Iterable[bytes], kind: type, fields: Callable[[Any], Fields] = _fields) -> list[Fields]:
    return [fields(found) for chunk in chunks for found in reader.feed(chunk) if isinstance(found, kind)]


def _packets(chunks: Iterable[bytes]) -> list[Fields]:
    frames, packets = stream.NoninFrameReader(Faults(), wide=False), stream.NoninPacketReader(Faults())
    found = [packets.add(frame) for chunk in chunks for frame in frames.feed(chunk) if not isinstance(frame, int)]
    return [msgspec.structs.asdict(packet) for packet in found if packet is not None]


def _text(decode: Callable[[str], ascii_lines.OximeterLine]) -> Callable[[str], Fields]:
    return lambda text: _line_fields(decode(text))


def _octets(decode: Callable[[str], ascii_lines.OximeterLine]) -> Callable[[bytes], Fields]:
    return lambda octets: _line_fields(decode(octets.decode("latin-1")))


def _select(request: Fields) -> bytes:
    """The choice of a data format."""
    number = request.get("format", request.get("data_format", request.get("command")))
    if number not in (1, 2, 7, 8, 13):
        raise ValueError(f"no data format: {number}")
    return bytes((0x02, 0x70, 0x02, 0x02, number, 0x03))


LINES = {
    "nonin-ascii": ascii_lines.decode_nonin,
    "masimo-ascii1": ascii_lines.decode_masimo,
    "masimo-ascii": ascii_lines.decode_masimo,
    "nellcor-n595": ascii_lines.decode_nellcor,
    "nellcor-ascii": ascii_lines.decode_nellcor,
}

TABLE: Table = {
    "serial-frame": {
        "nonin-df1": lambda octets: _fields(nonin.decode_numbers(octets, 3)),
        "nonin-df2": _packet,
        "nonin-df2-frame": lambda octets: _fields(nonin.decode_frame2(octets)),
        "nonin-df7": _format7,
        "nonin-df7-frame": _format7,
        "nonin-df8": lambda octets: _fields(nonin.decode_numbers(octets, 4)),
        "nonin-df13": _spot,
        **{name: _octets(decode) for name, decode in LINES.items()},
    },
    "serial-line": {name: _text(decode) for name, decode in LINES.items()},
    "serial-stream": {
        "nonin-df1": lambda chunks: _read(stream.NumbersReader(Faults(), 3), chunks, nonin.NoninNumbers),
        "nonin-df2": _packets,
        "nonin-df2-frame": lambda chunks: _read(stream.NoninFrameReader(Faults(), False, 1), chunks, nonin.NoninFrame),
        "nonin-df7": lambda chunks: _read(stream.NoninFrameReader(Faults(), True, 1), chunks, nonin.NoninFrame),
        "nonin-df8": lambda chunks: _read(stream.NumbersReader(Faults(), 4), chunks, nonin.NoninNumbers),
        "nonin-df13": lambda chunks: _read(stream.SpotReader(Faults()), chunks, nonin.SpotCheck, _spot_fields),
        **{name: stream_of_lines(_octets(decode), 256) for name, decode in LINES.items()},
    },
    "encode": {"nonin": _select, "nonin-format": _select, "nonin-select": _select},
}
