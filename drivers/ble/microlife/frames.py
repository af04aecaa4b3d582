"""Frames and records of the cuff Microlife BP3GY1-2N; sans-I/O (no published specification; one owner's tool).

Requests: 4D FF, size u16, data, sum. Answers: 4D 3A, size u16, data, sum, over several notifications. The size counts
the data and the sum; numbers are big-endian.
"""

from __future__ import annotations

from typing import Any

from gatepost.drivers.ble.frame_stream import FrameStream
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


class MicrolifeFrames(FrameStream[bytes]):
    """Answers in a stream of octets -> their data."""

    start = START
    head = HEAD

    def _wrong(self, held: bytes) -> str:
        if len(held) > 1 and held[1] != TELL:
            return "bad_sync"
        return "bad_size" if len(held) >= HEAD and not 1 <= int.from_bytes(held[2:4]) <= LONGEST else ""

    def _end(self, held: bytes) -> int:
        return HEAD + int.from_bytes(held[2:4])

    def _damage(self, frame: bytes) -> str:
        return "" if sum8(frame[:-1]) == frame[-1] else "bad_checksum"

    def _frame(self, frame: bytes) -> bytes:
        return frame[HEAD:-1]


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
