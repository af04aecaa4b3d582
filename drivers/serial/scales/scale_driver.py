"""Base of the scale drivers: options, the loop over lines, `mode` (stream, repeat, poll) and the command `read_now`."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from gatepost.drivers.checksums import FrameError
from gatepost.drivers.driver import Command, DeviceIO, Driver, KeepAlive
from gatepost.drivers.options import MetricName
from gatepost.drivers.reading import UNCERTAIN, Faults, Reading, Reply, as_result
from gatepost.drivers.serial.common.line_splitter import LineSplitter

PollInterval = Annotated[float, Meta(ge=0.2, le=86400, description="poll: seconds between two requests")]


class ScaleOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options that every scale has."""

    metric: Annotated[MetricName, Meta(description="the metric_type of a weight")] = "body_weight"


class ScaleReadNow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weigh."""

    stable: Annotated[bool, Meta(description="wait until the scale has come to rest")] = False


class ScaleDecoder:
    """Lines -> readings. The first line after opening may have lost its beginning: it is never a fault."""

    longest_line: ClassVar[int] = 64  # octets
    format_fault: ClassVar[str] = "a line has another format"

    def __init__(self, options: Any) -> None:
        self.faults = Faults()
        self._metric: str = options.metric
        self._split = LineSplitter(self.faults, self.longest_line)

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for line, first in self._split.lines(data):
            try:
                item = self.decode_line(line, first)
            except FrameError as wrong:
                if not first:
                    self.faults.add(wrong.kind, self.format_fault)
                continue
            if item is not None:
                out.append(item)
        return out

    @abstractmethod
    def decode_line(self, line: bytes, first: bool) -> Reading | Reply | None:
        """One line without its end; None = nothing to report. FrameError."""

    def ascii_text(self, line: bytes, hint: str) -> str | None:
        """The line as text; None, and a fault `parity`, when it has octets above 7F."""
        if line.isascii():
            return line.decode("ascii")
        self.faults.add("parity", f"octets above 7F: check {hint}")
        return None


class ScaleDriver(Driver):
    """A scale that is only ever asked for its weight: never tared, zeroed or adjusted.

    `requests`: what is written at opening, by `mode`; in `poll` it is repeated every `interval` seconds. One without
    `mode` only listens.
    """

    metrics = ("body_weight",)
    values = ("weight", "count", "percent", "carat", "value")
    requests: ClassVar[dict[str, bytes]] = {}
    request_stable: ClassVar[bytes] = b""
    patience: ClassVar[float] = 30.0  # seconds for a weight at rest

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self.mode: str = getattr(self.options, "mode", "stream")
        self.streams = self.mode != "stream"  # most print when a key is pressed, or at rest
        if self.mode == "poll":
            self.keep_alive = KeepAlive(self.requests["poll"], self.options.interval)

    def on_open_bytes(self) -> tuple[bytes, ...]:
        return (self.requests[self.mode],) if self.mode in self.requests else ()

    def refusal(self, item: Reading | Reply) -> None:
        """Raise CommandFailed when `item` says that the scale does not weigh now."""

    async def execute(self, command: str, parameters: msgspec.Struct, io: DeviceIO) -> dict[str, Any]:
        if command != "read_now" or not isinstance(parameters, ScaleReadNow):
            return await super().execute(command, parameters, io)
        stable = parameters.stable

        def weight(item: Reading | Reply) -> Reading | None:
            self.refusal(item)
            return item if isinstance(item, Reading) and not (stable and item.quality == UNCERTAIN) else None

        await io.send(self.request_stable if stable else self.requests["poll"])
        reading = await io.wait(weight, self.patience if stable else 3.0)
        return as_result(reading)


def read_now(name: str, timeout: float) -> Command:
    """The command `read_now` of the scale or balance `name`."""
    return Command("read_now", f"Weigh now, or when the {name} is at rest", ScaleReadNow, timeout, {"stable": True})
