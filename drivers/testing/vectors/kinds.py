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

from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]
Table = dict[str, dict[str, Callable[..., Any]]]
