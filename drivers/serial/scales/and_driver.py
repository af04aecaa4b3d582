"""Driver `and-scale`: scales and balances that speak the A&D standard format (A&D manuals of several series)."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gatepost.drivers.driver import CommandFailed, ForbiddenWrite, ScanHints, ScanProbe, SerialSettings, Twin
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.scales.and_format import AndWeighing, decode_line
from gatepost.drivers.serial.scales.and_twin import AndTwin
from gatepost.drivers.serial.scales.scale_driver import PollInterval, ScaleDecoder, ScaleDriver, ScaleOptions, read_now
from gatepost.drivers.serial.scales.weight_reading import weight_reading

NOW, STABLE, REPEAT, STOP = b"Q\r\n", b"S\r\n", b"SIR\r\n", b"C\r\n"

# The words of the manuals that change a scale; the last rule is everything that is no question.
FORBIDDEN = (
    ForbiddenWrite("zero", re.compile(rb"(?:^|[\r\n])(?:Z|R[\r\n]|R$|\x1bT)", re.IGNORECASE)),
    ForbiddenWrite("tare", re.compile(rb"(?:^|[\r\n])(?:T|CT|PT:)", re.IGNORECASE)),
    ForbiddenWrite("erase", re.compile(rb"(?:^|[\r\n])(?:MCL|MD:)", re.IGNORECASE)),
    ForbiddenWrite("adjust", re.compile(rb"(?:^|[\r\n])(?:CAL|EXC)", re.IGNORECASE)),
    ForbiddenWrite("command", re.compile(rb"(?:^|[\r\n]+)(?!(?:Q|S|SI|SIR|C)?(?:[\r\n]|$))")),
)


class AndOptions(ScaleOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of an A&D scale."""

    mode: Annotated[
        Literal["stream", "repeat", "poll"],
        Meta(description="stream: the scale prints by itself; repeat: it is told to; poll: it is asked every interval"),
    ] = "stream"
    interval: PollInterval = 1.0


class AndDecoder(ScaleDecoder):
    """Lines of the A&D standard format. Octets above 7F mean wrong line settings and are counted as `parity`."""

    format_fault = "a line is not of the A&D standard format"

    def decode_line(self, line: bytes, first: bool) -> Reading | Reply | None:
        line = line.strip(b"\0 ")
        text = self.ascii_text(line, "`bytesize` and `parity` (7 and E as the scale leaves)")
        if not text:
            return None
        if line == b"\x06":
            return Reply("acknowledge", {})
        if text.startswith(("EC,", "?")):
            return Reply("error", {"code": text.removeprefix("EC,")[:8]})
        return weighing_reading(decode_line(text), self._metric)


def weighing_reading(weighing: AndWeighing, metric: str) -> Reading:
    """A weight under `metric` in its unit; anything that is no mass under metric `reading`."""
    why = "under-range" if weighing.below else "over-range"
    compared = {"LO": ("comparator-low",), "HI": ("comparator-high",)}.get(weighing.comparator or "", ())
    remarks = () if weighing.value is None else compared
    return weight_reading(
        metric, weighing.value, weighing.unit, why=why, unstable=weighing.state == "unstable", remarks=remarks
    )


class AndScale(ScaleDriver):
    """A&D standard format."""

    name = "and-scale"
    title = "A&D scales and balances, standard format"
    line = SerialSettings(2400, 7, "E", 1)
    options_type = AndOptions
    example_options: ClassVar[dict[str, Any]] = {"mode": "poll", "interval": 1.0}
    requests: ClassVar[dict[str, bytes]] = {"repeat": REPEAT, "poll": NOW}
    request_stable = STABLE
    patience = 25.0
    commands = (read_now("scale", 30.0),)
    forbidden = FORBIDDEN
    scan_hints = ScanHints(probes=(ScanProbe(NOW, {"mode": "poll"}),))
    source = "A&D standard format, balance manuals"

    def decoder(self) -> AndDecoder:
        return AndDecoder(self.options)

    def on_close_bytes(self) -> tuple[bytes, ...]:
        return (STOP,) if self.mode == "repeat" else ()

    def refusal(self, item: Reading | Reply) -> None:
        if isinstance(item, Reply) and item.kind == "error":
            raise CommandFailed("device-error", f"the scale answered with error {item.fields['code']}")

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return AndTwin(seed, streams=options is None or options.mode == "stream")
