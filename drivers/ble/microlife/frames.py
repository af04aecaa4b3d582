"""Frames and records of the cuff Microlife BP3GY1-2N; sans-I/O (no published specification; one owner's tool).

Requests: 4D FF, size u16, data, sum. Answers: 4D 3A, size u16, data, sum, over several notifications. The size counts
the data and the sum; numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatepost.drivers.checksums import FrameError, sum8

Fields = dict[str, Any]

START, ASK, TELL = 0x4D, 0xFF, 0x3A
HEAD = 4
LONGEST = 4096  # octets of data in one answer
RECORDS_HEAD, RECORD = 38, 10

WORDS = {"id": b"\x05", "disconnect": b"\x04", "records": bytes.fromhex("00000000000000fd")}


def request(data: bytes) -> bytes:
    body = bytes((START, ASK)) + (len(data) + 1).to_bytes(2) + data
    return body + bytes((sum8(body),))


class MicrolifeFrames:
    """Answers in a stream of octets -> their data; what is damaged is told to `on_fault`, and the next answer is
    looked for."""

    def __init__(self, on_fault: Callable[[FrameError], None]) -> None:
        self._on_fault = on_fault
        self._held = b""

    @property
    def holding(self) -> bool:
        return bool(self._held)

    def clear(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        self._held += data
        out: list[bytes] = []
        while self._held:
            if self._held[0] != START or (len(self._held) > 1 and self._held[1] != TELL):
                self._skip("bad_sync")
                continue
            if len(self._held) < HEAD:
                break
            size = int.from_bytes(self._held[2:4])
            if not 1 <= size <= LONGEST:
                self._skip("bad_size")
                continue
            end = HEAD + size
            if len(self._held) < end:
                break
            if sum8(self._held[: end - 1]) != self._held[end - 1]:
                self._skip("bad_checksum")
                continue
            out.append(self._held[HEAD : end - 1])
            self._held = self._held[end:]
        return out

    def _skip(self, kind: str) -> None:
        self._on_fault(FrameError(kind))
        at = self._held.find(START, 1)
        self._held = self._held[at:] if at > 0 else b""


def decode_records(data: bytes) -> list[Fields]:
    """Measurements of an answer to `records`. FrameError."""
    if len(data) < RECORDS_HEAD or (len(data) - RECORDS_HEAD) % RECORD:
        raise FrameError("truncated")
    records = (data[at : at + RECORD] for at in range(RECORDS_HEAD, len(data), RECORD))
    return [
        {
            "systolic": record[0],
            "diastolic": record[1],
            "heart_rate": record[2],
            "time": [2000 + record[3], *record[4:8]],
        }
        for record in records
        if any(record) and record != b"\xff" * RECORD
    ]
