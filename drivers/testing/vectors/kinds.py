"""Adapters by the kind of a vector, and the input that each takes.

| kind | adapter | named by |
|---|---|---|
| serial-frame, ble-frame | octets -> fields | `protocol` |
| serial-line | text -> fields | `protocol` |
| serial-stream, ble-stream | chunks of octets (and the `context`) -> list of readings, or fields | `protocol` |
| gatt | octets, the vector's `context` -> fields | `uuid` (`2a37`, or a full UUID) |
| advert | the vector -> fields | `format` |
| encode | `request` -> octets | `uuid` or `protocol` |
| checksum, medfloat, int24be | octets -> value | `algorithm`, `format`, the kind itself |

Names are in lower case. It raises FrameError or ValueError to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.common.line_splitter import LineSplitter

Fields = dict[str, Any]
Table = dict[str, dict[str, Callable[..., Any]]]


def stream_of_lines(decode: Callable[[bytes], Fields], longest: int) -> Callable[[Iterable[bytes]], list[Fields]]:
    """Adapter of a stream; what is no line of the protocol is passed over."""

    def read(chunks: Iterable[bytes]) -> list[Fields]:
        splitter, out = LineSplitter(Faults(), longest), []
        for chunk in chunks:
            for line in splitter.feed(chunk):
                try:
                    out.append(decode(line))
                except FrameError:
                    continue
        return out

    return read
