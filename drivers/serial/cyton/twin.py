"""Twin of an OpenBCI Cyton behind its dongle."""

from __future__ import annotations

import random

from gatepost.drivers.serial.cyton.packets import CHANNELS, encode_packet
from gatepost.drivers.testing.ecg_beat import heart_beat

RATE = 250  # packets a second
EACH = 10  # packets a tick
BANNER = (
    "OpenBCI V3 8-16 channel\r\nOn Board ADS1299 Device ID: 0x3E\r\n{daisy}"
    "LIS3DH Device ID: 0x33\r\nFirmware: v3.1.2\r\n$$$"
)
DAISY = "On Daisy ADS1299 Device ID: 0x3E\r\n"
REGISTERS = b"Board ADS Registers\r\nADS_ID, 00, 3E, 0, 0, 1, 1, 1, 1, 1, 0\r\n$$$"
FAILURE = b"Failure: Communications timeout - Device failed to poll Host$$$"


class CytonTwin:
    """Silent until `b`; then 250 packets a second with a heart beat on every channel and acceleration at 25 Hz.

    `drop` packets are lost by the radio before the next one; without `board` only the dongle is there.
    """

    def __init__(self, seed: int = 0, daisy: bool = False) -> None:
        self.interval = EACH / RATE
        self.streaming = False
        self.board = True
        self.drop = 0
        self.heard: list[bytes] = []
        self._banner = BANNER.format(daisy=DAISY if daisy else "").encode()
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._sample = 0
        self._phase = 0.0

    def tick(self) -> bytes:
        if not (self.streaming and self.board):
            return b""
        packets = []
        for _ in range(EACH):
            self._phase = (self._phase + 72 / 60 / RATE) % 1.0
            packet = self._packet()
            if self.drop:
                self.drop -= 1
            else:
                packets.append(packet)
        return b"".join(packets)

    def hear(self, data: bytes) -> bytes:
        answer = b""
        for octet in data:
            word = bytes((octet,))
            self.heard = [*self.heard[-99:], word]
            if word == b"v":
                self.streaming = False
                answer += self._banner if self.board else FAILURE
            elif word in (b"b", b"s") and self.board:
                self.streaming = word == b"b"
                self._sample = 0
            elif word == b"?":
                answer += REGISTERS if self.board else FAILURE
        return answer

    def _packet(self) -> bytes:
        self._sample = (self._sample + 1) & 0xFF
        level = heart_beat(self._phase) * 1000  # uV
        noise = self._random.gauss
        counts = tuple(round((level / (channel + 1) + noise(0, 2)) / 0.02235) for channel in range(CHANNELS))
        moved = (0, 0, 0)
        if self._sample % 10 == 0:
            moved = (round(noise(0, 20)), round(noise(0, 20)), 8000 + round(noise(0, 20)))
        return encode_packet(self._sample, counts, moved)
