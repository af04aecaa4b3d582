"""Record of the log, the series that it belongs to, and the meaning of its bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from gatepost.agent.store.packed_samples import SMALLEST, pack, unpack

URGENT = 1  # outside a threshold: committed at once, sent first
IN_STEP = 2  # the wall clock was synchronised when it was taken
EVENT = 4  # an event of the gateway, no reading
PACKED = 8  # of a row, not of a record: its body is packed (packed_samples.py)
ALL = 0xFFFFFFFF  # bits of a checksum
SIGN = 0x80000000
ROW_WIDTH = 7  # columns of a row of the table of readings
OPENING, CLOSING, BRACE = b'{"', 0x7D, 0x7B  # of a body: left out in a row that is not packed
_COLUMNS = struct.Struct("<4q").pack


class Record(msgspec.Struct, gc=False):
    """One row: wall and boot time in microseconds; body is a JSON object with what does not repeat."""

    seq: int
    series: int
    wall: int
    mono: int
    bits: int
    body: bytes


class HistoryPage(list[Record]):
    """Newest first. `cursor`: pass it as `before` for what follows; None = that was all.

    A search over much of the log stops after a second, with what it found and the cursor where to go on.
    """

    cursor: int | None = None


class Series(NamedTuple):
    """What repeats from row to row. `common` is a JSON object: metric_type, units, quality, flags; or event."""

    number: int
    boot: int
    device: str
    patient: str | None
    common: bytes


LOST_COMMON = b'{"metric_type":"unknown","units":{},"quality":"uncertain","flags":["series:lost"]}'


def lost_series(number: int, boot: int = 0) -> Series:
    """Stands for a series that could not be read any more: its readings are kept, and say so."""
    return Series(number, boot, "unknown", None, LOST_COMMON)


def checksum(seq: int, series: int, wall: int, mono: int, bits: int, body: bytes) -> int:
    """CRC-32 of all columns: flipped bits or a misplaced row show."""
    return seeded_checksum(seq, checksum_seed(series, wall, mono, bits), body)


def seeded_checksum(seq: int, seed: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(seq.to_bytes(8, "little"), seed))


def checksum_seed(series: int, wall: int, mono: int, bits: int) -> int:
    """That of these columns, which rows of one moment share. Raises struct.error."""
    return zlib.crc32(_COLUMNS(series, wall, mono, bits))


def _checksum_of_version_5(seq: int, series: int, wall: int, mono: int, bits: int, body: bytes) -> int:
    """Of rows of before: a flipped column and a flipped bit of the body's first octets could cancel each other."""
    mixed = wall ^ mono
    seed = (mixed ^ mixed >> 32 ^ series << 8 ^ series >> 24 ^ bits << 28) & ALL
    return zlib.crc32(body, (seq ^ seq >> 32 ^ seed) & ALL)


def reading_params(records: Sequence[Record]) -> list[Any]:
    """Rows of the table of readings, column after column; the checksum is that of the body as it lies on the disk,
    signed: 4 octets."""
    params: list[Any] = []
    like_series = like_wall = like_mono = like_bits = seed = -1  # of the row before: a chunk shares nearly everything
    for record in records:
        seq, bits, body = record.seq, record.bits, record.body
        series, wall, mono = record.series, record.wall, record.mono
        if len(body) >= SMALLEST and (packed := pack(body)) is not None:
            bits, body = bits | PACKED, packed
        elif body[:2] == OPENING and body[-1] == CLOSING and body[2] != BRACE:
            body = body[2:-1]
        if wall is not like_wall or mono is not like_mono or series != like_series or bits != like_bits:
            like_series, like_wall, like_mono, like_bits = series, wall, mono, bits
            seed = checksum_seed(series, wall, mono, bits)
        crc = seeded_checksum(seq, seed, body)
        params += (seq, series, wall, mono, bits, crc if crc < SIGN else crc - (SIGN << 1), body)
    return params


def is_sound(columns: Sequence[Any], crc: Any, body: Any) -> bool:
    """Whether these columns (seq, series, wall, mono, bits) are what was written; damage can change types, too."""
    try:
        seq, series, wall, mono, bits = columns
        made = checksum(seq, series, wall, mono, bits, body)
        return bool(crc & ALL == made or crc & ALL == _checksum_of_version_5(seq, series, wall, mono, bits, body))
    except (TypeError, OverflowError, struct.error):
        return False


def record_from(seq: int, series: int, wall: int, mono: int, bits: int, body: bytes) -> Record:
    """The record of a sound row; ValueError where its body cannot be unpacked. Rows of schema version 4 and before have
    bodies with their braces."""
    if bits & PACKED:
        bits, body = bits ^ PACKED, unpack(body)
    elif body[:1] != b"{":
        body = b'{"%b}' % body
    return Record(seq, series, wall, mono, bits, body)


def whole_body(bits: int, body: bytes) -> bytes:
    """The JSON object that the body of a sound row stands for."""
    return record_from(0, 0, 0, 0, bits, body).body


def text_checksum(*columns: object) -> int:
    """CRC-32 of a row of one of the small tables."""
    return zlib.crc32("\x1f".join(map(str, columns)).encode("utf-8", "surrogatepass"))


def series_row(series: Series) -> tuple[Any, ...]:
    """A row of the table of series."""
    columns = (series.number, series.boot, series.device, series.patient, series.common.decode())
    return (*columns, text_checksum(*columns))


def series_from(row: tuple[Any, ...]) -> Series | None:
    """A row of the table of series back; None when it fails its checksum."""
    *columns, crc = row
    if crc != text_checksum(*columns):
        return None
    number, boot, device, patient, common = columns
    return Series(number, boot, device, patient, common.encode())
