"""Driver `poct1-a`: point-of-care analysers that connect and send by POCT1-A (DCA Vantage, StatStrip and others)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.asking import any_reply
from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, Twin
from gatepost.drivers.network.poct1a import answers
from gatepost.drivers.network.poct1a.decoder import PoctDecoder
from gatepost.drivers.network.poct1a.documents import PoctMessage
from gatepost.drivers.network.poct1a.twin import PoctTwin
from gatepost.drivers.options import ValueName

STORE_TIMEOUT = 15.0  # seconds for the disk; then the analyser is told to send again
IDLE = 60.0


class PoctOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How its analytes are called."""

    names: Annotated[
        dict[str, ValueName], Meta(description='names for analytes as the analyser codes them, as {"4548-4": "hba1c"}')
    ] = msgspec.field(default_factory=dict)


class PoctAnalyser(Driver):
    """Asks for new results, acknowledges each once it is on disk, then takes them as they arise."""

    name = "poct1-a"
    title = "Point-of-care analyser by POCT1-A"
    metrics = ("laboratory",)
    values = ()  # an analyser has analytes of its own
    streams = False
    keeps_records = True
    options_type = PoctOptions
    example_options: ClassVar[dict[str, Any]] = {"names": {"HbA1c": "hba1c"}}
    forbidden = (ForbiddenWrite("message", answers.FORBIDDEN),)
    source = "CLSI POCT01-A2"
    _decoder: PoctDecoder  # of the newest session

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._sent = 0  # messages, which number themselves
        self._continuous = False  # the analyser can send results as they arise
        self._asked = 0  # number of our message that told it to; after that it is asked for nothing

    def decoder(self) -> PoctDecoder:
        self._decoder = PoctDecoder(self.bookmarks, self.options.names)
        return self._decoder

    async def run_session(self, io: DeviceIO) -> None:
        while True:
            if not self._decoder.due:
                with suppress(TimeoutError):
                    await io.wait(any_reply, IDLE)
                continue
            await self._answer(io, self._decoder.due.popleft())

    async def _answer(self, io: DeviceIO, message: PoctMessage) -> None:
        kind = message.kind.partition(".")[0]
        if kind == "HEL":
            self._continuous, self._asked = answers.CONTINUOUS in message.directives, 0
            known = {"model": "model_id", "serial_number": "serial_id", "firmware": "sw_version"}
            io.update_status(**{name: message.device[tag] for name, tag in known.items() if tag in message.device})
        if kind == "ACK" and message.ack == "AE" and message.ack_control_id == str(self._asked):
            self._continuous, self._asked = False, 0
        stored = True
        if kind == "OBS":
            try:
                await io.stored(STORE_TIMEOUT)
            except Exception:  # the store's own errors are its own to tell; the analyser keeps the result
                stored = False
        if message.needs_answer:
            await io.send(answers.acknowledgement(*self._head(io), message.control_id, stored))
        if kind == "DST" and message.new_observations and not self._asked:
            await io.send(answers.observations_request(*self._head(io)))
        elif self._continuous and not self._asked and kind in ("DST", "EOT"):
            await io.send(answers.continuous_request(*self._head(io)))
            self._asked = self._sent
        await asyncio.sleep(0)

    def _head(self, io: DeviceIO) -> tuple[int, str]:
        self._sent = self._sent % 99_999 + 1
        return self._sent, io.now().local.strftime("%Y-%m-%dT%H:%M:%S")

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return PoctTwin(seed)
