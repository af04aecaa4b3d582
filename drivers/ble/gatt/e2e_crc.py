"""E2E-CRC: the check value that some services add to a value (CGM Service, 3.11): CRC-16/MCRF4XX, low octet first."""

from __future__ import annotations

from gatepost.drivers.checksums import FrameError, crc16_mcrf4xx

CRC_SIZE = 2


def check(data: bytes, length: int, crc: bool | None) -> None:
    """Of a value whose fields fill `length` octets. `crc`: whether the device adds it; None = it does when there are
    just two octets more. FrameError truncated or bad_crc."""
    if len(data) < length + (CRC_SIZE if crc else 0):
        raise FrameError("truncated")
    if crc is None:
        crc = len(data) == length + CRC_SIZE
    if crc and crc16_mcrf4xx(data[:length]) != int.from_bytes(data[length : length + CRC_SIZE], "little"):
        raise FrameError("bad_crc")


def add(data: bytes) -> bytes:
    """The value with its check value; for what is written, and for twins."""
    return data + crc16_mcrf4xx(data).to_bytes(CRC_SIZE, "little")
