"""Driver `and-ua767pc`: A&D UA-767PC blood pressure monitors, and the UA-767PBT by its serial profile."""

from __future__ import annotations

from typing import Any

from gatepost.drivers.checksums import FrameError, sum8
from gatepost.drivers.driver import Driver, SerialSettings, Twin
from gatepost.drivers.reading import BAD, Faults, Reading, Reply, measured
from gatepost.drivers.serial.and_ua767pc.record import (
    DIGITS,
    HEADER,
    HEX,
    PACKET,
    START,
    CuffResult,
    decode_packet,
    decode_result,
)
from gatepost.drivers.serial.and_ua767pc.twin import Ua767Twin

STX = 0x02
LETTERS = 3  # digits in a row that may be part of something else
WAKE = b"\r"  # any octet does
UNITS = {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "mean": "mm[Hg]", "heart_rate": "/min"}
FAILED = tuple(f"{name}:measurement-error" for name in UNITS)


def command(words: bytes) -> bytes:
    """STX, the words, the low octet of their sum."""
    return bytes((STX,)) + words + bytes((sum8(words),))


OPEN, CLOSE = command(b"CPC05"), command(b"CPC04")


class Ua767Decoder:
    """Octets -> results: ten hexadecimal digits in a row. Between results anything else may stand, such as the unit's
    acknowledgement (SOH 70PC ACK), and up to two digits of a sum."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._rest = b""
        self._skipped = False  # what follows may be the end of a result that was skipped with a header

    def feed(self, data: bytes) -> list[Reading | Reply]:
        data = self._rest + data
        out: list[Reading | Reply] = []
        at = run = 0  # where a run of digits began, where we are
        while at < len(data):
            octet = data[at]
            if octet in HEX:
                at += 1
                if at - run == DIGITS:
                    out.append(reading(decode_result(data[run:at])))
                    run = at
                continue
            self._broken(at - run)
            run = at
            if octet == STX:
                head = data[at : at + PACKET]
                if head.startswith(START) or START.startswith(head):
                    if len(head) < PACKET:
                        break
                    at = run = at + (PACKET if self._packet(head, out) else HEADER)
                    continue
            at += 1
            run = at
        self._rest = data[run:]
        return out

    def _broken(self, digits: int) -> None:
        if digits > LETTERS and not self._skipped:
            self.faults.add("truncated", "a result is not of ten digits")
        self._skipped = self._skipped and not digits

    def _packet(self, octets: bytes, out: list[Reading | Reply]) -> bool:
        try:
            packet = decode_packet(octets)
        except FrameError as wrong:
            self.faults.add(wrong.kind, "a packet without a result in it")
            self._skipped = True
            return False
        out.append(Reply("device", {"serial_number": packet.serial_number}))
        found = reading(packet.result)
        found.device_time = packet.measured
        out.append(found)
        return True


def reading(result: CuffResult) -> Reading:
    """Nothing but the numbers of a valid result; a number that is 0 was not measured."""
    if not result.valid:
        return Reading("blood_pressure", {}, {}, (*FAILED, f"status-{result.status:02x}"), BAD)
    pressures = (result.systolic, result.diastolic) if result.diastolic else (None, None)
    told = zip(UNITS, (*pressures, result.map, result.pulse_rate), strict=True)
    return measured("blood_pressure", {name: value or None for name, value in told}, UNITS, "no-value")


class AndUa767pc(Driver):
    """Listens in remote mode: a measurement is told when it ends. Nothing on the monitor is changed."""

    name = "and-ua767pc"
    title = "A&D UA-767PC blood pressure monitor"
    line = SerialSettings(9600, 8, "N", 2)
    metrics = ("blood_pressure",)
    streams = False
    source = "A&D UA-767PC and UA-767PBT communication specifications, data section"

    def decoder(self) -> Ua767Decoder:
        return Ua767Decoder()

    def on_open_bytes(self) -> tuple[bytes, ...]:
        return (WAKE, OPEN)

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (CLOSE,)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return Ua767Twin(seed)
