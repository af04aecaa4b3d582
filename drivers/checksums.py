"""Sums over octets; those that are built so far."""

from __future__ import annotations


def sum8(data: bytes) -> int:
    """The low eight bits of the sum."""
    return sum(data) & 0xFF


def sum16(data: bytes) -> int:
    """The low sixteen bits of the sum."""
    return sum(data) & 0xFFFF
