"""Driver `mt-sics`: balances and scales that speak MT-SICS (Mettler-Toledo and others), level 0 and 1.

Only S, SI, SIR and I4 are ever said: Z and T change the balance, @ resets it.
"""

from __future__ import annotations

import contextlib
import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.asking import ask
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import CommandFailed, DeviceIO, ForbiddenWrite, ScanHints, ScanProbe, SerialSettings, Twin
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.scales.mt_sics_format import WIDTH, SicsResponse, decode_line
from gatepost.drivers.serial.scales.mt_sics_twin import MtSicsTwin
from gatepost.drivers.serial.scales.scale_driver import PollInterval, ScaleDecoder, ScaleDriver, ScaleOptions, read_now
from gatepost.drivers.serial.scales.weight_reading import weight_reading

NOW, STABLE, REPEAT, SERIAL, RESET = b"SI\r\n", b"S\r\n", b"SIR\r\n", b"I4\r\n", b"@\r\n"
WHY = {"overload": "over-range", "underload": "under-range", "not_executable": "not-executable"}
SILENCE = 15.0  # seconds after which a balance that should speak is off
SERIAL_TRIES, SERIAL_TIMEOUT = 3, 3.0  # of the question for the serial number; seconds


class MtSicsOptions(ScaleOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of an MT-SICS balance."""

    mode: Annotated[
        Literal["poll", "repeat", "stream"],
        Meta(description="poll: it is asked every interval; repeat: it is told to send; stream: it prints by itself"),
    ] = "poll"
    interval: PollInterval = 1.0
    permit: Annotated[
        tuple[Literal["reset"], ...],
        Meta(description="reset: `@` may end `repeat` (it also clears the tare of some balances); else `SI` does"),
    ] = ()


class MtSicsDecoder(ScaleDecoder):
    """Lines of MT-SICS. A weight that is not ten characters wide has lost some: it is refused."""

    longest_line = 128
    format_fault = "a line is not of MT-SICS"

    def decode_line(self, line: bytes, first: bool) -> Reading | Reply | None:
        text = self.ascii_text(line.strip(b"\0 "), "`baudrate`, `bytesize` and `parity`")
        if not text:
            return None
        response = decode_line(text)
        if response.value is not None and response.width < WIDTH:
            raise FrameError("bad_format")
        return self._meaning(response)

    def _meaning(self, answer: SicsResponse) -> Reading | Reply:
        if answer.state == "error":
            return Reply("error", {"code": answer.code, "command": answer.command})
        if answer.state == "answer":
            return Reply("answer", {"command": answer.command, "text": answer.text})
        why = WHY.get(answer.state, "")
        return weight_reading(self._metric, answer.value, answer.unit, why=why, unstable=answer.state == "dynamic")


class MtSics(ScaleDriver):
    """MT-SICS, level 0 and 1."""

    name = "mt-sics"
    title = "Balances and scales with MT-SICS (Mettler-Toledo and others)"
    line = SerialSettings(9600)
    options_type = MtSicsOptions
    example_options: ClassVar[dict[str, Any]] = {"mode": "poll", "interval": 1.0}
    requests: ClassVar[dict[str, bytes]] = {"repeat": REPEAT, "poll": NOW}
    request_stable = STABLE
    patience = 40.0
    commands = (read_now("balance", 45.0),)
    forbidden = (
        ForbiddenWrite("zero", re.compile(rb"(?:^|[\r\n])\s*Z", re.IGNORECASE)),
        ForbiddenWrite("tare", re.compile(rb"(?:^|[\r\n])\s*T", re.IGNORECASE)),
        ForbiddenWrite("adjust", re.compile(rb"(?:^|[\r\n])\s*C", re.IGNORECASE)),
        ForbiddenWrite("reset", re.compile(rb"@|(?:^|[\r\n])\s*(?:RST|FSET)", re.IGNORECASE)),
        ForbiddenWrite("command", re.compile(rb"(?:^|[\r\n]+)(?!(?:S|SI|SIR|I4|@)?(?:[\r\n]|$))")),  # anything else
    )
    scan_hints = ScanHints(identifying_replies=("answer",), probes=(ScanProbe(SERIAL),))
    source = "Mettler-Toledo MT-SICS reference manual, level 0 and 1"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        if self.mode != "stream":
            self.silence = max(SILENCE, 5 * self.options.interval) if self.mode == "poll" else SILENCE

    def decoder(self) -> MtSicsDecoder:
        return MtSicsDecoder(self.options)

    def on_close_bytes(self) -> tuple[bytes, ...]:
        """SI ends SIR too, and changes nothing."""
        if self.options.mode != "repeat":
            return ()
        return (RESET,) if "reset" in self.options.permit else (NOW,)

    async def run_session(self, io: DeviceIO) -> None:
        """Ask for the serial number; a balance that does not tell it weighs all the same."""
        with contextlib.suppress(TimeoutError):
            if number := await ask(io, lambda: io.send(SERIAL), _serial, SERIAL_TIMEOUT, SERIAL_TRIES):
                io.update_status(serial_number=number)

    def refusal(self, item: Reading | Reply) -> None:
        if isinstance(item, Reply) and item.kind == "error" and item.fields["command"] in (None, "S"):
            raise CommandFailed("device-error", f"the balance answered with error {item.fields['code']}")
        if isinstance(item, Reading) and "weight:not-executable" in item.flags:
            raise CommandFailed("not-executable", "the balance is busy, or did not come to rest")

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        try:
            return await super().execute(command, parameters, io)
        finally:
            if command == "read_now" and self.mode == "repeat":  # which the request has ended
                await io.send(REPEAT)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return MtSicsTwin(seed, streams=options is not None and options.mode == "stream")


def _serial(item: Reading | Reply) -> str | None:
    """The serial number; empty when the balance cannot tell it."""
    if not isinstance(item, Reply):
        return None
    if item.kind == "error" and item.fields["command"] in (None, "I4"):
        return ""
    return str(item.fields["text"]) if item.kind == "answer" and item.fields["command"] == "I4" else None
