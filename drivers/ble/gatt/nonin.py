"""Nonin's own oximetry characteristic (3150, 3230; Nonin BLE specification): one value a second, big-endian.

Length (10), status, battery in 0.1 V, pulse amplitude index in 0.01 %, seconds since the start, SpO2, pulse rate.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.reading import Reading

SERVICE = "46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"
MEASUREMENT = "0aad7ea0-0d60-11e2-8e3c-0002a5d5c51b"
CONTROL = "1447af80-0d60-11e2-88b6-0002a5d5c51b"
DONE = b"bNMI"  # written to CONTROL: the measurement is over, the device may power down

LENGTH = 10
NO_SPO2, NO_RATE = 127, 511


class NoninMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Nonin measurement. None = the device has no value. `smartpoint`: the algorithm found a measurement of high
    quality."""

    synced: bool
    weak_signal: bool
    smartpoint: bool
    searching: bool
    correct_check: bool
    low_battery: bool
    encrypted: bool
    battery_v: Decimal
    pai_pct: Decimal
    counter_s: int
    spo2: int | None
    pulse_rate: int | None


def decode(data: bytes) -> NoninMeasurement:
    """FrameError truncated or bad_length."""
    if not data:
        raise FrameError("truncated")
    if data[0] < LENGTH:
        raise FrameError("bad_length")
    if len(data) < LENGTH:
        raise FrameError("truncated")
    status, spo2, rate = data[1], data[7], int.from_bytes(data[8:10])
    return NoninMeasurement(
        synced=bool(status & 0x01),
        weak_signal=bool(status & 0x02),
        smartpoint=bool(status & 0x04),
        searching=bool(status & 0x08),
        correct_check=bool(status & 0x10),
        low_battery=bool(status & 0x20),
        encrypted=bool(status & 0x40),
        battery_v=data[2] * Decimal("0.1"),
        pai_pct=int.from_bytes(data[3:5]) * Decimal("0.01"),
        counter_s=int.from_bytes(data[5:7]),
        spo2=None if spo2 == NO_SPO2 else spo2,
        pulse_rate=None if rate == NO_RATE else rate,
    )


def reading(measurement: NoninMeasurement) -> Reading:
    builder = ReadingBuilder("pulse_oximetry")
    reason = "searching" if measurement.searching else "no-signal"
    for name, number, unit in (("spo2", measurement.spo2, "%"), ("heart_rate", measurement.pulse_rate, "/min")):
        if number is None:
            builder.leave(name, reason)
        else:
            builder.put(name, number, unit)
    if builder.values:
        builder.put("perfusion_index", measurement.pai_pct, "%")
    words = {
        "weak-signal": measurement.weak_signal,
        "smartpoint": measurement.smartpoint,
        "searching": measurement.searching and bool(builder.values),
        "finger-misplaced": measurement.correct_check,
        "battery-low": measurement.low_battery,
    }
    builder.flag(*(word for word, there in words.items() if there))
    if measurement.weak_signal or measurement.searching or measurement.correct_check:
        builder.doubt()
    return builder.reading("spo2", "heart_rate")
