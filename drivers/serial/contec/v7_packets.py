"""Contec protocol V7: packets of a device and of a host (official protocol paper V7.0).

Octet 0 is the type and alone has bit 7 clear. Octet 1 holds bit 7 of the octets after it: bit i is that of octet 2 + i.
No checksum; the length is fixed for each type.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Faults
from gatepost.drivers.serial.common.frame_sync import FrameScanner

LENGTHS = {
    0x01: 9,  # live data
    0x04: 9,  # device identity
    0x05: 9,  # user
    0x07: 8,  # start date of a stored segment
    0x08: 8,  # length of a stored segment
    0x09: 6,  # stored data with PI
    0x0A: 4,  # segment count
    0x0B: 4,  # feedback to a command
    0x0C: 2,  # idle
    0x0D: 3,  # disconnect
    0x0E: 3,  # PI support
    0x0F: 8,  # stored data without PI
    0x10: 3,  # user count
    0x11: 9,  # device notice
    0x12: 8,  # start time of a stored segment
    0x15: 9,  # identifiers of stored data
}
LONGEST = 9

LIVE, IDENTITY, LENGTH, FEEDBACK, IDLE, DISCONNECT, PI_SUPPORT = 0x01, 0x04, 0x08, 0x0B, 0x0C, 0x0D, 0x0E
START_DATE, START_TIME, SEGMENTS, STORED, STORED_PI = 0x07, 0x12, 0x0A, 0x0F, 0x09

START_LIVE, STOP_LIVE, DEVICE_ID, DELETE, KEEP_ALIVE, SET_TIME, SET_DATE = 0xA1, 0xA2, 0xAA, 0xAE, 0xAF, 0xB1, 0xB2
ASK_SEGMENTS, ASK_LENGTH, ASK_START, ASK_STORED, STOP_STORED = 0xA3, 0xA4, 0xA5, 0xA6, 0xA7
FORBIDDEN = frozenset({DELETE})  # a gateway never erases what a device has stored
HOST = 0x7D
ARGUMENTS = 6

REASONS = {
    0: "done",
    1: "shut-down",
    2: "user-changed",
    3: "recording",
    4: "delete-failed",
    5: "unsupported",
    0xFF: "unknown",
}


class V7Packet(NamedTuple):
    """A packet with its eight-bit octets put together again."""

    type: int
    data: bytes


class V7LiveData(msgspec.Struct, frozen=True, gc=False):
    """Live data; None = the device has no value. `pi_pct` is the perfusion index in %."""

    signal_strength: int
    search_timeout: bool
    spo2_low: bool
    beep: bool
    probe_error: bool
    waveform: int
    searching: bool
    bar: int
    pi_valid: bool
    pulse_rate: int | None
    spo2: int | None
    pi_pct: float | None


def decode_packet(frame: bytes) -> V7Packet:
    """Exactly one packet; FrameError truncated, bad_sync, bad_length or unsupported."""
    if not frame:
        raise FrameError("truncated")
    if frame[0] & 0x80:
        raise FrameError("bad_sync")
    length = LENGTHS.get(frame[0])
    if length is None:
        raise FrameError("unsupported")
    if len(frame) < length:
        raise FrameError("truncated")
    if len(frame) > length:
        raise FrameError("bad_length")
    if not all(octet & 0x80 for octet in frame[1:]):
        raise FrameError("bad_sync")
    high = frame[1]
    return V7Packet(frame[0], bytes(octet & 0x7F | (high >> i & 1) << 7 for i, octet in enumerate(frame[2:])))


def decode_live(data: bytes) -> V7LiveData:
    """The seven data octets of a live packet."""
    if len(data) != LENGTHS[LIVE] - 2:
        raise FrameError("bad_length")
    status, wave, bar, pulse, spo2, low, high = data
    index = low | high << 8
    return V7LiveData(
        signal_strength=status & 0x0F,
        search_timeout=bool(status & 0x10),
        spo2_low=bool(status & 0x20),
        beep=bool(status & 0x40),
        probe_error=bool(status & 0x80),
        waveform=wave & 0x7F,
        searching=bool(wave & 0x80),
        bar=bar & 0x0F,
        pi_valid=not bar & 0x10,
        pulse_rate=None if pulse == 0xFF else pulse,
        spo2=None if spo2 == 0x7F else spo2,
        pi_pct=None if bar & 0x10 or index == 0xFFFF else index / 100,
    )


def decode_length(data: bytes) -> dict[str, int]:
    """The data octets of a length packet; the length is in octets."""
    if len(data) != LENGTHS[LENGTH] - 2:
        raise FrameError("bad_length")
    return {"user": data[0], "segment": data[1], "length": int.from_bytes(data[2:6], "little")}


def encode_packet(command: int, arguments: bytes = b"") -> bytes:
    """What a host sends: nine octets. ValueError for too many arguments, and for a command that erases."""
    if command in FORBIDDEN:
        raise ValueError(f"command {command:#04x} erases stored data and is never sent")
    if len(arguments) > ARGUMENTS:
        raise ValueError(f"at most {ARGUMENTS} arguments")
    return _wire(HOST, bytes((command,)) + arguments.ljust(ARGUMENTS, b"\0"))


def encode_reply(packet: V7Packet) -> bytes:
    """What a device sends; for twins and tests."""
    if len(packet.data) != LENGTHS[packet.type] - 2:
        raise ValueError("wrong length for this type")
    return _wire(packet.type, packet.data)


def encode_live(live: V7LiveData) -> bytes:
    """The packet of live data."""
    index = 0xFFFF if live.pi_pct is None else round(live.pi_pct * 100)
    status = live.signal_strength | live.search_timeout << 4 | live.spo2_low << 5 | live.beep << 6
    data = bytes(
        (
            status | live.probe_error << 7,
            live.waveform | live.searching << 7,
            live.bar | (not live.pi_valid) << 4,
            0xFF if live.pulse_rate is None else live.pulse_rate,
            0x7F if live.spo2 is None else live.spo2,
            index & 0xFF,
            index >> 8,
        )
    )
    return _wire(LIVE, data)


def _wire(kind: int, data: bytes) -> bytes:
    high = 0x80
    for i, octet in enumerate(data[:7]):
        high |= octet >> 7 << i
    return bytes((kind, high)) + bytes(octet | 0x80 for octet in data)


class V7PacketReader(FrameScanner[V7Packet]):
    """Packets. Types that the paper does not describe are skipped whole and counted apart: they cost no sync."""

    what = "packet"

    def __init__(self, faults: Faults) -> None:
        super().__init__(faults)
        self._passing = False  # octets of a packet of an unknown type

    def look(self, data: bytes, at: int) -> tuple[int, V7Packet | None]:
        length = LENGTHS.get(data[at])
        if length is None:
            return 1, None
        self._passing = False
        packet = data[at : at + length]
        stop = next((i for i in range(1, len(packet)) if not packet[i] & 0x80), 0)  # where another one begins
        return (stop, None) if stop else (0, None) if len(packet) < length else (length, decode_packet(packet))

    def skip(self, octets: bytes, found: list[V7Packet | None]) -> None:
        if not octets[0] & 0x80 and octets[0] not in LENGTHS:
            self._faults.add("unknown-type", "a packet of a type without a description was skipped")
            self._passing = True
        elif not self._passing:
            self.lose(found)
        self._stranger.skip(len(octets))


def feedback(data: bytes) -> dict[str, Any]:
    """Which command, and how it went."""
    return {"command": data[0], "reason": data[1], "text": REASONS.get(data[1], "unknown")}
