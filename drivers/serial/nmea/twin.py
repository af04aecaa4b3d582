"""Twin of a weather station with a GPS receiver."""

from __future__ import annotations

import random

from gatepost.drivers.serial.nmea.sentence import encode_sentence


class NmeaTwin:
    """A round of sentences each tick; the weather wanders, the ship lies still."""

    interval = 1.0

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._level = 0.0
        self._seconds = 8 * 3600

    def tick(self) -> bytes:
        self._level = min(5.0, max(-5.0, self._level + self._random.uniform(-0.2, 0.2)))
        self._seconds = (self._seconds + 1) % 86400
        time = f"{self._seconds // 3600:02d}{self._seconds // 60 % 60:02d}{self._seconds % 60:02d}"
        place = ("5331.3370", "N", "00958.9000", "E")
        wind = round(5 + self._level / 2, 1)
        return b"".join(
            (
                encode_sentence("GPGGA", time, *place, 1, "08", 0.9, 5.4, "M", 46.9, "M", "", ""),
                encode_sentence("GPRMC", time, "A", *place, 0.1, 0.0, "050126", "", ""),
                encode_sentence("WIMWV", 214.8, "R", wind, "M", "A"),
                encode_sentence("YXMTW", round(12 + self._level, 1), "C"),
                encode_sentence("WIXDR", "C", round(18 + self._level, 1), "C", "TEMPAIR", "P", 1.013, "B", "BARO"),
                encode_sentence("GPGSV", 1, 1, "00"),
            )
        )

    def hear(self, data: bytes) -> bytes:
        return b""
