"""Nonin data formats 1, 2, 7, 8 and 13: frames and packets (Nonin OEM III, Xpod, 9560 and WristOx2 specifications).

Formats 2 and 7 send 75 frames a second with a checksum; 25 of them, the first with the bit SYNC, are a packet whose
float octets hold the numbers. Formats 1 and 8 send one short frame a second without a checksum; only their first octet
has bit 7 set. Format 13 is a spot check with its time. HR is (MSB & 3) << 7 | LSB; 511 means no value, of SpO2 127.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.checksums import FrameError, sum8
from gatepost.drivers.reading import iso_time

FRAME, PACKET = 5, 25  # octets of a frame of formats 2 and 7; frames of a packet
START = 0x01  # of format 2
NO_RATE, NO_SPO2 = 511, 127
PERFUSION = ("none", "green", "red", "yellow")
SPOT_HEADER = bytes.fromhex("0002000d")
SPOT_HEAD, SPOT_TAIL, SPOT_LEAST, SPOT_MOST = 6, 2, 14, 64  # octets; the data may grow in later models


class NoninFrame(msgspec.Struct, frozen=True, gc=False):
    """One of 25 frames. `perfusion` is only told during a pulse."""

    sensor_disconnected: bool
    artifact: bool
    out_of_track: bool
    sensor_fault: bool
    perfusion: str
    sync: bool
    pleth: int
    float_byte: int


class NoninPacket(msgspec.Struct, frozen=True, gc=False):
    """What 25 frames say together; None = the device has no value."""

    pulse_rate: int | None
    spo2: int | None
    revision: int
    timer: int
    stat2: int
    smartpoint: bool
    low_battery: bool
    spo2_display: int | None
    spo2_fast: int | None
    spo2_beat: int | None
    e_pulse_rate: int | None
    e_spo2: int | None
    e_spo2_display: int | None
    pulse_rate_display: int | None
    e_pulse_rate_display: int | None
    sensor_disconnected: bool
    artifact: bool
    out_of_track: bool
    sensor_fault: bool
    perfusion: str
    pleth: list[int]


class NoninNumbers(msgspec.Struct, frozen=True, gc=False):
    """One frame of format 1 or 8. The last three are None in format 1, which does not tell them."""

    sensor_disconnected: bool
    out_of_track: bool
    low_perfusion: bool
    marginal_perfusion: bool
    artifact: bool
    pulse_rate: int | None
    spo2: int | None
    smartpoint: bool | None = None
    sensor_fault: bool | None = None
    low_battery: bool | None = None


class SpotCheck(msgspec.Struct, frozen=True, gc=False):
    """Format 13: one measurement. `time` as sent; `hundredths` of a second."""

    time: tuple[int, int, int, int, int, int]
    hundredths: int
    smartpoint: bool
    no_measurement: bool
    from_memory: bool
    low_battery: bool
    pulse_rate: int | None
    spo2: int | None

    @property
    def device_time(self) -> str | None:
        """ISO 8601; None when the device's clock says no date."""
        moment = iso_time(self.time)
        return f"{moment}.{self.hundredths:02}" if moment and 0 < self.hundredths < 100 else moment


def rate(msb: int, lsb: int) -> int | None:
    """A pulse rate from its two octets."""
    value = (msb & 3) << 7 | lsb & 0x7F
    return None if value == NO_RATE else value


def saturation(octet: int) -> int | None:
    value = octet & 0x7F
    return None if value == NO_SPO2 else value


def decode_frame2(octets: bytes) -> NoninFrame:
    """Format 2, exactly five octets; FrameError truncated, bad_length, bad_frame, bad_sync or bad_checksum."""
    _five(octets)
    if octets[0] != START:
        raise FrameError("bad_frame")
    if not octets[1] & 0x80:
        raise FrameError("bad_sync")
    return _frame(octets[1], octets[2], octets[3])


def decode_frame7(octets: bytes) -> NoninFrame:
    """Format 7: the same without the start octet, with a pleth of 16 bits."""
    _five(octets)
    if not octets[0] & 0x80:
        raise FrameError("bad_sync")
    return _frame(octets[0], octets[1] << 8 | octets[2], octets[3])


def _five(octets: bytes) -> None:
    if len(octets) != FRAME:
        raise FrameError("truncated" if len(octets) < FRAME else "bad_length")
    if sum8(octets[:4]) != octets[4]:
        raise FrameError("bad_checksum")


def _frame(status: int, pleth: int, number: int) -> NoninFrame:
    return NoninFrame(
        sensor_disconnected=bool(status & 0x40),
        artifact=bool(status & 0x20),
        out_of_track=bool(status & 0x10),
        sensor_fault=bool(status & 0x08),
        perfusion=PERFUSION[status >> 1 & 3],
        sync=bool(status & 0x01),
        pleth=pleth,
        float_byte=number,
    )


