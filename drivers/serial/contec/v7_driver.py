"""Driver `contec-cms50-v7`: Contec oximeters of protocol V7 (newer CMS50D+, CMS50E, F, FW, I).

Live data comes while the host keeps asking; some units stop without the keep-alive. What the device has stored is
fetched when the option `records` or the command `read_stored` says so, while live data rests.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta

from gatepost.drivers.driver import (
    Command,
    CommandFailed,
    DeviceIO,
    Driver,
    ForbiddenWrite,
    KeepAlive,
    NoParameters,
    ScanHints,
    ScanProbe,
    SerialSettings,
    SyncTime,
    Twin,
)
from gatepost.drivers.serial.contec import v7_packets as v7
from gatepost.drivers.serial.contec import v7_queries as talking
from gatepost.drivers.serial.contec.records import ContecDownload
from gatepost.drivers.serial.contec.retry import ConversationRetry
from gatepost.drivers.serial.contec.v7_decoder import METRIC, Contec7Decoder
from gatepost.drivers.serial.contec.v7_download import FetchedRecords, fetch
from gatepost.drivers.serial.contec.v7_twin import Contec7Twin

T = TypeVar("T")
Now = Callable[[], datetime]


class Contec7Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent beside the numbers."""

    waveform: Annotated[bool, Meta(description="send the plethysmogram too, a block of 60 samples each second")] = False
    records: Annotated[bool, Meta(description="fetch what the device has stored each time the port is opened")] = False
    users: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=255)], ...],
        Meta(min_length=1, description="the users whose stored records are fetched; most devices have only user 0"),
    ] = (0,)


class ContecCms50V7(Driver):
    """Contec protocol V7."""

    name = "contec-cms50-v7"
    title = "Contec CMS50D+ (newer firmware), CMS50E, F, FW, I: protocol V7, live data, perfusion index, stored records"
    line = SerialSettings(115200)
    metrics = (METRIC,)
    values = ("spo2", "heart_rate", "perfusion_index", "sequence_number")
    default_interval = 1.0
    aggregation = "median"
    silence: float | None = 15.0
    keeps_records = True
    options_type = Contec7Options
    example_options: ClassVar[dict[str, Any]] = {"waveform": False, "records": True}
    keep_alive = KeepAlive(v7.encode_packet(v7.KEEP_ALIVE), 5.0)
    source = "Communication protocol of pulse oximeter V7.0"
    scan_hints = ScanHints(identifying_replies=("identity",), probes=(ScanProbe(v7.encode_packet(v7.DEVICE_ID)),))
    forbidden = (
        ForbiddenWrite("erase", re.compile(rb"\x7d[\x80-\xff]\xae")),
        # Anything but the questions of the paper, the keep-alive and the clock; other packets set the identity.
        ForbiddenWrite("command", re.compile(rb"\A(?!(?:\x7d[\x80-\xff][\xa1-\xad\xaf-\xb2\xb6][\x80-\xff]{6})+\Z)")),
    )
    commands = (
        Command("start_live", "Start live data", NoParameters, 5.0),
        Command("stop_live", "Stop live data", NoParameters, 5.0),
        Command("device_id", "Ask for the device's identity", NoParameters, 10.0),
        Command("sync_time", "Set the device's clock", SyncTime, 10.0, {"time": "2026-11-20T10:30:00"}),
        Command("read_stored", "Fetch the stored records that are not here yet", NoParameters, 900.0),
    )

    def __init__(self, options: Any = None, now: Now | None = None) -> None:
        super().__init__(options)
        self._now = now or _local_now
        self._retry = ConversationRetry(random.Random())  # noqa: S311  # a pause
        self._live = True
        self._download = ContecDownload()
        self._talking = asyncio.Lock()

    def decoder(self) -> Contec7Decoder:
        self._download = ContecDownload()
        return Contec7Decoder(self.options.waveform, self._download)

    def on_open_bytes(self) -> tuple[bytes, ...]:
        stop, start = v7.encode_packet(v7.STOP_LIVE), v7.encode_packet(v7.START_LIVE)
        return (stop, start) if self._live else (stop,)

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (v7.encode_packet(v7.STOP_LIVE),)

    async def run_session(self, io: DeviceIO) -> None:
        """Fetch the stored records once; tried again while the session lasts when the device could not give them."""
        if self.options.records:
            await self._retry.until_done(io, lambda: self._read_stored(io))

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if self._talking.locked():
            raise CommandFailed("busy", "the device is giving its stored records or carries out another command")
        if command == "start_live":
            async with self._talking:
                await talking.start_live(io)
            self._live = True
            self.silence = type(self).silence
            return {"live": True}
        if command == "stop_live":
            async with self._talking:
                await talking.order(io, v7.STOP_LIVE)
            self._live = False
            self.silence = None  # now it is meant to be silent
            return {"live": False}
        if command == "device_id":
            return await self._quietly(io, talking.identity)
        if command == "sync_time":
            assert isinstance(parameters, SyncTime)
            moment = parameters.time or self._now()
            return await self._quietly(io, lambda io: talking.set_clock(io, moment))
        if command == "read_stored":
            fetched = await self._read_stored(io)
            return {"recordings": fetched.recordings, "new_records": fetched.records}
        return await super().execute(command, parameters, io)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return Contec7Twin(seed)

    async def _read_stored(self, io: DeviceIO) -> FetchedRecords:
        return await self._quietly(io, lambda io: fetch(io, self._download, self.bookmarks, self.options.users))

    async def _quietly(self, io: DeviceIO, work: Callable[[DeviceIO], Awaitable[T]]) -> T:
        """Do `work` while live data rests: by the paper the two must not overlap."""
        async with self._talking:
            try:
                with contextlib.suppress(TimeoutError):  # a unit that was silent already need not answer
                    await talking.order(io, v7.STOP_LIVE)
                return await work(io)
            finally:
                if self._live:
                    await io.send(v7.encode_packet(v7.START_LIVE))


def _local_now() -> datetime:  # a device's clock shows local time
    return datetime.now().astimezone()
