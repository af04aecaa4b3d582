"""Samples of a plethysmogram, gathered into blocks of one second."""

from __future__ import annotations

from gatepost.drivers.reading import Reading
from gatepost.drivers.waveforms import WaveformBlocks, WaveformChannel

RATE = 60.0  # Hz, both Contec protocols


class PlethBlocks:
    """`add(sample)` -> the waveform of one second when it is full; `lose` ends a block early and marks the gap."""

    def __init__(self, metric: str = "pulse_oximetry", rate_hz: float = RATE) -> None:
        self._blocks = WaveformBlocks(metric, rate_hz, [WaveformChannel("pleth", "{raw}")])

    def add(self, sample: int) -> list[Reading]:
        return self._blocks.add((sample,))

    def lose(self, samples: int | None = None) -> list[Reading]:
        """What there is: after lost octets a block must not go on as if nothing had happened."""
        return self._blocks.gap(samples)
