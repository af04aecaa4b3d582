"""Driver `pb840`: Puritan Bennett 840 and 980 ventilators; asks for reports, and for nothing else."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, SerialSettings, Twin
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.pb840.decoder import Pb840Decoder
from gatepost.drivers.serial.pb840.twin import Pb840Twin

REQUESTS = {"full": b"SNDF\r", "short": b"SNDA\r"}
ANSWER_TIMEOUT = 3.0  # seconds; a full report at 9600 baud takes 1.3
ATTEMPTS = 3


class Pb840Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for, and how often."""

    report: Annotated[
        Literal["full", "short"], Meta(description="full: 840 and 980; short: what older ones and the V200 have")
    ] = "full"
    poll: Annotated[float, Meta(ge=2, le=60, description="seconds between two requests")] = 3.0
    settings: Annotated[bool, Meta(description="report what the ventilator is set to, too")] = True


class Pb840(Driver):
    """Puritan Bennett 840 or 980 on its serial port; it is never told anything but to report."""

    name = "pb840"
    title = "Puritan Bennett 840 and 980 ventilators"
    line = SerialSettings(9600, 8, "N", 1)
    metrics = ("ventilation", "ventilator_settings", "device_alarm")
    silence = 15.0
    options_type = Pb840Options
    example_options: ClassVar[dict[str, Any]] = {"report": "full"}
    forbidden = (ForbiddenWrite("command", re.compile(rb"\A(?!SND[AF]\r\Z)")),)
    source = "Operator's and technical reference manual of the 800 series, appendix E; of the 980, serial commands"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.silence = max(15.0, 3 * self.options.poll)

    def decoder(self) -> Pb840Decoder:
        return Pb840Decoder(self.options.settings)

    async def run_session(self, io: DeviceIO) -> None:
        request = REQUESTS[self.options.report]
        missed, known = 0, ""
        while True:
            await io.send(request)
            try:
                serial = await io.wait(_report, ANSWER_TIMEOUT)
            except TimeoutError:
                missed += 1
                if missed >= ATTEMPTS:
                    raise
                continue
            missed = 0
            if serial != known:
                known = serial
                io.update_status(serial_number=serial)
            await asyncio.sleep(self.options.poll)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return Pb840Twin(seed)


def _report(item: Reading | Reply) -> str | None:
    return str(item.fields["serial_number"]) if isinstance(item, Reply) and item.kind == "report" else None
