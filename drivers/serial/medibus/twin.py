"""Simulated Evita 4: asks who its partner is, answers requests, sends two realtime channels."""

from __future__ import annotations

import math
import random

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.serial.medibus.frames import CR, decode_frame, encode_frame
from gatepost.drivers.serial.medibus.realtime import ENABLE

MIDDLES = {"73": 9.0, "78": 5.0, "7D": 24.0, "82": 0.45, "B9": 6.3, "D6": 14.0, "F0": 40.0, "07": 42.0, "C1": 36.5}
CHANNELS = "00   16000  -10  1003FF" + "01   16000 -200  200FFF"
SAMPLE = 0.016  # seconds
ICC, ID, IDLE = 0x51, 0x52, 0x30


class MedibusTwin:
    """Begins with the request for a connection every three seconds until it is answered; it loses it after ten silent
    ones."""

    interval = 0.25

    def __init__(self, seed: int = 0) -> None:
        self.linked = False
        self.named = ""  # what its partner called itself
        self._rng = random.Random(seed)  # noqa: S311  # a simulation
        self._open = b""
        self._ticks = 0
        self._silent = 0
        self._realtime = False
        self._sample = 0
        self._alarm = False

    def tick(self) -> bytes:
        self._ticks += 1
        self._silent += 1
        if self._silent > 40:
            self.linked = self._realtime = False
        if not self.linked:
            return encode_frame(False, ICC) if self._ticks % 12 == 1 else b""
        return self._samples() if self._realtime else b""

    def hear(self, data: bytes) -> bytes:
        if ENABLE in data:
            self._realtime = self.linked
            data = data.replace(ENABLE, b"")
        *whole, self._open = (self._open + data).split(bytes((CR,)))
        self._open = self._open[-256:]
        return b"".join(self._heard(octets + b"\r") for octets in whole)

    def _heard(self, octets: bytes) -> bytes:
        try:
            frame = decode_frame(octets)
        except FrameError:
            return b""
        self._silent = 0
        if frame.is_response:
            if frame.code == ICC and not self.linked:
                self.linked = True
                return encode_frame(False, ID)
            if frame.code == ID:
                self.named = frame.data.decode("latin-1")
            return b""
        if frame.code == ICC:
            before, self.linked = self.linked, True
            return encode_frame(True, ICC) + (b"" if before else encode_frame(False, ID))
        if not self.linked:
            return b""
        answer = encode_frame(True, frame.code, self._data(frame.code))
        if self._realtime:  # in the middle of a frame, as the device does
            return answer[:3] + self._samples(1) + answer[3:]
        return answer

    def _data(self, code: int) -> bytes:
        match code:
            case 0x24:
                return (
                    "".join(
                        name + f"{middle * self._rng.uniform(0.95, 1.05):4.2f}"[:4].rstrip(".").rjust(4)
                        for name, middle in MIDDLES.items()
                    ).encode("ascii")
                    + b"DB    "
                )
            case 0x29:
                return b"01   4004 0.4509   140B    5"
            case 0x27:
                self._alarm = not self._alarm if self._rng.random() < 0.3 else self._alarm
                return b"810PAW HIGH    " if self._alarm else b""
            case 0x28:
                return b"10:30:0020-NOV-26"
            case 0x52:
                return b"8240'Evita 4'04.20:04.03"
            case 0x53:
                return CHANNELS.encode("ascii")
        return b""

    def _samples(self, count: int = 0) -> bytes:
        """Those of a tick, or so many."""
        out = bytearray()
        for _ in range(count or round(self.interval / SAMPLE)):
            self._sample += 1
            breath = math.sin(self._sample * SAMPLE * 2 * math.pi / 4)
            out.append(0xD3)
            for raw in (int(400 + 300 * breath), int(2048 + 1000 * breath)):
                out += bytes((0x80 | raw & 0x3F, 0x80 | raw >> 6))
        return bytes(out)
