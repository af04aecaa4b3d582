"""Scales, under the names of the vectors."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gatepost.drivers.serial.scales import and_format, cas_format, mt_sics_format
from gatepost.drivers.testing.vectors.kinds import Fields, Table, stream_of_lines

Decode = Callable[[bytes], Fields]


def _fields(found: msgspec.Struct) -> Fields:
    return {name: told for name, told in msgspec.structs.asdict(found).items() if told is not None or name == "value"}


def _cas(decode: Callable[[bytes], cas_format.CasWeighing]) -> Decode:
    return lambda octets: _fields(decode(octets))


def _and(octets: bytes) -> Fields:
    return msgspec.structs.asdict(and_format.decode_line(octets.decode("latin-1")))


def _sics(octets: bytes) -> Fields:
    return _fields(mt_sics_format.decode_line(octets.decode("latin-1")))


DECODERS: dict[str, Decode] = {
    "and-standard": _and,
    "mt-sics": _sics,
    "cas-22": _cas(cas_format.decode_full),
    "cas-18": _cas(cas_format.decode_and),
    "and-18": _cas(cas_format.decode_and),
    "cas-and-18": _cas(cas_format.decode_and),
    "cas-10": _cas(cas_format.decode_bare),
    "cas": _cas(cas_format.decode_line),
    "cas-clone": _cas(cas_format.decode_line),
}


def _text(decode: Decode) -> Callable[[str], Fields]:
    return lambda text: decode(text.encode("latin-1", "replace"))


TABLE: Table = {
    "serial-frame": dict(DECODERS),
    "serial-line": {name: _text(decode) for name, decode in DECODERS.items()},
    "serial-stream": {name: stream_of_lines(decode, 128) for name, decode in DECODERS.items()},
}
