"""Contec protocol V7: what a device says of its stored segments (official protocol paper V7.0, and captures).

A record is SpO2 and pulse rate, with a device that measures it also the perfusion index (low octet first); one a
second. Type 0F carries three records without it, type 09 one with it. The length of a segment is in octets; the last
packet is filled up.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from gatepost.drivers.reading import FROM_MEMORY, UNCERTAIN, Reading, measured, wall_time
from gatepost.drivers.serial.contec.v7_packets import SEGMENTS, START_DATE, START_TIME, STORED, STORED_PI

RECORD = {STORED: 2, STORED_PI: 4}  # octets of a record
NO_SPO2, NO_RATE, NO_INDEX = (0, 0x7F), (0, 0xFF), 0xFFFF
UNITS = {"spo2": "%", "heart_rate": "/min", "perfusion_index": "%"}


def describe(kind: int, data: bytes) -> dict[str, Any] | None:
    """The fields of a packet about stored segments; None for a packet about something else."""
    if kind == START_DATE:
        user, segment, century, year, month, day = data
        return {"user": user, "segment": segment, "year": century * 100 + year, "month": month, "day": day}
    if kind == START_TIME:
        user, segment, hour, minute, second = data[:5]
        return {"user": user, "segment": segment, "hour": hour, "minute": minute, "second": second}
    if kind == SEGMENTS:
        return {"user": data[0], "segments": data[1]}
    size = RECORD.get(kind)
    if size is not None:
        return {"records": [decode_record(data[i : i + size]) for i in range(0, len(data), size)]}
    return None


def decode_record(data: bytes) -> dict[str, Any]:
    """One record of two or four octets; None = the device had no value."""
    record: dict[str, Any] = {
        "spo2": None if data[0] in NO_SPO2 else data[0],
        "pulse_rate": None if data[1] in NO_RATE else data[1],
    }
    if len(data) == RECORD[STORED_PI]:
        index = data[2] | data[3] << 8
        record["pi_pct"] = None if index == NO_INDEX else index / 100
    return record


def start_of(date: dict[str, Any], time: dict[str, Any]) -> datetime | None:
    """When a segment began by the device's clock; None when that is no date."""
    parts = (date[name] for name in ("year", "month", "day"))
    return wall_time((*parts, *(time[name] for name in ("hour", "minute", "second"))))


def record_reading(number: int, data: bytes, start: datetime | None) -> Reading:
    """A stored record as a reading; without a start its number in the segment stands for its time."""
    record = decode_record(data)
    reading = oximetry(record["spo2"], record["pulse_rate"], record.get("pi_pct"))
    reading.flags = (FROM_MEMORY, *reading.flags)
    if start is None:
        reading.values["sequence_number"] = number
        reading.flags = (*reading.flags, "device_time:not-set")
    else:
        reading.device_time = (start + timedelta(seconds=number)).isoformat()
    return reading


def oximetry(spo2: int | None, pulse_rate: int | None, pi_pct: float | None, why: str = "no-signal") -> Reading:
    """A perfusion index alone says nothing."""
    reading = measured("pulse_oximetry", {"spo2": spo2, "heart_rate": pulse_rate}, UNITS, why, partial=UNCERTAIN)
    if reading.values and pi_pct is not None:
        reading.values["perfusion_index"], reading.units["perfusion_index"] = pi_pct, UNITS["perfusion_index"]
    return reading
