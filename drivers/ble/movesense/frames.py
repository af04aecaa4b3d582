"""Frames of Movesense sensors that have the GATT sensor data firmware; sans-I/O (sensein/movesense-py).

Requests: operation, reference, path. Answers: 01, reference, status u16. Data: 02, reference, milliseconds u32,
samples. Numbers are little-endian.
"""

from __future__ import annotations

from struct import iter_unpack
from typing import NamedTuple

from gatepost.drivers.checksums import FrameError

SUBSCRIBE, UNSUBSCRIBE = 0x01, 0x02
ANSWER, DATA = 0x01, 0x02
HEAD = 6  # octets of data before the samples
MICROVOLT = 0.001  # mV


class SensorAnswer(NamedTuple):
    """Answer to a request; `status` as in HTTP."""

    reference: int
    status: int


class EcgSamples(NamedTuple):
    """Samples of the ECG in microvolts; the time is that of the first."""

    reference: int
    timestamp_ms: int
    samples: list[int]


class MotionSamples(NamedTuple):
    """Acceleration in m/s2, rows of x, y, z."""

    reference: int
    timestamp_ms: int
    samples: list[tuple[float, float, float]]


def subscribe(reference: int, path: str) -> bytes:
    return bytes((SUBSCRIBE, reference)) + path.encode("ascii") + b"\0"


def unsubscribe(reference: int) -> bytes:
    return bytes((UNSUBSCRIBE, reference))


def decode_answer(frame: bytes) -> SensorAnswer:
    """FrameError truncated, unsupported."""
    if frame[:1] != bytes((ANSWER,)):
        raise FrameError("unsupported")
    if len(frame) < 4:
        raise FrameError("truncated")
    return SensorAnswer(frame[1], int.from_bytes(frame[2:4], "little"))


def _samples(frame: bytes, size: int) -> bytes:
    if frame[:1] != bytes((DATA,)):
        raise FrameError("unsupported")
    if len(frame) < HEAD or (len(frame) - HEAD) % size:
        raise FrameError("truncated")
    return frame[HEAD:]


def decode_ecg(frame: bytes) -> EcgSamples:
    """FrameError truncated, unsupported."""
    samples = [value for (value,) in iter_unpack("<h", _samples(frame, 2))]
    return EcgSamples(frame[1], int.from_bytes(frame[2:6], "little"), samples)


def decode_motion(frame: bytes) -> MotionSamples:
    """FrameError truncated, unsupported."""
    rows = [(x, y, z) for x, y, z in iter_unpack("<fff", _samples(frame, 12))]
    return MotionSamples(frame[1], int.from_bytes(frame[2:6], "little"), rows)
