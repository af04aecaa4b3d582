"""Scales, under the names of the vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.common.line_splitter import LineSplitter
from gatepost.drivers.serial.scales import and_format, cas_format, mt_sics_format
from gatepost.drivers.testing.vectors.kinds import Fields, Table

Decode = Callable[[bytes], Fields]


def _cas(decode: Callable[[bytes], cas_format.CasWeighing]) -> Decode:
    def fields(octets: bytes) -> Fields:
        found = msgspec.structs.asdict(decode(octets))
        return {name: value for name, value in found.items() if value is not None or name == "value"}

    return fields


def _and(octets: bytes) -> Fields:
    return msgspec.structs.asdict(and_format.decode_line(octets.decode("latin-1")))


def _sics(octets: bytes) -> Fields:
    found = msgspec.structs.asdict(mt_sics_format.decode_line(octets.decode("latin-1")))
    return {name: value for name, value in found.items() if value is not None or name == "value"}


def _lines(decode: Decode) -> Callable[[Iterable[bytes]], list[Fields]]:
    """A stream: what is no line of the protocol is passed over."""

    def read(chunks: Iterable[bytes]) -> list[Fields]:
        splitter, out = LineSplitter(Faults(), 128), []
        for chunk in chunks:
            for line in splitter.feed(chunk):
                try:
                    out.append(decode(line))
                except FrameError:
                    continue
        return out

    return read


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
    "serial-stream": {name: _lines(decode) for name, decode in DECODERS.items()},
}
