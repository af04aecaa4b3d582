"""Driver `contec-cms50d-plus`: Contec oximeters that send five octets sixty times a second (older CMS50D+ and CMS50E).

What the device has stored is fetched when the option `records` or the command `read_stored` says so. The recording has
no time of its own.
"""

from __future__ import annotations

import asyncio
import random
import re
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.driver import (
    Command,
    CommandFailed,
    DeviceIO,
    Driver,
    ForbiddenWrite,
    NoParameters,
    SerialSettings,
    Twin,
)
from gatepost.drivers.reading import UNCERTAIN, Faults, Reading, Reply, measured
from gatepost.drivers.serial.common.frame_sync import FrameTrust
from gatepost.drivers.serial.contec.records import FRAME_RATE, PLETH, ContecDownload
from gatepost.drivers.serial.contec.retry import ConversationRetry
from gatepost.drivers.serial.contec.v5_download import UNITS, StoredSplitter, fetch
from gatepost.drivers.serial.contec.v5_frames import LiveFrames, V5LiveData
from gatepost.drivers.serial.contec.v5_twin import Contec5Twin
from gatepost.drivers.waveforms import WaveformBlocks


class Contec5Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent beside the numbers."""

    waveform: Annotated[bool, Meta(description="send the plethysmogram too, a block of 60 samples each second")] = False
    records: Annotated[bool, Meta(description="fetch what the device has stored each time the port is opened")] = False


class Contec5Decoder:
    """Frames -> readings of metric pulse_oximetry, after two consistent frames. A stored recording that is asked for
    goes to `download`; `feed(b"")` gives a batch of its records."""

    def __init__(self, options: Contec5Options, download: ContecDownload | None = None) -> None:
        self.faults = Faults()
        self._download = download or ContecDownload()
        self._stored = StoredSplitter(self._download)
        self._frames = LiveFrames(self.faults)
        self._trust = FrameTrust(8, 4)  # 1/min and %: what may change within 1/60 s
        self._pleth = WaveformBlocks("pulse_oximetry", FRAME_RATE, PLETH) if options.waveform else None

    def feed(self, data: bytes) -> list[Reading | Reply]:
        if not data:
            return self._download.drain()
        out: list[Reading | Reply] = []
        for live in self._stored.split(data):
            self._live(live, out)
        if self._stored.heard:
            out.append(self._download.state())
        return out

    def _live(self, data: bytes, out: list[Reading | Reply]) -> None:
        for frame in self._frames.feed(data):
            if frame is None:
                self._trust.lose()
                if self._pleth:
                    out += self._pleth.gap()
            elif self._trust.judge(frame.pulse_rate, frame.spo2):
                out.append(reading(frame))
                if self._pleth:
                    out += self._pleth.add((frame.waveform,))


def reading(frame: V5LiveData) -> Reading:
    """What one frame says about the person."""
    if frame.spo2 and frame.pulse_rate and not (frame.search_timeout or frame.searching or frame.probe_error):
        values = {"spo2": frame.spo2, "heart_rate": frame.pulse_rate}
        return Reading("pulse_oximetry", values, UNITS, ("spo2-falling",) if frame.spo2_drop else ())
    if frame.search_timeout:
        why = "no-finger"
    elif frame.probe_error:
        why = "sensor-fault"
    else:
        why = "searching" if frame.searching else "no-signal"
    found = measured("pulse_oximetry", {"spo2": frame.spo2, "heart_rate": frame.pulse_rate}, UNITS, why)
    if found.values:
        found.quality = UNCERTAIN
        found.flags = found.flags or (why,)
    return found


class ContecCms50dPlus(Driver):
    """Contec five-octet protocol, live and stored."""

    name = "contec-cms50d-plus"
    title = "Contec CMS50D+ and CMS50E (older firmware), live data of five octets, stored records"
    line = SerialSettings(19200, 8, "O", 1)
    metrics = ("pulse_oximetry",)
    default_interval = 1.0
    aggregation = "median"
    silence = 15.0
    keeps_records = True
    values = ("spo2", "heart_rate", "sequence_number")
    options_type = Contec5Options
    example_options: ClassVar[dict[str, Any]] = {"waveform": False}
    forbidden = (ForbiddenWrite("command", re.compile(rb"[^\xf5\xf6]")),)  # it is only asked for what it has stored
    commands = (Command("read_stored", "Fetch the stored records that are not here yet", NoParameters, 1800.0),)
    source = "public decoders of the CMS50D+ (atbrask/CMS50Dplus)"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._retry = ConversationRetry(random.Random())  # noqa: S311  # a pause
        self._download = ContecDownload()
        self._reading = asyncio.Lock()

    def decoder(self) -> Contec5Decoder:
        self._download = ContecDownload()
        return Contec5Decoder(self.options, self._download)

    async def run_session(self, io: DeviceIO) -> None:
        """Fetch the stored records once; tried again while the session lasts when the device could not give them."""
        if self.options.records:
            await self._retry.until_done(io, lambda: self._read_stored(io))

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command != "read_stored":
            return await super().execute(command, parameters, io)
        if self._reading.locked():
            raise CommandFailed("busy", "the device is giving its stored records")
        return {"new_records": await self._read_stored(io)}

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return Contec5Twin(seed)

    async def _read_stored(self, io: DeviceIO) -> int:
        async with self._reading:
            return await fetch(io, self._download, self.bookmarks)
