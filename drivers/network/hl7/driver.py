"""Driver `hl7-monitor`: monitors, gateways and analysers that send HL7 v2 results (ORU) over MLLP and connect to us."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, ClassVar

from gatepost.drivers.asking import any_reply
from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, Twin
from gatepost.drivers.link import LinkFailed
from gatepost.drivers.network.hl7.decoder import Hl7Decoder
from gatepost.drivers.network.hl7.message import encode_answer
from gatepost.drivers.network.hl7.mllp import Hl7Router
from gatepost.drivers.network.hl7.options import Hl7Options
from gatepost.drivers.network.hl7.twin import Hl7Twin
from gatepost.drivers.network.peer_message import MessageSplitter, PeerBytes

BED_SILENCE = 180.0  # seconds; the slowest senders speak once a minute
STORE_TIMEOUT = 15.0  # seconds for the disk; then the sender is told to send again
IDLE = 60.0

# Anything but one acknowledgement of ours.
NOT_AN_ANSWER = re.compile(rb"\A(?!\x0bMSH\|\^~\\&\|GATEPOST\|[^\r\x0b]*\|ACK[^\r\x0b]*\rMSA\|[^\r\x0b]*\r\x1c\r\Z)")


class Hl7Monitor(Driver):
    """Receives; a message is acknowledged once what it said is on disk. It never asks, orders or tells of patients."""

    name = "hl7-monitor"
    title = "Patient monitor or gateway by HL7 v2 over MLLP"
    metrics: ClassVar[tuple[str, ...]] = (
        "heart_rate", "pulse_oximetry", "blood_pressure", "invasive_pressure", "respiration", "body_temperature",
        "capnography", "laboratory", "device_alarm",
    )  # fmt: skip
    values = ()  # private codes pass, too
    keeps_records = True
    options_type = Hl7Options
    example_options: ClassVar[dict[str, Any]] = {"match": {"bed": "ICU^^5"}}
    forbidden = (ForbiddenWrite("message", NOT_AN_ANSWER),)
    source = "HL7 2.6 chapters 2 and 7, MLLP release 1, IHE PCD-01"
    _decoder: Hl7Decoder  # of the newest session

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.silence = BED_SILENCE if self.options.via else None

    def decoder(self) -> Hl7Decoder:
        self._decoder = Hl7Decoder(self.options, self.bookmarks)
        return self._decoder

    def message_splitter(self) -> MessageSplitter:
        return Hl7Router(self.options.unframed)

    async def run_session(self, io: DeviceIO) -> None:
        sender = ""
        while True:
            if not self._decoder.due:
                with suppress(TimeoutError):
                    await io.wait(any_reply, IDLE)
                continue
            due = self._decoder.due.popleft()
            code = self.options.ack if due.code == "AA" else due.code
            if due.stored:
                try:
                    await io.stored(STORE_TIMEOUT)
                except Exception:  # the store's own errors are its own to tell; the sender keeps the message
                    code = "AE"
            if due.shared is not None:
                kept = due.shared.done(code != "AE")
                if kept is None:
                    continue  # whose part is the last answers for all
                code = code if kept else "AE"
            named = "^".join(due.message.sender)[:64]
            if due.stored and named and named != sender:
                sender = named
                io.update_status(model=due.message.sender[0][:64])
            stamp = io.now().local.strftime("%Y%m%d%H%M%S")
            with suppress(LinkFailed):  # who has gone sends it again; the others' answers are still due
                await io.send(PeerBytes.of(encode_answer(due.message, code, stamp), due.peer))

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        match = {} if options is None else options.match
        return Hl7Twin(match.get("bed", "ICU^^5"), seed)
