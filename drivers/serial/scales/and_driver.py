"""Driver `and-scale`: scales and balances that speak the A&D standard format (A&D manuals of several series)."""

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
from gatepost.drivers.serial.scales.and_format import AndWeighing, decode_line
from gatepost.drivers.serial.scales.and_twin import AndTwin
from gatepost.drivers.serial.scales.weight_reading import weight_reading

NOW, STABLE, REPEAT, STOP = b"Q\r\n", b"S\r\n", b"SIR\r\n", b"C\r\n"
LONGEST_LINE = 64

# The words of the manuals that change a scale; the last rule is everything that is no question.
FORBIDDEN = (
    ForbiddenWrite("zero", re.compile(rb"(?:^|[\r\n])(?:Z|R[\r\n]|R$|\x1bT)", re.IGNORECASE)),
    ForbiddenWrite("tare", re.compile(rb"(?:^|[\r\n])(?:T|CT|PT:)", re.IGNORECASE)),
    ForbiddenWrite("erase", re.compile(rb"(?:^|[\r\n])(?:MCL|MD:)", re.IGNORECASE)),
    ForbiddenWrite("adjust", re.compile(rb"(?:^|[\r\n])(?:CAL|EXC)", re.IGNORECASE)),
    ForbiddenWrite("command", re.compile(rb"(?:^|[\r\n]+)(?!(?:Q|S|SI|SIR|C)?(?:[\r\n]|$))")),
)


class AndOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the scale is made to speak, and what its weights are called."""

    mode: Annotated[
        Literal["stream", "repeat", "poll"],
        Meta(description="stream: the scale prints by itself; repeat: it is told to; poll: it is asked every interval"),
    ] = "stream"
    interval: Annotated[float, Meta(ge=0.2, le=86400, description="poll: seconds between two questions")] = 1.0
    metric: Annotated[MetricName, Meta(description="the metric_type of a weight")] = "body_weight"


class AndReadNow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weigh."""

    stable: Annotated[bool, Meta(description="wait until the scale has come to rest")] = False


class AndDecoder:
    """Lines -> readings. A line with octets above 7F means wrong line settings and is counted as `parity`."""

    def __init__(self, options: AndOptions) -> None:
        self.faults = Faults()
        self._metric = options.metric
        self._split = LineSplitter(self.faults, LONGEST_LINE)

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        lines = self._split.feed(data)
        cut, self._split.cut = self._split.cut, False
        for line in lines:
            first, cut = cut, False
            found = self._line(line, first)
            if found is not None:
                out.append(found)
        return out

    def _line(self, line: bytes, first: bool) -> Reading | Reply | None:
        line = line.strip(b"\0 ")
        if not line:
            return None
        if not line.isascii():
            self.faults.add("parity", "octets above 7F: check `bytesize` and `parity` (7 and E as the scale leaves)")
            return None
        if line == b"\x06":
            return Reply("acknowledge", {})
        if line.startswith((b"EC,", b"?")):
            return Reply("error", {"code": line.removeprefix(b"EC,").decode("ascii")[:8]})
        try:
            return weighing_reading(decode_line(line.decode("ascii")), self._metric)
        except FrameError as wrong:
            if not first:  # the first line may have lost its beginning when the port was opened
                self.faults.add(wrong.kind, "a line is not of the A&D standard format")
            return None


def weighing_reading(weighing: AndWeighing, metric: str) -> Reading:
    """A weight under `metric` in its unit; anything that is no mass under metric `reading`."""
    why = "under-range" if weighing.below else "over-range"
    compared = {"LO": ("comparator-low",), "HI": ("comparator-high",)}.get(weighing.comparator or "", ())
    remarks = () if weighing.value is None else compared
    return weight_reading(
        metric, weighing.value, weighing.unit, why=why, unstable=weighing.state == "unstable", remarks=remarks
    )


class AndScale(Driver):
    """A&D standard format. It only ever asks: never tares, zeroes or switches a scale."""

    name = "and-scale"
    title = "A&D scales and balances, standard format"
    line = SerialSettings(2400, 7, "E", 1)
    metrics = ("body_weight",)
    values = ("weight", "count", "percent", "carat", "value")
    options_type = AndOptions
    example_options: ClassVar[dict[str, Any]] = {"mode": "poll", "interval": 1.0}
    commands = (Command("read_now", "Weigh now, or when the scale is at rest", AndReadNow, 30.0, {"stable": True}),)
    forbidden = FORBIDDEN
    scan_hints = ScanHints(probes=(ScanProbe(NOW, {"mode": "poll"}),))
    source = "A&D standard format, balance manuals"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.streams = self.options.mode != "stream"  # most print when a key is pressed, or at rest
        if self.options.mode == "poll":
            self.keep_alive = KeepAlive(NOW, self.options.interval)

    def decoder(self) -> AndDecoder:
        return AndDecoder(self.options)

    def on_open_bytes(self) -> tuple[bytes, ...]:
        return {"repeat": (REPEAT,), "poll": (NOW,)}.get(self.options.mode, ())

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (STOP,) if self.options.mode == "repeat" else ()

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command != "read_now":
            return await super().execute(command, parameters, io)
        assert isinstance(parameters, AndReadNow)

        def weighed(item: Reading | Reply) -> Reading | None:
            if isinstance(item, Reply):
                if item.kind == "error":
                    raise CommandFailed("device-error", f"the scale answered with error {item.fields['code']}")
                return None
            return None if parameters.stable and item.quality == UNCERTAIN else item

        await io.send(STABLE if parameters.stable else NOW)
        reading = await io.wait(weighed, 25.0 if parameters.stable else 3.0)
        return {**reading.values, "units": reading.units, "flags": list(reading.flags), "quality": reading.quality}

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return AndTwin(seed, streams=options is None or options.mode == "stream")
