"""Signals in the frames of ProtoCentral boards, as sent: nothing is judged here.

ADS1292R breakout: type 2, 8 octets. HealthyPi v3 and v4: type 2, 20 octets. HealthyPi 5: type 2, 22 octets, one sample
of each curve; from firmware 1.0 type 3 (ECG and respiration) and type 4 (red light, temperature, SpO2) with several.
Source: ProtoCentral OpenView (decoders of the boards), firmware of HealthyPi v3.
"""

from __future__ import annotations

import struct

import msgspec

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.protocentral.frames import ProtocentralFrame

ADS1292R = {2: frozenset({8})}
HEALTHYPI = {2: frozenset({20, 22}), 3: frozenset({50}), 4: frozenset({19})}

_ADS1292R = struct.Struct("<hhHH")
_V3 = struct.Struct("<hhiiHBBBBBB")
_V5 = struct.Struct("<iiBiihBBB")
_V5_ECG = struct.Struct("<8i4iBB")
_V5_PPG = struct.Struct("<8hhB")
V4_MARK = 120  # HealthyPi v4 has this constant where v3 has a heart rate that is never set


class SignalFrame(msgspec.Struct, frozen=True, gc=False):
    """One frame: samples of its curves, and numbers; None = the frame has no such member."""

    type: int
    size: int  # octets of the payload: with the type, which board it is
    ecg: tuple[int, ...] = ()
    respiration: tuple[int, ...] = ()
    infrared: tuple[int, ...] = ()
    red: tuple[int, ...] = ()
    heart_rate: int | None = None  # 1/min
    respiration_rate: int | None = None  # 1/min
    spo2: int | None = None  # %
    centidegrees: int | None = None  # 0.01 Cel
    lead_status: int | None = None
    ecg_off: bool = False
    probe_off: bool = False


def ads1292r(frame: ProtocentralFrame) -> SignalFrame:
    """FrameError unsupported or bad_length."""
    _expect(frame, ADS1292R)
    ecg, respiration, heart_rate, respiration_rate = _ADS1292R.unpack(frame.payload)
    return SignalFrame(2, 8, (ecg,), (respiration,), heart_rate=heart_rate, respiration_rate=respiration_rate)


def healthypi(frame: ProtocentralFrame) -> SignalFrame:
    """FrameError unsupported or bad_length."""
    _expect(frame, HEALTHYPI)
    payload = frame.payload
    size = len(payload)
    if frame.type == 3:
        *samples, heart_rate, breaths = _V5_ECG.unpack(payload)
        return SignalFrame(
            3, size, tuple(samples[:8]), tuple(samples[8:]), heart_rate=heart_rate, respiration_rate=breaths
        )
    if frame.type == 4:
        *samples, temperature, spo2 = _V5_PPG.unpack(payload)
        return SignalFrame(4, size, red=tuple(samples), spo2=spo2, centidegrees=temperature)
    if size == _V5.size:
        ecg, breath, skip, red, infrared, temperature, spo2, heart_rate, breaths = _V5.unpack(payload)
        curves = ((ecg,), () if skip else (breath,), (infrared,), (red,))
        return SignalFrame(2, size, *curves, heart_rate, breaths, spo2, temperature)
    ecg, breath, infrared, red, temperature, breaths, spo2, heart_rate, _80, other, leads = _V3.unpack(payload)
    curves = ((ecg,), (breath,), (infrared,), (red,))
    if other == V4_MARK:  # the status register of its ADS1292R: a bit for each electrode that is off
        ecg_off, probe_off = bool(leads & 0x1F), False
    else:
        ecg_off, probe_off = bool(leads & 1), bool(leads & 2)
    return SignalFrame(2, size, *curves, heart_rate, breaths, spo2, temperature, leads, ecg_off, probe_off)


def _expect(frame: ProtocentralFrame, known: dict[int, frozenset[int]]) -> None:
    if frame.type not in known:
        raise FrameError("unsupported")
    if len(frame.payload) not in known[frame.type]:
        raise FrameError("bad_length")


def encode_ads1292r(ecg: int, respiration: int, heart_rate: int, respiration_rate: int) -> bytes:
    """The payload, for twins and tests."""
    return _ADS1292R.pack(ecg, respiration, heart_rate, respiration_rate)


def encode_healthypi(
    ecg: int, respiration: int, heart_rate: int, respiration_rate: int, spo2: int, centidegrees: int, leads: int
) -> bytes:
    """The payload of v3, for twins and tests."""
    light = 50_000 + respiration
    return _V3.pack(ecg, respiration, light, light, centidegrees, respiration_rate, spo2, heart_rate, 80, 0, leads)
