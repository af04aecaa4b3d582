"""Drivers `astm-glucose` and `astm-analyser`: glucose meters and analysers that send by ASTM E1381 and E1394."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.asking import any_reply
from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, ScanHints, SerialSettings, Twin
from gatepost.drivers.options import ValueName
from gatepost.drivers.serial.astm.analyser import AnalyserDecoder
from gatepost.drivers.serial.astm.decoder import AstmDecoder
from gatepost.drivers.serial.astm.frames import EOT
from gatepost.drivers.serial.astm.twin import AnalyserTwin, AstmTwin

TRANSFER_TIMEOUT = 30.0  # seconds without a word from the sender after which a transfer is over (E1381, 6.5.2)
STORE_TIMEOUT = 12.0  # seconds for the disk; the sender gives up after 15


class AstmOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes the device speak."""

    wake: Annotated[
        Literal["none", "eot"],
        Meta(description="none: it sends by itself; eot: it wants to hear EOT first, as some Contour meters do"),
    ] = "none"


class AstmGlucose(Driver):
    """Receives; a frame is acknowledged once what it said is on disk. It never sends a record or a command."""

    name = "astm-glucose"
    title = "Glucose meter by ASTM E1381 and E1394"
    line = SerialSettings(9600, 8, "N", 1)
    metrics = ("glucose",)
    values = ()  # an analyser has analytes of its own
    streams = False
    keeps_records = True
    options_type: ClassVar[type[msgspec.Struct]] = AstmOptions
    example_options: ClassVar[dict[str, Any]] = {"wake": "eot"}
    forbidden = (ForbiddenWrite("command", re.compile(rb"[^\x04\x06\x15]")),)
    scan_hints = ScanHints(identifying_replies=("astm",))  # its enquiry
    source = "ASTM E1381-95 (CLSI LIS01), ASTM E1394-97 (CLSI LIS02)"
    _decoder: AstmDecoder  # of the newest session

    def decoder(self) -> AstmDecoder:
        self._decoder = AstmDecoder(self.bookmarks)
        return self._decoder

    def on_open_bytes(self) -> tuple[bytes, ...]:
        return (bytes((EOT,)),) if self.options.wake == "eot" else ()

    async def run_session(self, io: DeviceIO) -> None:
        told: dict[str, str] = {}
        frames = 0
        while True:
            if not self._decoder.asks:
                try:
                    await io.wait(any_reply, TRANSFER_TIMEOUT)
                except TimeoutError:
                    self._decoder.expire()
                continue
            ask = self._decoder.asks.popleft()
            frames = frames + 1 if ask.store else 0
            if ask.store:
                await io.stored(STORE_TIMEOUT)
                io.progress("receiving frames", frames)
            if self._decoder.device != told:
                told = dict(self._decoder.device)
                io.update_status(**told)
            await io.send(ask.answer)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return AstmTwin(seed)


class AnalyserOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How its analytes are called."""

    names: Annotated[
        dict[str, ValueName], Meta(description='names for analytes as the analyser calls them, as {"687": "ast"}')
    ] = msgspec.field(default_factory=dict)
    wake: Annotated[
        Literal["none", "eot"], Meta(description="none: it sends by itself; eot: it wants to hear EOT first")
    ] = "none"


class AstmAnalyser(AstmGlucose):
    """Receives the results of an analyser as a meter's; every analyte is reported."""

    name = "astm-analyser"
    title = "Laboratory analyser by ASTM E1381 and E1394"
    metrics = ("laboratory",)
    options_type = AnalyserOptions
    example_options: ClassVar[dict[str, Any]] = {"names": {"687": "ast", "685": "alt"}}

    def decoder(self) -> AstmDecoder:
        self._decoder = AnalyserDecoder(self.bookmarks, self.options.names)
        return self._decoder

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return AnalyserTwin(seed)
