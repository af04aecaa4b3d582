"""Drivers `protocentral-ads1292r` and `healthypi`: ProtoCentral's ECG and vital sign boards. They only speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from gatepost.drivers.driver import Driver, ScanHints, SerialSettings, Twin
from gatepost.drivers.reading import Faults, Reading, Reply, measured
from gatepost.drivers.serial.protocentral.frames import ProtocentralFrame, ProtocentralFrameReader
from gatepost.drivers.serial.protocentral.signals import ADS1292R, HEALTHYPI, SignalFrame, ads1292r, healthypi
from gatepost.drivers.serial.protocentral.twin import ProtocentralTwin
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

RAW = "{raw}"  # no scale is published: counts as the board gives them
NO_SPO2 = 25  # the low octet of -999, which the firmware has for "none"
METRIC_OF = {"ecg": "ecg", "respiration": "respiration", "infrared": "pulse_oximetry", "red": "pulse_oximetry"}

# Samples of each curve for one of `rate`, by the size of the payload.
RATIOS: Mapping[int, Mapping[str, float]] = {
    8: {"ecg": 1, "respiration": 1},
    20: {"ecg": 1, "respiration": 1, "infrared": 1, "red": 1},
    22: {"ecg": 1, "respiration": 0.5, "infrared": 1, "red": 1},
    50: {"ecg": 1, "respiration": 0.5},
    19: {"red": 0.8},
}
# name -> metric and unit
NUMBERS = {
    "heart_rate": ("heart_rate", "/min"),
    "respiration_rate": ("respiration", "/min"),
    "spo2": ("pulse_oximetry", "%"),
    "temperature": ("body_temperature", "Cel"),
}

Rate = Annotated[float, Meta(ge=1, le=8000, description="ECG samples a second, as the board's firmware was built")]


class Ads1292rOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the board does not say of itself."""

    rate: Rate = 125.0
    waveforms: Annotated[
        list[Literal["ecg", "respiration"]], Meta(description="the curves that are reported; [] = numbers only")
    ] = msgspec.field(default_factory=lambda: ["ecg", "respiration"])


class HealthyPiOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the board does not say of itself."""

    rate: Rate = 125.0
    waveforms: Annotated[
        list[Literal["ecg", "respiration", "infrared", "red"]],
        Meta(description="the curves that are reported; [] = numbers only"),
    ] = msgspec.field(default_factory=lambda: ["ecg", "respiration"])


class ProtocentralDecoder:
    """Frames -> blocks of a second of each curve, and the numbers when they change and once a second."""

    def __init__(
        self,
        known: Mapping[int, frozenset[int]],
        signals: Callable[[ProtocentralFrame], SignalFrame],
        rate: float,
        curves: tuple[str, ...],
    ) -> None:
        self.faults = Faults()
        self._frames = ProtocentralFrameReader(self.faults, known)
        self._signals = signals
        self._rate = rate
        self._curves = curves
        self._blocks: dict[tuple[int, str], WaveformBlocks] = {}
        self._numbers = {name: _Number(name) for name in NUMBERS}
        self._told: dict[int, tuple[tuple[int | None, ...] | None, int]] = {}  # by the size of the payload

    def feed(self, data: bytes) -> list[Reading | Reply]:
        out: list[Reading | Reply] = []
        for frame in self._frames.feed(data):
            if frame is None:
                for blocks in self._blocks.values():
                    out += blocks.gap()
                continue
            found = self._signals(frame)
            for name in self._curves:
                self._curve(name, found, out)
            self._judge(found, out)
        return out

    def _judge(self, found: SignalFrame, out: list[Reading | Reply]) -> None:
        """The numbers of a frame: nearly always those of the one before."""
        told = (found.heart_rate, found.respiration_rate, found.spo2, found.centidegrees, found.lead_status)
        last, samples = self._told.get(found.size, (None, 0))
        samples += len(found.ecg) or len(found.red)
        curve = "ecg" if found.ecg else "red"
        due = samples > self._rate * RATIOS[found.size][curve]
        if not due and told == last:
            self._told[found.size] = (told, samples)
            return
        self._told[found.size] = (told, len(found.ecg) or len(found.red))
        for name, value, why in numbers(found):
            reading = self._numbers[name].judge(value, why, due)
            if reading is not None:
                out.append(reading)

    def _curve(self, name: str, found: SignalFrame, out: list[Reading | Reply]) -> None:
        samples: tuple[int, ...] = getattr(found, name)
        if not samples:
            return
        off = found.ecg_off if name in ("ecg", "respiration") else found.probe_off
        why = "" if not off else "lead-off" if name in ("ecg", "respiration") else "no-finger"
        blocks = self._blocks.get((found.size, name))
        if blocks is None:
            rate = self._rate * RATIOS[found.size][name]
            blocks = WaveformBlocks(METRIC_OF[name], rate, [WaveformChannel(name, RAW)])
            self._blocks[found.size, name] = blocks
        for sample in samples:
            out += blocks.add((why or sample,))


def numbers(found: SignalFrame) -> list[tuple[str, float | None, str]]:
    """The numbers that a frame has: name, value or None, and why there is none."""
    out: list[tuple[str, float | None, str]] = []
    lead = "lead-off" if found.ecg_off else "no-signal"
    probe = "no-finger" if found.probe_off else "no-signal"
    for name, value in (("heart_rate", found.heart_rate), ("respiration_rate", found.respiration_rate)):
        if value is not None:
            out.append((name, None if found.ecg_off or not value else value, lead))
    if found.spo2 is not None:
        spo2 = found.spo2
        why = "over-range" if spo2 > 100 and not found.probe_off else probe
        out.append(("spo2", None if found.probe_off or spo2 in (0, NO_SPO2) or spo2 > 100 else spo2, why))
    if found.centidegrees is not None:  # zero until the sensor was read, and when there is none
        out.append(("temperature", found.centidegrees / 100 if found.centidegrees else None, "no-signal"))
    return out


class _Number:
    """One number of the stream: reported when it changes, and once for each second of samples."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._metric, self._unit = NUMBERS[name]
        self._last: tuple[float | None, str] | None = None

    def judge(self, value: float | None, why: str, due: bool) -> Reading | None:
        now = (value, "" if value is not None else why)
        if now == self._last and not due:
            return None
        self._last = now
        return measured(self._metric, {self._name: value}, {self._name: self._unit}, why)


class ProtocentralAds1292r(Driver):
    """ADS1292R breakout board and shield."""

    name = "protocentral-ads1292r"
    title = "ProtoCentral ADS1292R: ECG, respiration, heart rate"
    line = SerialSettings(57600)
    metrics = ("ecg", "respiration", "heart_rate")
    values = ("heart_rate", "respiration_rate", "lost_samples")
    silence = 10.0
    options_type = Ads1292rOptions
    example_options: ClassVar[dict[str, Any]] = {"rate": 125, "waveforms": ["ecg"]}
    scan_hints = ScanHints(lines=(SerialSettings(115200),))
    source = "ProtoCentral OpenView, decoder of the ADS1292R breakout"

    def decoder(self) -> ProtocentralDecoder:
        return ProtocentralDecoder(ADS1292R, ads1292r, self.options.rate, tuple(self.options.waveforms))

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return ProtocentralTwin(seed, (options or Ads1292rOptions()).rate)


class HealthyPi(Driver):
    """HealthyPi v3, v4 and 5: which one, its frames tell."""

    name = "healthypi"
    title = "ProtoCentral HealthyPi v3, v4 and 5: ECG, respiration, SpO2, temperature"
    line = SerialSettings(115200)
    metrics = ("ecg", "respiration", "heart_rate", "pulse_oximetry", "body_temperature")
    values = ("heart_rate", "respiration_rate", "spo2", "temperature", "lost_samples")
    silence = 10.0
    options_type = HealthyPiOptions
    example_options: ClassVar[dict[str, Any]] = {"waveforms": ["ecg", "respiration", "infrared"]}
    scan_hints = ScanHints(lines=(SerialSettings(57600),))
    source = "ProtoCentral OpenView, decoders of HealthyPi; firmware of HealthyPi v3 and v4"

    def decoder(self) -> ProtocentralDecoder:
        return ProtocentralDecoder(HEALTHYPI, healthypi, self.options.rate, tuple(self.options.waveforms))

    @classmethod
    def twin(cls, options: Any = None, seed: int = 0) -> Twin:
        return ProtocentralTwin(seed, (options or HealthyPiOptions()).rate, healthypi=True)
