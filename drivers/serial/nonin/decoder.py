"""Nonin: octets -> readings, waveform blocks and replies."""

from __future__ import annotations

from typing import Any

from gatepost.drivers.reading import FROM_MEMORY, UNCERTAIN, Faults, Reading, Reply, measured
from gatepost.drivers.serial.common.frame_sync import FrameTrust
from gatepost.drivers.serial.common.status_updates import StatusUpdates
from gatepost.drivers.serial.nonin import formats as nonin
from gatepost.drivers.serial.nonin.format_detector import FormatDetector
from gatepost.drivers.serial.nonin.stream import (
    ACKNOWLEDGE,
    NoninFrameReader,
    NoninPacketReader,
    NumbersReader,
    SpotReader,
)
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

METRIC = "pulse_oximetry"
UNITS = {"spo2": "%", "heart_rate": "/min"}
PLETH_RATE = 75.0  # Hz
SPOT_BOOKMARK = "spot-checks"
REMEMBERED = 64  # spot checks; an oximeter keeps about twenty

Item = Reading | Reply


class NoninDecoder:
    """Readings of metric pulse_oximetry. Formats without a checksum need two consistent frames; a spot check that is
    stored already (`bookmarks`) is not given again."""

    def __init__(
        self, number: int | None, waveform: bool = False, select: bool = False, bookmarks: dict[str, Any] | None = None
    ) -> None:
        self.faults = Faults()
        self._number = number
        self._detector = FormatDetector(self.faults) if number is None else None
        self._reader: NoninFrameReader | NumbersReader | SpotReader | None = None
        self._packets = NoninPacketReader(self.faults)
        self._trust = FrameTrust(25, 6)  # 1/min and %: what may change within a second
        self._pleth = WaveformBlocks(METRIC, PLETH_RATE, [WaveformChannel("pleth", "{raw}")]) if waveform else None
        self._select = select
        self._news = StatusUpdates()
        known = (bookmarks or {}).get(SPOT_BOOKMARK)
        self._spots = [spot for spot in known if isinstance(spot, str)] if isinstance(known, list) else []
        if number is not None:
            self._reader = self._reader_of(number)

    def _reader_of(self, number: int) -> NoninFrameReader | NumbersReader | SpotReader:
        if number in (2, 7):
            return NoninFrameReader(self.faults, wide=number == 7)
        return SpotReader(self.faults) if number == 13 else NumbersReader(self.faults, 3 if number == 1 else 4)

    def feed(self, data: bytes) -> list[Item]:
        if self._detector is not None:
            rest = self._detector.feed(data)
            if self._detector.format is None:
                return []
            data = bytes(self._detector.seen) + rest
            self._reader = self._reader_of(self._detector.format)
            self._detector = None
        assert self._reader is not None
        out: list[Item] = []
        for item in self._reader.feed(data):
            match item:
                case nonin.NoninFrame():
                    self._frame(item, out)
                case nonin.NoninNumbers():
                    self._numbers(item, out)
                case nonin.SpotCheck():
                    self._spot(item, out)
                case None:
                    self._lost(out)
                case _:
                    if self._select:
                        out.append(Reply("acknowledge" if item == ACKNOWLEDGE else "refuse", {}))
        return out

    def _lost(self, out: list[Item]) -> None:
        self._trust.lose()
        self._packets.add(None)
        if self._pleth is not None:
            out += self._pleth.gap()

    def _frame(self, frame: nonin.NoninFrame, out: list[Item]) -> None:
        packet = self._packets.add(frame)
        if self._pleth is not None:
            out += self._pleth.add((frame.pleth,))
        if packet is not None:
            out += self._news.learn(battery_low=packet.low_battery)
            out.append(packet_reading(packet))

    def _numbers(self, frame: nonin.NoninNumbers, out: list[Item]) -> None:
        if self._trust.judge(frame.pulse_rate, frame.spo2):
            out += self._news.learn(battery_low=frame.low_battery)
            out.append(numbers_reading(frame))

    def _spot(self, spot: nonin.SpotCheck, out: list[Item]) -> None:
        out += self._news.learn(battery_low=spot.low_battery)
        identity = f"{spot.time}.{spot.hundredths} {spot.pulse_rate} {spot.spo2}"
        reading = spot_reading(spot)
        if identity in self._spots and (reading.device_time is not None or spot.from_memory):
            return
        self._spots = [*self._spots[1 - REMEMBERED :], identity]
        if spot.from_memory:
            reading.bookmark = (SPOT_BOOKMARK, self._spots)
        out.append(reading)


def packet_reading(packet: nonin.NoninPacket) -> Reading:
    """The four-beat averages of a packet of format 2 or 7."""
    remarks = _remarks(packet.artifact, packet.perfusion == "red", packet.perfusion == "yellow")
    why = _why(packet.sensor_disconnected, packet.sensor_fault, packet.out_of_track)
    return _reading(packet.spo2, packet.pulse_rate, why, remarks, packet.smartpoint, packet.low_battery)


def numbers_reading(frame: nonin.NoninNumbers) -> Reading:
    """One frame of format 1 or 8."""
    remarks = _remarks(frame.artifact, frame.low_perfusion, frame.marginal_perfusion)
    why = _why(frame.sensor_disconnected, bool(frame.sensor_fault), frame.out_of_track)
    return _reading(frame.spo2, frame.pulse_rate, why, remarks, bool(frame.smartpoint), bool(frame.low_battery))


def spot_reading(spot: nonin.SpotCheck) -> Reading:
    """A spot check. Without a measurement its numbers mean nothing."""
    spo2, pulse_rate = (None, None) if spot.no_measurement else (spot.spo2, spot.pulse_rate)
    why = "no-measurement" if spot.no_measurement else ""
    reading = _reading(spo2, pulse_rate, why, [], spot.smartpoint, spot.low_battery)
    reading.device_time = spot.device_time
    if spot.from_memory:
        reading.flags = (FROM_MEMORY, *reading.flags)
    if reading.device_time is None:
        reading.flags = (*reading.flags, "device_time:not-set")
    return reading


def _remarks(artifact: bool, low: bool, marginal: bool) -> list[str]:
    perfusion = ["low-perfusion"] if low else ["marginal-perfusion"] if marginal else []
    return (["artifact"] if artifact else []) + perfusion


def _why(disconnected: bool, fault: bool, out_of_track: bool) -> str:
    if disconnected:
        return "no-sensor"
    return "sensor-fault" if fault else "out-of-track" if out_of_track else ""


def _reading(
    spo2: int | None, pulse_rate: int | None, why: str, remarks: list[str], smartpoint: bool, low: bool
) -> Reading:
    """Values, why one is missing, what the oximeter doubts. `low-perfusion` and the like make values uncertain."""
    values = {"spo2": spo2, "heart_rate": pulse_rate}
    found = measured(METRIC, values, UNITS, why or "no-signal", partial=UNCERTAIN)
    flags = [why] if why and found.values else []
    flags += remarks
    flags += (word for word, told in (("smartpoint", smartpoint), ("low-battery", low)) if told)
    found.flags = (*found.flags, *flags)
    if found.values and (why or "artifact" in remarks or "low-perfusion" in remarks):
        found.quality = UNCERTAIN
    return found
