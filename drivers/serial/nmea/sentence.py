"""NMEA 0183: one sentence, `$` or `!`, address, fields, `*` and the XOR of what stands between, in two hex digits."""

from __future__ import annotations

import re
from functools import reduce
from operator import xor
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError

_WHOLE = re.compile(r"[$!]([^*$!]*)(?:\*([0-9A-Fa-f]{2}))?")
_ADDRESS = re.compile(r"P[A-Z0-9]{3,8}|[A-Z0-9]{2}[A-Z0-9]{3}")


class NmeaSentence(NamedTuple):
    """`address` as sent (GPGGA, WIMWV, PGRME); `kind` without the talker."""

    address: str
    fields: tuple[str, ...]

    @property
    def kind(self) -> str:
        return self.address if self.address.startswith("P") else self.address[2:]

    @property
    def talker(self) -> str:
        return self.address[:1] if self.address.startswith("P") else self.address[:2]


def checksum(text: str) -> int:
    return reduce(xor, text.encode("latin-1"), 0)


def decode_sentence(line: str, checked: bool = True) -> NmeaSentence:
    """One line; FrameError bad_sync, no_checksum (unless not `checked`), bad_checksum, bad_format."""
    line = line.rstrip("\r\n")
    if not line.startswith(("$", "!")):
        raise FrameError("bad_sync")
    found = _WHOLE.fullmatch(line)
    if found is None:
        raise FrameError("no_checksum" if "*" not in line else "bad_format")
    if found[2] is None:
        if checked:
            raise FrameError("no_checksum")
    elif int(found[2], 16) != checksum(found[1]):
        raise FrameError("bad_checksum")
    address, *fields = found[1].split(",")
    if not _ADDRESS.fullmatch(address):
        raise FrameError("bad_format")
    return NmeaSentence(address, tuple(fields))


def encode_sentence(address: str, *fields: object) -> bytes:
    """As a device says it; for twins and tests."""
    body = ",".join((address, *map(str, fields)))
    return f"${body}*{checksum(body):02X}\r\n".encode("ascii")
