"""Sums and cyclic redundancy checks over octets; names and check values as in the catalogue of CRC algorithms."""

from __future__ import annotations

from functools import cache


class FrameError(ValueError):
    """A frame is not what it should be; `kind` is a word of the vectors: truncated, bad_sync, bad_length, ..."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def sum8(data: bytes) -> int:
    """The low eight bits of the sum."""
    return sum(data) & 0xFF


def sum16(data: bytes) -> int:
    """The low sixteen bits of the sum."""
    return sum(data) & 0xFFFF


@cache
def _reflected(polynomial: int) -> tuple[int, ...]:
    """The table of a CRC that goes from the lowest bit up; the polynomial is given reflected."""
    table = []
    for octet in range(256):
        for _ in range(8):
            octet = octet >> 1 ^ (polynomial if octet & 1 else 0)
        table.append(octet)
    return tuple(table)


def _crc_reflected(data: bytes, polynomial: int, start: int) -> int:
    table, crc = _reflected(polynomial), start
    for octet in data:
        crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
    return crc


def crc16_mcrf4xx(data: bytes) -> int:
    """Polynomial 1021 reflected, from FFFF: E2E-CRC of the CGM service."""
    return _crc_reflected(data, 0x8408, 0xFFFF)


def crc16_x25(data: bytes) -> int:
    """The same, inverted at the end: HDLC, IntelliVue."""
    return crc16_mcrf4xx(data) ^ 0xFFFF


def crc16_modbus(data: bytes) -> int:
    """Polynomial 8005 reflected, from FFFF."""
    return _crc_reflected(data, 0xA001, 0xFFFF)


def crc8_maxim(data: bytes) -> int:
    """Polynomial 31 reflected, from 0: 1-wire."""
    return _crc_reflected(data, 0x8C, 0)


def crc16_ccitt_false(data: bytes) -> int:
    """Polynomial 1021, from FFFF, highest bit first: LifeScan."""
    crc = 0xFFFF
    for octet in data:
        crc ^= octet << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc
