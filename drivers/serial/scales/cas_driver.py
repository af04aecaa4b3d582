"""Driver `cas-scale`: CAS indicators and the many scales that print as they do."""

from __future__ import annotations

import random
import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import Driver, ForbiddenWrite, SerialSettings, Twin
from gatepost.drivers.options import MetricName
from gatepost.drivers.reading import Faults, Reading, Reply
from gatepost.drivers.serial.common.line_splitter import LineSplitter
from gatepost.drivers.serial.scales.cas_format import (
    CasWeighing,
    decode_and,
    decode_bare,
    decode_full,
    decode_line,
    encode_full,
)
from gatepost.drivers.serial.scales.weight_reading import weight_reading

LONGEST_LINE = 64
FORMS = {"auto": decode_line, "22": decode_full, "18": decode_and, "10": decode_bare}


class CasOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the scale prints, and what its weights are called."""

    format: Annotated[
        Literal["auto", "22", "18", "10"],
        Meta(description="octets of a line: 22 (CAS), 18 (AND, and clones of other widths), 10 (a bare weight)"),
    ] = "auto"
    unit: Annotated[
        Literal["", "g", "kg", "t", "lb", "oz"], Meta(description="of a bare weight, as the display shows it")
    ] = ""
    metric: Annotated[MetricName, Meta(description="the metric_type of a weight")] = "body_weight"


class CasDecoder:
    """Lines of octets -> readings. The first line after opening may have lost its beginning: a bare weight is not taken
    from it."""

    def __init__(self, options: CasOptions) -> None:
        self.faults = Faults()
        self._decode = FORMS[options.format]
        self._unit = options.unit or None
        self._metric = options.metric
        self._split = LineSplitter(self.faults, LONGEST_LINE)

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        lines = self._split.feed(data)
        cut, self._split.cut = self._split.cut, False
        for line in lines:
            first, cut = cut, False
            line = line.lstrip(b"\0\x02")
            if not line.strip():
                continue
            try:
                weighing = self._decode(line)
            except FrameError as wrong:
                if not first:
                    self.faults.add(wrong.kind, "a line is of no CAS format: check `format`, 8 data bits, no parity")
                continue
            if first and weighing.state is None:
                continue
            out.append(self._reading(weighing))
        return out

    def _reading(self, weighing: CasWeighing) -> Reading:
        remarks = [weighing.mode] if weighing.mode else []
        lamps = (("hold", weighing.hold), ("tare", weighing.tare), ("zero", weighing.zero))
        remarks += (name for name, lit in lamps if lit)
        if weighing.state is None:
            remarks.append("stability-unknown")
        unstable = weighing.state == "unstable" or weighing.lamp_stable is False
        unit = weighing.unit if weighing.state is not None else self._unit
        return weight_reading(self._metric, weighing.value, unit, unstable=unstable, remarks=remarks)


class CasTwin:
    """Something is put on it now and then; prints without being asked, in any of the three forms."""

    def __init__(self, seed: int = 0, interval: float = 0.2, form: str = "22") -> None:
        self.interval = interval
        self.form = form
        self._random = random.Random(seed)  # noqa: S311  # a simulation
        self._weight = 72.0
        self._settling = 0

    def tick(self) -> bytes:
        if self._settling:
            self._settling -= 1
        elif self._random.random() < 0.05:
            self._settling = 8
            self._weight = round(self._random.uniform(55, 95), 1)
        shown = self._weight + (self._random.uniform(-3, 3) if self._settling else 0.0)
        still = not self._settling
        state = "stable" if still else "unstable"
        if self.form == "18":
            return f"{'ST' if still else 'US'},GS,{shown:+8.1f}kg\r\n".encode("ascii")
        if self.form == "10":
            return f"{shown:08.1f}\r\n".encode("ascii")
        return encode_full(CasWeighing(state, "gross", shown, "kg", 0x31, still, False, False, True, False, False))

    def hear(self, data: bytes) -> bytes:
        return b""


class CasScale(Driver):
    """CAS indicators. It only listens: a scale is never tared or zeroed."""

    name = "cas-scale"
    title = "CAS indicators (CI, PDI, NT series) and scales that print like them"
    line = SerialSettings(9600)
    metrics = ("body_weight",)
    values = ("weight", "count", "percent", "carat", "value")
    default_interval = 1.0
    streams = False
    options_type = CasOptions
    example_options: ClassVar[dict[str, Any]] = {"format": "22"}
    forbidden = (ForbiddenWrite("speak", re.compile(rb"")),)
    source = "CAS CI-150A, CI-400, CI-600D and NT-200 owner's manuals"

    def decoder(self) -> CasDecoder:
        return CasDecoder(self.options)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        form = getattr(options, "format", "auto")
        return CasTwin(seed, form="22" if form == "auto" else form)
