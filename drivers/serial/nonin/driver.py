"""Driver `nonin`: Nonin oximeters and modules with the binary data formats 1, 2, 7, 8 and 13 (OEM III, Xpod, 9560,
WristOx2 specifications)."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, SerialSettings, Twin, WrongDevice
from gatepost.drivers.options import DriverOptions, OptionProblem
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.common.status_updates import follow
from gatepost.drivers.serial.nonin.decoder import NoninDecoder
from gatepost.drivers.serial.nonin.twin import NoninTwin

FORMATS = Literal["auto", 1, 2, 7, 8, 13]
ANSWER_TIMEOUT = 1.0  # seconds
SELECT_TRIES = 3


class NoninOptions(DriverOptions, frozen=True, forbid_unknown_fields=True):
    """What the oximeter sends, and what is sent on."""

    format: Annotated[
        FORMATS,
        Meta(description="data format: auto tells 2, 7 and 13 by their checksums; 1 and 8 have none and must be set"),
    ] = "auto"
    select: Annotated[
        bool, Meta(description="tell the oximeter to use `format`; not all can (an Xpod has its own fixed)")
    ] = False
    waveform: Annotated[
        bool, Meta(description="send the plethysmogram too, 75 samples a second; only formats 2 and 7 have one")
    ] = False

    def problems(self) -> list[OptionProblem]:
        found = []
        if self.select and self.format == "auto":
            found.append(
                OptionProblem(
                    "nothing to select: `format` is auto", ("select",), ("format",), "set `format` to 1, 2, 7, 8 or 13"
                )
            )
        if self.waveform and self.format in (1, 8, 13):
            found.append(
                OptionProblem(
                    f"data format {self.format} has no waveform", ("waveform",), ("format",), "set `format` to 2 or 7",
                    warning=True,
                )
            )  # fmt: skip
        return found


class Nonin(Driver):
    """Nonin data formats. The clock and the memory of an oximeter are left alone."""

    name = "nonin"
    title = "Nonin oximeters and modules, data formats 1, 2, 7, 8 and 13"
    line = SerialSettings(9600)
    metrics = ("pulse_oximetry",)
    values = ("spo2", "heart_rate")
    default_interval = 1.0
    silence: float | None = 15.0
    keeps_records = True
    options_type = NoninOptions
    example_options: ClassVar[dict[str, Any]] = {"format": 2, "waveform": False}
    forbidden = (
        ForbiddenWrite("erase", re.compile(rb"MCL", re.IGNORECASE)),  # WristOx2: clear the memory
        ForbiddenWrite("command", re.compile(rb"\A(?!\x02\x70\x02\x02[\x01\x02\x07\x08\x0d]\x03\Z)")),  # but a format
    )
    source = "Nonin OEM III, Xpod, 9560 and WristOx2 3150 OEM specifications"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        if self.options.format == 13:  # speaks when a finger was measured
            self.streams, self.silence = False, None

    def decoder(self) -> NoninDecoder:
        number = None if self.options.format == "auto" else self.options.format
        return NoninDecoder(number, self.options.waveform, self.options.select, self.bookmarks)

    async def run_session(self, io: DeviceIO) -> None:
        """Choose the format; then tell of the battery. WrongDevice when the oximeter refuses."""
        if self.options.select:
            await self._select(io)
        await follow(io)

    async def _select(self, io: DeviceIO) -> None:
        """Until it agrees, or readings of this format come anyway. The octet of a refusal can also be part of other
        data: it counts when every question was answered so."""
        number = self.options.format
        refusals: set[int] = set()
        for attempt in range(SELECT_TRIES):

            def agreed(item: Reading | Reply, attempt: int = attempt) -> bool | None:
                if isinstance(item, Reply) and item.kind == "refuse":
                    refusals.add(attempt)
                return True if isinstance(item, Reading) or item.kind == "acknowledge" else None

            await io.send(bytes((0x02, 0x70, 0x02, 0x02, number, 0x03)))
            try:
                await io.wait(agreed, ANSWER_TIMEOUT)
            except TimeoutError:
                continue
            return
        if len(refusals) == SELECT_TRIES:
            raise WrongDevice(f"this oximeter refuses data format {number}; leave `select` out and set it as it is")
        io.update_status(data_format="not-selected")  # it does not answer: what it sends decides

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        number = getattr(options, "format", 2)
        return NoninTwin(seed, number if isinstance(number, int) else 2)
