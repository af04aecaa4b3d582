"""Contec five-octet protocol: frames of live data, and the answer that holds a stored recording.

Octet 0: bit 7 set, 6 beep, 5 SpO2 falling, 4 searched too long or finger out, 0-3 signal strength. Octet 1: waveform.
Octet 2: bit 6 is bit 7 of the pulse rate, 5 searching, 4 probe error, 0-3 bar graph. Octet 3: pulse rate, bits 0-6.
Octet 4: SpO2. No checksum: only octet 0 has bit 7 set. Zero means no value.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.common.frame_sync import FrameScanner

SIZE = 5
RECORD = 3  # octets of a stored record
STORED_HEADER = bytes.fromhex("f28000f28000f28000")
READ_STORED, END_STORED = b"\xf5\xf5", b"\xf6\xf6\xf6"


class V5LiveData(msgspec.Struct, frozen=True, gc=False):
    """One frame. None = the device has no value."""

    signal_strength: int
    search_timeout: bool
    spo2_drop: bool
    beep: bool
    waveform: int
    bar: int
    probe_error: bool
    searching: bool
    pulse_rate: int | None
    spo2: int | None


def decode_live(frame: bytes) -> V5LiveData:
    """Exactly one frame of five octets; FrameError truncated, bad_length or bad_sync."""
    if len(frame) < SIZE:
        raise FrameError("truncated")
    if len(frame) > SIZE:
        raise FrameError("bad_length")
    status, waveform, bar, pulse, spo2 = frame
    if not status & 0x80 or (waveform | bar | pulse | spo2) & 0x80:
        raise FrameError("bad_sync")
    return V5LiveData(
        signal_strength=status & 0x0F,
        search_timeout=bool(status & 0x10),
        spo2_drop=bool(status & 0x20),
        beep=bool(status & 0x40),
        waveform=waveform,
        bar=bar & 0x0F,
        probe_error=bool(bar & 0x10),
        searching=bool(bar & 0x20),
        pulse_rate=(pulse | (bar & 0x40) << 1) or None,
        spo2=spo2 or None,
    )


def decode_stored(frame: bytes) -> list[dict[str, int | None]]:
    """The answer to F5 F5: header, length - 1 in three groups of seven bits, records of three octets, one a second."""
    head = len(STORED_HEADER)
    if not STORED_HEADER.startswith(frame[:head]):
        raise FrameError("bad_header")
    if len(frame) < head + 3:
        raise FrameError("truncated")
    length = stored_length(frame[head : head + 3])
    body = frame[head + 3 :]
    if len(body) < length:
        raise FrameError("truncated")
    if len(body) > length or length % 3:
        raise FrameError("bad_length")
    return [decode_record(body[i : i + RECORD]) for i in range(0, length, RECORD)]


def stored_length(octets: bytes) -> int:
    """The length of what follows, from three groups of seven bits; FrameError bad_header."""
    high, middle, low = octets
    if not high & 0x80 or not middle & 0x80 or low & 0x80:
        raise FrameError("bad_header")
    return ((high & 0x7F) << 14 | (middle & 0x7F) << 7 | low) + 1


def encode_stored(records: list[tuple[int, int]]) -> bytes:
    """The answer with these records of pulse rate and SpO2; for twins and tests."""
    length = RECORD * len(records) - 1
    head = bytes((0x80 | length >> 14, 0x80 | length >> 7 & 0x7F, length & 0x7F))
    body = b"".join(bytes((0xF0 | pulse >> 7, 0x80 | pulse & 0x7F, spo2)) for pulse, spo2 in records)
    return STORED_HEADER + head + body


def decode_record(octets: bytes) -> dict[str, int | None]:
    """One stored record; FrameError bad_sync. None = the device had no value."""
    mark, pulse, spo2 = octets
    if mark & 0xFE != 0xF0 or not pulse & 0x80 or spo2 & 0x80:
        raise FrameError("bad_sync")
    return {"pulse_rate": ((mark & 1) << 7 | pulse & 0x7F) or None, "spo2": spo2 or None}


class LiveFrames(FrameScanner[V5LiveData]):
    """Frames of live data."""

    def look(self, data: bytes, at: int) -> tuple[int, V5LiveData | None]:
        if not data[at] & 0x80:
            return 1, None
        frame = data[at : at + SIZE]
        bad = next((i for i in range(1, len(frame)) if frame[i] & 0x80), 0)  # where another one may begin
        return (bad, None) if bad else (0, None) if len(frame) < SIZE else (SIZE, decode_live(frame))


def encode_live(frame: V5LiveData) -> bytes:
    """The five octets of a frame, as the device sends them."""
    pulse = frame.pulse_rate or 0
    status = frame.signal_strength | frame.search_timeout << 4 | frame.spo2_drop << 5 | frame.beep << 6
    bar = frame.bar | frame.probe_error << 4 | frame.searching << 5 | pulse >> 7 << 6
    return bytes((0x80 | status, frame.waveform, bar, pulse & 0x7F, frame.spo2 or 0))
