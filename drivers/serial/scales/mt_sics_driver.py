"""Driver `mt-sics`: balances and scales that speak MT-SICS (Mettler-Toledo and others), level 0 and 1.

Only S, SI, SIR and I4 are ever said: Z and T change the balance, @ resets it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import (
    Command,
    CommandFailed,
    DeviceIO,
    Driver,
    ForbiddenWrite,
    KeepAlive,
    ScanHints,
    ScanProbe,
    SerialSettings,
    Twin,
)
from gatepost.drivers.options import MetricName
from gatepost.drivers.reading import UNCERTAIN, Faults, Reading, Reply
from gatepost.drivers.serial.common.line_splitter import LineSplitter
from gatepost.drivers.serial.scales.mt_sics_format import WIDTH, SicsResponse, decode_line
from gatepost.drivers.serial.scales.mt_sics_twin import MtSicsTwin
from gatepost.drivers.serial.scales.weight_reading import weight_reading

NOW, STABLE, REPEAT, SERIAL, RESET = b"SI\r\n", b"S\r\n", b"SIR\r\n", b"I4\r\n", b"@\r\n"
WHY = {"overload": "over-range", "underload": "under-range", "not_executable": "not-executable"}
LONGEST_LINE = 128
SILENCE = 15.0  # seconds after which a balance that should speak is off
TRIES, ANSWER = 3, 3.0  # of the question for the serial number; seconds


class MtSicsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the balance is made to speak, and what its weights are called."""

    mode: Annotated[
        Literal["poll", "repeat", "stream"],
        Meta(description="poll: it is asked every interval; repeat: it is told to send; stream: it prints by itself"),
    ] = "poll"
    interval: Annotated[float, Meta(ge=0.2, le=86400, description="poll: seconds between two questions")] = 1.0
    metric: Annotated[MetricName, Meta(description="the metric_type of a weight")] = "body_weight"
    permit: Annotated[
        tuple[Literal["reset"], ...],
        Meta(description="reset: `@` may end `repeat` (it also clears the tare of some balances); else `SI` does"),
    ] = ()


class SicsReadNow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weigh."""

    stable: Annotated[bool, Meta(description="wait until the balance has come to rest")] = False


class MtSicsDecoder:
    """Lines -> readings and replies. A weight that is not ten characters wide has lost some: it is refused."""

    def __init__(self, options: MtSicsOptions) -> None:
        self.faults = Faults()
        self._metric = options.metric
        self._split = LineSplitter(self.faults, LONGEST_LINE)

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        lines = self._split.feed(data)
        cut, self._split.cut = self._split.cut, False
        for line in lines:
            first, cut = cut, False
            found = self._line(line.strip(b"\0 "), first)
            if found is not None:
                out.append(found)
        return out

    def _line(self, line: bytes, first: bool) -> Reading | Reply | None:
        if not line:
            return None
        if not line.isascii():
            self.faults.add("parity", "octets above 7F: check `baudrate`, `bytesize` and `parity`")
            return None
        try:
            answer = decode_line(line.decode("ascii"))
            if answer.value is not None and answer.width < WIDTH:
                raise FrameError("bad_format")
        except FrameError as wrong:
            if not first:  # the first line may have lost its beginning when the port was opened
                self.faults.add(wrong.kind, "a line is not of MT-SICS")
            return None
        return self._meaning(answer)

    def _meaning(self, answer: SicsResponse) -> Reading | Reply:
        if answer.state == "error":
            return Reply("error", {"code": answer.code, "command": answer.command})
        if answer.state == "answer":
            return Reply("answer", {"command": answer.command, "text": answer.text})
        why = WHY.get(answer.state, "")
        return weight_reading(self._metric, answer.value, answer.unit, why=why, unstable=answer.state == "dynamic")


class MtSics(Driver):
    """MT-SICS. It only ever asks: never tares, zeroes or adjusts a balance."""

    name = "mt-sics"
    title = "Balances and scales with MT-SICS (Mettler-Toledo and others)"
    line = SerialSettings(9600)
    metrics = ("body_weight",)
    values = ("weight", "count", "percent", "carat", "value")
    options_type = MtSicsOptions
    example_options: ClassVar[dict[str, Any]] = {"mode": "poll", "interval": 1.0}
    commands = (Command("read_now", "Weigh now, or when the balance is at rest", SicsReadNow, 45.0, {"stable": True}),)
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
        self.streams = self.options.mode != "stream"  # it prints when a key is pressed
        if self.options.mode == "poll":
            self.keep_alive = KeepAlive(NOW, self.options.interval)
            self.silence = max(SILENCE, 5 * self.options.interval)
        elif self.options.mode == "repeat":
            self.silence = SILENCE

    def decoder(self) -> MtSicsDecoder:
        return MtSicsDecoder(self.options)

    def on_open_bytes(self) -> tuple[bytes, ...]:
        return {"repeat": (REPEAT,), "poll": (NOW,)}.get(self.options.mode, ())

    def on_close_bytes(self) -> tuple[bytes, ...]:
        """SI ends SIR too, and changes nothing."""
        if self.options.mode != "repeat":
            return ()
        return (RESET,) if "reset" in self.options.permit else (NOW,)

    async def run_session(self, io: DeviceIO) -> None:
        """Ask for the serial number; a balance that does not tell it weighs all the same."""
        for _ in range(TRIES):
            await io.send(SERIAL)
            try:
                number = await io.wait(_serial, ANSWER)
            except TimeoutError:
                continue
            if number:
                io.update_status(serial_number=number)
            return

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command != "read_now":
            return await super().execute(command, parameters, io)
        assert isinstance(parameters, SicsReadNow)

        def weighed(item: Reading | Reply) -> Reading | None:
            if isinstance(item, Reply):
                if item.kind == "error" and item.fields["command"] in (None, "S"):
                    raise CommandFailed("device-error", f"the balance answered with error {item.fields['code']}")
                return None
            if "weight:not-executable" in item.flags:
                raise CommandFailed("not-executable", "the balance is busy, or did not come to rest")
            return None if parameters.stable and item.quality == UNCERTAIN else item

        try:
            await io.send(STABLE if parameters.stable else NOW)
            reading = await io.wait(weighed, 40.0 if parameters.stable else 3.0)
        finally:
            if self.options.mode == "repeat":  # which the question has ended
                await io.send(REPEAT)
        return {**reading.values, "units": reading.units, "flags": list(reading.flags), "quality": reading.quality}

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
