"""Twin of an oximeter that prints lines, in any of the three forms."""

from __future__ import annotations

from datetime import datetime, timedelta

from gatepost.drivers.testing.simulated_finger import SimulatedFinger

HEADINGS = {
    "nonin": "NONIN MEDICAL INC.\r\n20-NOV-26 08:15:00\r\n",
    "nellcor": "N-595 VERSION 1.0.0.0 CRC:ABCD SpO2 Limit: 85-100% PR Limit: 40-170BPM\r\n"
    "TIME                %SPO2  BPM   PA    Status\r\n",
    "masimo": "",
}
HEADING_EVERY = 25  # lines


class OximeterAsciiTwin:
    """A finger in an oximeter, a line a second, headings as the device prints them."""

    interval = 1.0

    def __init__(self, seed: int = 0, dialect: str = "nonin") -> None:
        self.dialect = dialect
        self.finger = True
        self.clock = datetime(2026, 11, 20, 8, 15)  # noqa: DTZ001  # a device's clock
        self._lines = 0
        self._person = SimulatedFinger(seed, 1.0)

    def tick(self) -> bytes:
        self.clock += timedelta(seconds=1)
        frame = self._person.sample(self.finger)
        heading = HEADINGS[self.dialect] if self._lines % HEADING_EVERY == 0 else ""
        if self.dialect == "nonin" and self._lines:
            heading = ""
        self._lines += 1
        return f"{heading}{self._line(frame.spo2, frame.pulse_rate)}\r\n".encode("ascii")

    def _line(self, spo2: int | None, rate: int | None) -> str:
        saturation, pulse = (f"{value:03}" if value is not None else "---" for value in (spo2, rate))
        if self.dialect == "nonin":
            return f"SPO2={saturation} HR={pulse}"
        if self.dialect == "masimo":
            index, exceptions = ("2.55", "000000") if self.finger else ("--.--", "000020")
            return (
                f"{self.clock:%m/%d/%y %H:%M:%S} SN=0000093112 SPO2={saturation}% BPM={pulse} PI={index}% SPCO=--.-% "
                f"SPMET=--.-% DESAT=-- PIDELTA=+-- PVI=--- ALARM=0000 EXC={exceptions}"
            )
        month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[
            self.clock.month - 1
        ]
        moment = f"{self.clock.day:02}-{month}-{self.clock:%y %H:%M:%S}"
        if not self.finger:
            return f"{moment}  ---   ---    ---  SO"
        return f"{moment}  {spo2:3}   {rate:3}    55"

    def hear(self, data: bytes) -> bytes:
        return b""
