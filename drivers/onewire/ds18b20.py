"""Driver `ds18b20`: DS18B20 and its relatives on the 1-wire bus of the Linux kernel (`/sys/bus/w1/devices`)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import Command, DeviceIO, Driver
from gatepost.drivers.onewire.scratchpad import POWER_ON, decode_w1_slave
from gatepost.drivers.onewire.twin import Ds18b20Twin
from gatepost.drivers.options import MetricName
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Faults, Reading, Reply, as_result
from gatepost.drivers.serial.common.line_splitter import LineSplitter

LONGEST_LINE = 100
UNITS = {"temperature": "Cel"}
LOWEST, HIGHEST = -55.0, 125.0  # what the sensor can measure


class Ds18b20Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often the sensor is read."""

    interval: Annotated[float, Meta(ge=1, le=86400, description="seconds between two readings")] = 10.0
    metric: Annotated[MetricName, Meta(description="the metric_type of its readings")] = "temperature"


class Ds18b20Decoder:
    """The text of `w1_slave`, again and again -> one reading for each."""

    def __init__(self, options: Ds18b20Options) -> None:
        self.faults = Faults()
        self._metric = options.metric
        self._split = LineSplitter(self.faults, LONGEST_LINE)
        self._first: bytes | None = None

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for line in self._split.feed(data):
            if b"crc=" in line:
                if self._first is not None:
                    self.faults.add("truncated", "a reading without its second line")
                self._first = line
            elif self._first is not None:
                text, self._first = self._first + b"\n" + line, None
                found = self._reading(text.decode("latin-1"))
                if found is not None:
                    out.append(found)
            else:
                self.faults.add("bad_format", "a line that is not of a sensor's file")
        return out

    def _reading(self, text: str) -> Reading | None:
        try:
            temperature = decode_w1_slave(text)
        except FrameError as wrong:
            self.faults.add(wrong.kind, "the sensor was read wrongly: check its wires, length and pull-up resistor")
            return None
        if not LOWEST <= temperature <= HIGHEST:
            why = "over-range" if temperature > HIGHEST else "under-range"
            return Reading(self._metric, {}, {}, (f"temperature:{why}",), BAD)
        if temperature == POWER_ON:
            flags = ("temperature:suspect", "power-on-value")
            return Reading(self._metric, {"temperature": temperature}, UNITS, flags, UNCERTAIN)
        return Reading(self._metric, {"temperature": temperature}, UNITS, (), GOOD)


class Ds18b20(Driver):
    """Only reads a file: resolution and alarm limits stay as they are."""

    name = "ds18b20"
    title = "DS18B20 thermometer on the kernel's 1-wire bus"
    transport = "w1"
    metrics = ("temperature",)
    options_type = Ds18b20Options
    commands = (Command("read_now", "Measure now", timeout=15.0),)
    example_options: ClassVar[dict[str, Any]] = {"interval": 10.0}
    source = "DS18B20 data sheet; Linux Documentation/w1/slaves/w1_therm"

    def decoder(self) -> Ds18b20Decoder:
        return Ds18b20Decoder(self.options)

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command != "read_now":
            return await super().execute(command, parameters, io)
        await io.send(b"read")  # the link reads the file, whatever is said
        reading = await io.wait(lambda item: item if isinstance(item, Reading) else None, 12.0)
        return as_result(reading)

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Ds18b20Twin:
        return Ds18b20Twin(seed)
