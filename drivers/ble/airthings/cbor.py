"""Decoder of the CBOR (RFC 8949) that sensors send: maps, arrays, numbers, text, octets. Sans-I/O."""

from __future__ import annotations

from struct import unpack
from typing import Any

from gatepost.drivers.checksums import FrameError

DEEPEST = 8
MOST_ITEMS = 256


def decode(data: bytes) -> Any:
    """The one item in `data`; FrameError truncated or unsupported."""
    return _item(data, 0, 0)[0]


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if at >= len(data):
        raise FrameError("truncated")
    if depth > DEEPEST:
        raise FrameError("unsupported")
    major, detail = data[at] >> 5, data[at] & 0x1F
    if major == 7:
        return _simple(data, at, detail)
    number, at = _argument(data, at + 1, detail)
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 2 | 3:
            if at + number > len(data):
                raise FrameError("truncated")
            chunk = data[at : at + number]
            return (chunk if major == 2 else chunk.decode("utf-8", "replace")), at + number
        case 4 | 5 if number <= MOST_ITEMS:
            items: list[Any] = []
            for _ in range(number * (major - 3)):
                item, at = _item(data, at, depth + 1)
                items.append(item)
            if major == 4:
                return items, at
            pairs = zip(items[::2], items[1::2], strict=True)
            return {key: value for key, value in pairs if isinstance(key, int | str)}, at
    raise FrameError("unsupported")


def _argument(data: bytes, at: int, detail: int) -> tuple[int, int]:
    if detail < 24:
        return detail, at
    if detail > 27:
        raise FrameError("unsupported")
    size = 1 << detail - 24
    if at + size > len(data):
        raise FrameError("truncated")
    return int.from_bytes(data[at : at + size]), at + size


def _simple(data: bytes, at: int, detail: int) -> tuple[Any, int]:
    known = {20: False, 21: True, 22: None, 23: None}
    if detail in known:
        return known[detail], at + 1
    form = {25: ">e", 26: ">f", 27: ">d"}.get(detail)
    if form is None:
        raise FrameError("unsupported")
    end = at + 1 + (1 << detail - 24)
    if end > len(data):
        raise FrameError("truncated")
    return unpack(form, data[at + 1 : end])[0], end