def decode_packet(octets: bytes, wide: bool = False) -> NoninPacket:
    """Exactly 25 frames of format 2, or of format 7 when `wide`; as for a frame, and bad_sync."""
    frames = [(decode_frame7 if wide else decode_frame2)(octets[i : i + FRAME]) for i in range(0, len(octets), FRAME)]
    if len(frames) != PACKET:
        raise FrameError("truncated" if len(frames) < PACKET else "bad_length")
    return packet_of(frames)


def packet_of(frames: list[NoninFrame]) -> NoninPacket:
    """25 good frames; FrameError bad_sync when SYNC is not in the first of them, or in another."""
    if not frames[0].sync or any(frame.sync for frame in frames[1:]):
        raise FrameError("bad_sync")
    f = [0] + [frame.float_byte for frame in frames]  # numbered from 1, as in the paper
    perfusion = {frame.perfusion for frame in frames}
    return NoninPacket(
        pulse_rate=rate(f[1], f[2]),
        spo2=saturation(f[3]),
        revision=f[4],
        timer=(f[6] & 0x7F) << 7 | f[7] & 0x7F,
        stat2=f[8],
        smartpoint=bool(f[8] & 0x20),
        low_battery=bool(f[8] & 0x01),
        spo2_display=saturation(f[9]),
        spo2_fast=saturation(f[10]),
        spo2_beat=saturation(f[11]),
        e_pulse_rate=rate(f[14], f[15]),
        e_spo2=saturation(f[16]),
        e_spo2_display=saturation(f[17]),
        pulse_rate_display=rate(f[20], f[21]),
        e_pulse_rate_display=rate(f[22], f[23]),
        sensor_disconnected=any(frame.sensor_disconnected for frame in frames),
        artifact=any(frame.artifact for frame in frames),
        out_of_track=any(frame.out_of_track for frame in frames),
        sensor_fault=any(frame.sensor_fault for frame in frames),
        perfusion=next((colour for colour in ("red", "yellow", "green") if colour in perfusion), "none"),
        pleth=[frame.pleth for frame in frames],
    )


def decode_numbers(octets: bytes, size: int = 4) -> NoninNumbers:
    """One frame of format 1 (three octets) or 8 (four); FrameError truncated, bad_length or bad_sync."""
    if len(octets) != size:
        raise FrameError("truncated" if len(octets) < size else "bad_length")
    if not octets[0] & 0x80 or any(octet & 0x80 for octet in octets[1:]):
        raise FrameError("bad_sync")
    status, more = octets[0], octets[3] if size > 3 else None
    return NoninNumbers(
        sensor_disconnected=bool(status & 0x40),
        out_of_track=bool(status & 0x20),
        low_perfusion=bool(status & 0x10),
        marginal_perfusion=bool(status & 0x08),
        artifact=bool(status & 0x04),
        pulse_rate=rate(status, octets[1]),
        spo2=saturation(octets[2]),
        smartpoint=None if more is None else bool(more & 0x20),
        sensor_fault=None if more is None else bool(more & 0x08),
        low_battery=None if more is None else bool(more & 0x01),
    )


def decode_spot_check(octets: bytes) -> SpotCheck:
    """Format 13, exactly one; FrameError truncated, bad_header, bad_length, bad_checksum or bad_frame."""
    if len(octets) < SPOT_HEAD:
        raise FrameError("truncated" if SPOT_HEADER.startswith(octets[:4]) else "bad_header")
    if not octets.startswith(SPOT_HEADER):
        raise FrameError("bad_header")
    length = octets[4] << 8 | octets[5]
    if not SPOT_LEAST <= length <= SPOT_MOST:
        raise FrameError("bad_length")
    whole = SPOT_HEAD + length + SPOT_TAIL
    if len(octets) != whole:
        raise FrameError("truncated" if len(octets) < whole else "bad_length")
    data = octets[SPOT_HEAD : SPOT_HEAD + length]
    if sum8(data) != octets[-2]:
        raise FrameError("bad_checksum")
    if octets[-1] != 0x03:
        raise FrameError("bad_frame")
    century, year, month, day, hour, minute, second, hundredths = data[:8]
    status = data[8] << 8 | data[9]
    pulse_rate, spo2 = data[10] << 8 | data[11], data[13]
    return SpotCheck(
        time=(century * 100 + year, month, day, hour, minute, second),
        hundredths=hundredths,
        smartpoint=bool(status & 0x0200),
        no_measurement=bool(status & 0x0100),
        from_memory=bool(status & 0x0010),
        low_battery=bool(status & 0x0001),
        pulse_rate=None if pulse_rate == NO_RATE else pulse_rate,
        spo2=None if spo2 == NO_SPO2 else spo2,
    )
