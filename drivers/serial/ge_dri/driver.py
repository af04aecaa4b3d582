"""Driver `ge-dri`: GE and Datex-Ohmeda monitors (S/5, CARESCAPE) at their serial port. Not seen on a device."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import DeviceIO, Driver, ForbiddenWrite, SerialSettings, Twin
from gatepost.drivers.options import DriverOptions, OptionProblem
from gatepost.drivers.reading import Reading, Reply
from gatepost.drivers.serial.ge_dri.decoder import WAVES, DriDecoder
from gatepost.drivers.serial.ge_dri.frames import decode_frame, encode_frame
from gatepost.drivers.serial.ge_dri.records import FORBIDDEN, values_request, waveform_request
from gatepost.drivers.serial.ge_dri.twin import DriTwin

KINDS = {wave[0]: kind for kind, wave in WAVES.items()}
MAX_RATE = 600  # samples a second of all waveforms together, as the line can carry
SILENT_INTERVALS = 3  # without a record, after which it is asked again


class DriOptions(DriverOptions, frozen=True):
    """What is asked for, and how often."""

    poll: Annotated[int, Meta(ge=5, le=60, description="seconds between two records of values")] = 5
    waveforms: Annotated[
        list[str], Meta(description=f"at most 8 of {', '.join(KINDS)}; together at most {MAX_RATE} samples a second")
    ] = msgspec.field(default_factory=list)

    def problems(self) -> list[OptionProblem]:
        hint = f"one of {', '.join(KINDS)}"
        found = [
            OptionProblem(f"there is no waveform {name[:32]!r}", ("waveforms",), hint=hint)
            for name in self.waveforms
            if name not in KINDS
        ]
        rate = sum(WAVES[KINDS[name]][3] for name in self.waveforms if name in KINDS)
        if rate > MAX_RATE or len(self.waveforms) > 7:
            found.append(OptionProblem(f"{rate} samples a second are more than {MAX_RATE}", ("waveforms",)))
        return found


class GeDri(Driver):
    """Asks for the displayed values, and waveforms that are wanted; changes nothing."""

    name = "ge-dri"
    title = "GE and Datex-Ohmeda monitors by their record interface (not seen on a device)"
    line = SerialSettings(19200, 8, "E", 1, "rtscts")
    metrics: ClassVar[tuple[str, ...]] = (
        "heart_rate", "pulse_oximetry", "blood_pressure", "invasive_pressure", "respiration", "body_temperature",
        "capnography", "anaesthetic_gas", "ventilation", "cardiac_output", "neuromuscular",
    )  # fmt: skip
    values = ()  # st1, ir_amplitude and others of its own
    options_type = DriOptions
    example_options: ClassVar[dict[str, Any]] = {"waveforms": ["ecg1", "pleth"]}
    forbidden = (ForbiddenWrite("record", FORBIDDEN),)
    source = "GE S/5 Computer Interface and Datex-Ohmeda Record Interface specifications"

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.silence = max(30.0, 4.0 * self.options.poll)

    def decoder(self) -> DriDecoder:
        return DriDecoder()

    def violation(self, data: bytes, characteristic: str = "") -> str | None:
        """A frame is judged by its record."""
        try:
            return super().violation(decode_frame(data), characteristic)
        except FrameError:
            return self.forbidden[0].name

    @property
    def _kinds(self) -> tuple[int, ...]:
        return tuple(KINDS[name] for name in self.options.waveforms)

    def on_close_bytes(self) -> tuple[bytes, ...]:
        """Stops in records of their own."""
        stops = [values_request(0, 0)] + ([waveform_request((), stop=True)] if self._kinds else [])
        return tuple(map(encode_frame, stops))

    async def run_session(self, io: DeviceIO) -> None:
        while True:
            await io.send(encode_frame(values_request(self.options.poll)))
            if self._kinds:
                await io.send(encode_frame(waveform_request(self._kinds)))
            with suppress(TimeoutError):
                while True:
                    await io.wait(_values, SILENT_INTERVALS * self.options.poll)
            await asyncio.sleep(0)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return DriTwin(seed)


def _values(item: Reading | Reply) -> bool | None:
    return True if isinstance(item, Reply) and item.kind == "ge-dri" and item.fields["main_type"] == 0 else None
