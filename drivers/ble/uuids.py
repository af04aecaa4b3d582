"""Bluetooth UUIDs: full, in lower case, whatever form they came in (Core Specification, Vol 3, Part B, 2.5.1)."""

from __future__ import annotations

BASE = "-0000-1000-8000-00805f9b34fb"


def uuid(short: int | str) -> str:
    """The full UUID of a 16- or 32-bit number, of its hex digits, or of a full one in any case."""
    if isinstance(short, int):
        return f"{short:08x}{BASE}"
    text = short.lower()
    return text if "-" in text else f"{int(text, 16):08x}{BASE}"


def short(full: str) -> str:
    """`2a37` of a full UUID of the Bluetooth SIG, else the full UUID: for people."""
    if not full.endswith(BASE):
        return full
    return full[4:8] if full.startswith("0000") else full[:8]
