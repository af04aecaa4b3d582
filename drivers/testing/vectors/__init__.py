"""Decoders of the product under the names that test vectors use, so that tools and tests run vectors against them.

Each file beside this one has the adapters of some protocols (kinds.py says what an adapter is).
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from gatepost.drivers.ble.uuids import short
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.testing.vectors.kinds import Fields, Table

PARTS = (
    "adverts",
    "ble_devices",
    "ble_makers",
    "bedside_hl7",
    "bedside_intellivue",
    "bedside_poct1a",
    "bedside_serial",
    "clinical",
    "contec_and",
    "ecg",
    "gatt",
    "generic",
    "oximeters",
    "scales",
)
NAMED_BY = {"checksum": "algorithm", "medfloat": "format", "advert": "format", "gatt": "uuid"}

TOLERANCE = 1e-9  # relative


@cache
def adapters() -> Table:
    """Every adapter, by kind and name."""
    table: Table = {}
    for part in PARTS:
        for kind, named in import_module(f"gatepost.drivers.testing.vectors.{part}").TABLE.items():
            table.setdefault(kind, {}).update(named)
    return table


class NotBuilt(LookupError):
    """No decoder of ours takes this kind or protocol."""


def decode(vector: Fields) -> Fields:
    """What our decoder makes of a vector's input; NotBuilt, or FrameError / ValueError when it refuses."""
    kind = vector["kind"]
    name = short(str(vector.get(NAMED_BY.get(kind, "protocol")) or vector.get("uuid") or kind).lower())
    adapter = adapters().get(kind, {}).get(name)
    if adapter is None:
        raise NotBuilt(f"{kind} {name}")
    match kind:
        case "serial-line":
            return dict(adapter(vector["text"]))
        case "serial-stream" | "ble-stream":
            chunks = [_chunk(chunk) for chunk in vector["chunks"]]
            found = adapter(chunks, vector["context"]) if "context" in vector else adapter(chunks)
            return found if isinstance(found, dict) else {"readings": found}
        case "encode":
            try:
                return {"output_hex": adapter(vector["request"]).hex()}
            except KeyError as unknown:
                raise NotBuilt(f"{kind} {name}: {unknown}") from None
        case "gatt":
            return dict(adapter(bytes.fromhex(vector["input_hex"]), vector.get("context", {})))
        case "advert":
            return dict(adapter(vector))
        case "serial-frame" | "ble-frame":
            return dict(adapter(bytes.fromhex(vector["input_hex"])))
        case _:
            return {"value": adapter(bytes.fromhex(vector["input_hex"]))}


def _chunk(chunk: Any) -> bytes | tuple[int, bytes]:
    """Octets, or of which channel they are and octets."""
    return bytes.fromhex(chunk) if isinstance(chunk, str) else (chunk[0], bytes.fromhex(chunk[1]))


def judge(vector: Fields) -> str:
    """Empty when our decoder does what the vector expects, else the difference; NotBuilt."""
    try:
        got = decode(vector)
    except (FrameError, ValueError) as refused:
        return "" if "expect_error" in vector else f"refused ({refused}), expected {vector['expect']}"
    if "expect_error" in vector:
        return f"expected a refusal ({vector['expect_error']}), got {got}"
    return difference(vector["expect"], got)


def difference(expected: Any, got: Any, where: str = "") -> str:
    """The first member of `expected` that `got` lacks or has otherwise, else empty; others in `got` do not count."""
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return f"{where or 'result'}: expected {expected}, got {got!r}"
        for name, value in expected.items():
            place = f"{where}.{name}" if where else name
            if name not in got:
                return f"{place}: expected {value!r}, got nothing"
            found = difference(value, got[name], place)
            if found:
                return found
        return ""
    if isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            return f"{where}: expected {expected}, got {got!r}"
        each = (difference(value, got[i], f"{where}[{i}]") for i, value in enumerate(expected))
        return next((text for text in each if text), "")
    if _same(expected, got):
        return ""
    return f"{where}: expected {expected!r}, got {got!r}"


def _same(expected: Any, got: Any) -> bool:
    if isinstance(expected, bool) or isinstance(got, bool) or not isinstance(expected, (int, float)):
        return type(expected) is type(got) and bool(expected == got)
    if not isinstance(got, (int, float)):
        return False
    return abs(expected - got) <= TOLERANCE * max(abs(expected), abs(got))
