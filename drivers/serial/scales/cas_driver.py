"""Driver `cas-scale`: CAS indicators and the many scales that print as they do."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from gatepost.drivers.driver import ForbiddenWrite, SerialSettings, Twin
from gatepost.drivers.reading import Reading
from gatepost.drivers.serial.scales.cas_format import CasWeighing, decode_and, decode_bare, decode_full, decode_line
from gatepost.drivers.serial.scales.cas_twin import CasTwin
from gatepost.drivers.serial.scales.scale_driver import ScaleDecoder, ScaleDriver, ScaleOptions
from gatepost.drivers.serial.scales.weight_reading import weight_reading

FORMS = {"auto": decode_line, "22": decode_full, "18": decode_and, "10": decode_bare}


class CasOptions(ScaleOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a CAS indicator."""

    format: Annotated[
        Literal["auto", "22", "18", "10"],
        Meta(description="octets of a line: 22 (CAS), 18 (AND, and clones of other widths), 10 (a bare weight)"),
    ] = "auto"
    unit: Annotated[
        Literal["", "g", "kg", "t", "lb", "oz"], Meta(description="of a bare weight, as the display shows it")
    ] = ""


class CasDecoder(ScaleDecoder):
    """Lines of CAS formats. A bare weight is not taken from the first line: it may have lost its beginning."""

    format_fault = "a line is of no CAS format: check `format`, 8 data bits, no parity"

    def __init__(self, options: CasOptions) -> None:
        super().__init__(options)
        self._decode = FORMS[options.format]
        self._unit = options.unit or None

    def decode_line(self, line: bytes, first: bool) -> Reading | None:
        line = line.lstrip(b"\0\x02")
        if not line.strip():
            return None
        weighing = self._decode(line)
        return None if first and weighing.state is None else self._reading(weighing)

    def _reading(self, weighing: CasWeighing) -> Reading:
        remarks = [weighing.mode] if weighing.mode else []
        lamps = (("hold", weighing.hold), ("tare", weighing.tare), ("zero", weighing.zero))
        remarks += (name for name, lit in lamps if lit)
        if weighing.state is None:
            remarks.append("stability-unknown")
        unstable = weighing.state == "unstable" or weighing.lamp_stable is False
        unit = weighing.unit if weighing.state is not None else self._unit
        return weight_reading(self._metric, weighing.value, unit, unstable=unstable, remarks=remarks)


class CasScale(ScaleDriver):
    """CAS indicators. It only listens: a scale is never tared or zeroed."""

    name = "cas-scale"
    title = "CAS indicators (CI, PDI, NT series) and scales that print like them"
    line = SerialSettings(9600)
    default_interval = 1.0
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
