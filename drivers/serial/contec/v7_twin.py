"""Twin of an oximeter of protocol V7."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, datetime
from typing import NamedTuple

from gatepost.drivers.serial.contec import v7_packets as v7
from gatepost.drivers.testing.simulated_finger import SimulatedFinger

PACKETS_PER_TICK = 24  # packets of stored data in one tick: about the speed of the line
KEEP_ALIVE_TIMEOUT = 10.0  # seconds without a keep-alive after which live data stops, as on some units


class StoredSegment(NamedTuple):
    """A stored segment: its start, and SpO2, pulse rate and perhaps PI (in 0.01 %) of each second."""

    start: datetime
    records: list[tuple[int, ...]]

    @property
    def content(self) -> bytes:
        return b"".join(
            bytes(record[:2]) + (record[2].to_bytes(2, "little") if len(record) > 2 else b"") for record in self.records
        )


def a_night(seconds: int = 90, index: bool = True, start: datetime = datetime(2026, 11, 20, 22, 10)) -> StoredSegment:  # noqa: DTZ001  # a device's clock
    """A recording as the twin has one."""
    rest = [(320,)] * seconds if index else [()] * seconds
    return StoredSegment(start, [(90 + i % 9, 60 + i % 20, *more) for i, more in enumerate(rest)])


class Contec7Twin:
    """Sends live data when asked and as long as it is kept alive, answers commands, keeps a clock.

    `now` is in seconds: the host keeps it alive in its own time, however fast the simulation runs.
    """

    interval = 1 / 60

    def __init__(self, seed: int = 0, now: Callable[[], float] = time.monotonic) -> None:
        self.live = False
        self.finger = True
        self.clock_date: tuple[int, ...] | None = None  # century, year, month, day, weekday
        self.clock_time: tuple[int, ...] | None = None
        self.segments = [a_night()]
        self._saying: list[bytes] = []  # packets of a stored segment
        self._person = SimulatedFinger(seed, self.interval)
        self._now = now
        self._heard = now()
        self._rest = b""

    def tick(self) -> bytes:
        if self._saying:
            said, self._saying = b"".join(self._saying[:PACKETS_PER_TICK]), self._saying[PACKETS_PER_TICK:]
            return said
        if not self.live:
            return b""
        if self._now() - self._heard > KEEP_ALIVE_TIMEOUT:
            self.live = False
            return v7.encode_reply(v7.V7Packet(v7.DISCONNECT, b"\1"))
        frame = self._person.sample(self.finger)
        there = frame.pulse_rate is not None
        return v7.encode_live(
            v7.V7LiveData(
                signal_strength=6 if there else 0,
                search_timeout=False,
                spo2_low=False,
                beep=frame.beat,
                probe_error=not there,
                waveform=frame.level,
                searching=False,
                bar=frame.level // 8,
                pi_valid=there,
                pulse_rate=frame.pulse_rate,
                spo2=frame.spo2,
                pi_pct=3.2 if there else None,
            )
        )

    def hear(self, data: bytes) -> bytes:
        self._rest += data
        answer = b""
        while True:
            start = self._rest.find(v7.HOST)
            if start < 0:
                self._rest = b""
                return answer
            packet = self._rest[start : start + v7.LONGEST]
            if len(packet) < v7.LONGEST:
                self._rest = packet
                return answer
            self._rest = self._rest[start + v7.LONGEST :]
            high = packet[1]
            octets = [octet & 0x7F | (high >> i & 1) << 7 for i, octet in enumerate(packet[2:])]
            answer += self._obey(octets[0], octets[1:])

    def _obey(self, command: int, arguments: list[int]) -> bytes:
        self._heard = self._now()
        if command == v7.KEEP_ALIVE:
            return b""
        if command == v7.START_LIVE:
            self.live = True
            return b""
        if command == v7.STOP_LIVE:
            self.live = False
            return _feedback(command)
        if command == v7.DEVICE_ID:
            return v7.encode_reply(v7.V7Packet(v7.IDENTITY, b"SIM0001"))
        if command in (v7.ASK_SEGMENTS, v7.ASK_START, v7.ASK_LENGTH, v7.ASK_STORED):
            return self._stored(command, arguments[0], arguments[1])
        if command == v7.STOP_STORED:
            self._saying = []
            return _feedback(command)
        if command == v7.SET_TIME:
            hour, minute, second = arguments[:3]
            if hour > 23 or minute > 59 or second > 59:
                return _feedback(command, 0xFF)
            self.clock_time = (hour, minute, second)
            return _feedback(command)
        if command == v7.SET_DATE:
            century, year, month, day, weekday = arguments[:5]
            try:
                real = date(century * 100 + year, month, day).isoweekday() % 7 == weekday
            except ValueError:
                real = False
            if not real:
                return _feedback(command, 0xFF)
            self.clock_date = (century, year, month, day, weekday)
            return _feedback(command)
        return _feedback(command, 5)

    def _stored(self, command: int, user: int, number: int) -> bytes:
        """One user, who has `segments`."""
        if command == v7.ASK_SEGMENTS:
            return _say(v7.SEGMENTS, user, len(self.segments) if user == 0 else 0)
        if user or number >= len(self.segments):
            return _feedback(command, 0xFF)
        segment = self.segments[number]
        start, content = segment.start, segment.content
        if command == v7.ASK_START:
            century, year = divmod(start.year, 100)
            date = _say(v7.START_DATE, user, number, century, year, start.month, start.day)
            return date + _say(v7.START_TIME, user, number, start.hour, start.minute, start.second, 0)
        if command == v7.ASK_LENGTH:
            return _say(v7.LENGTH, user, number, *len(content).to_bytes(4, "little"))
        kind, size = (v7.STORED_PI, 4) if len(segment.records[0]) > 2 else (v7.STORED, 6)
        padded = content + bytes(-len(content) % size)
        self._saying = [_say(kind, *padded[i : i + size]) for i in range(0, len(padded), size)]
        return b""


def _say(kind: int, *octets: int) -> bytes:
    return v7.encode_reply(v7.V7Packet(kind, bytes(octets)))


def _feedback(command: int, reason: int = 0) -> bytes:
    return v7.encode_reply(v7.V7Packet(v7.FEEDBACK, bytes((command, reason))))
