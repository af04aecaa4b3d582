"""Packed samples: the body of a waveform as it lies on the disk, a byte a sample where the JSON text has three to six.

The samples become whole numbers of their last decimal, each its difference from the one before with the sign in the
lowest bit (zigzag), their octets by rank (the lowest of all, then the next), deflated together with the text around
them. The very same text comes back: what would not is deflated as text.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import sub
from struct import Struct
from struct import error as struct_error
from typing import Any

import orjson

SMALLEST = 200  # octets of a body that is worth the effort
LARGEST = 64_000_000  # octets of one, unpacked; the store takes none that comes near it
MARK = b'"samples":['
HEAD = Struct("<BBII")  # octets of a number (0: all is text), decimals, samples, octets of text before them
WIDTHS = {2: "H", 4: "I", 8: "Q"}
MOST_DECIMALS = 9
WINDOW = 12  # of zlib, as a power of two: enough for a block, and little memory
SWAPPED = sys.byteorder == "big"


def pack(body: bytes) -> bytes | None:
    """The body in fewer octets; None where it has no samples or would not be shorter."""
    at = body.find(MARK) + len(MARK)
    if at < len(MARK):
        return None
    end = body.find(b"]", at)
    packed = _as_numbers(body, at, end) or _deflated((0, 0, 0, 0), body)
    return packed if len(packed) < len(body) else None


def unpack(packed: bytes) -> bytes:
    """The body that was packed; ValueError for octets that are none."""
    try:
        width, decimals, count, at = HEAD.unpack_from(packed)
        inflater = zlib.decompressobj(-WINDOW)
        octets = inflater.decompress(packed[HEAD.size :], LARGEST)
        if not inflater.eof or (width and width not in WIDTHS) or width * count > len(octets):
            raise ValueError("not whole")
        if not width:
            return octets
        columns = bytearray(width * count)
        for rank in range(width):
            columns[rank::width] = octets[rank * count : (rank + 1) * count]
        steps = array(WIDTHS[width], bytes(columns))
        if SWAPPED:
            steps.byteswap()
        samples: Sequence[Any] = list(accumulate([-(step >> 1) - 1 if step & 1 else step >> 1 for step in steps]))
        if decimals:
            unit = 10**decimals
            samples = [sample / unit for sample in samples]
        text = octets[width * count :]
        return b"%b%b%b" % (text[:at], orjson.dumps(samples)[1:-1], text[at:])
    except (zlib.error, struct_error, TypeError, OverflowError) as error:
        raise ValueError(f"no packed body: {error}") from None


def _as_numbers(body: bytes, at: int, end: int) -> bytes | None:
    """The body whose samples stand in [at, end); None where they are no numbers that would come back as they are."""
    numbers = _whole_numbers(body[at - 1 : end + 1])
    if numbers is None:
        return None
    decimals, samples = numbers
    steps = [step << 1 if step >= 0 else ~(step << 1) for step in map(sub, samples, [0, *samples])]
    needed = max(steps).bit_length()
    width = next((width for width in WIDTHS if needed <= width * 8), 0)
    if not width:
        return None
    columns = array(WIDTHS[width], steps)
    if SWAPPED:
        columns.byteswap()
    octets = columns.tobytes()
    ranks = [octets[rank::width] for rank in range(width)]
    return _deflated((width, decimals, len(samples), at), *ranks, body[:at], body[end:])


def _whole_numbers(text: bytes) -> tuple[int, list[int]] | None:
    """Decimals and samples as whole numbers, where these give this very text again."""
    try:
        samples = orjson.loads(text)
        if not samples or orjson.dumps(samples) != text:
            return None
        kinds = set(map(type, samples))
        if kinds == {int}:
            return 0, samples
        if kinds == {float}:
            return _scaled(samples)
    except (ValueError, TypeError, OverflowError):
        pass
    return None


def _scaled(samples: list[float]) -> tuple[int, list[int]] | None:
    decimals = 1
    for sample in samples:
        while decimals <= MOST_DECIMALS and round(sample * 10**decimals) / 10**decimals != sample:
            decimals += 1
    if decimals > MOST_DECIMALS:
        return None
    unit = 10**decimals
    whole = [round(sample * unit) for sample in samples]
    same = [number / unit for number in whole]
    return (decimals, whole) if orjson.dumps(same) == orjson.dumps(samples) else None  # -0.0 is equal to 0.0


def _deflated(head: tuple[int, int, int, int], *parts: bytes) -> bytes:
    deflater = zlib.compressobj(1, zlib.DEFLATED, -WINDOW, 5)
    return HEAD.pack(*head) + deflater.compress(b"".join(parts)) + deflater.flush()
