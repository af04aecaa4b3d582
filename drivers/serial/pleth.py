"""Samples of a plethysmogram, gathered into blocks of one second."""

from __future__ import annotations

from drivers.reading import Reading, Waveform

RATE = 60.0  # Hz, both Contec protocols


class PlethBlocks:
    """`add(sample)` -> a reading with the waveform of one second when it is full; `cut` ends a block early."""

    def __init__(self, metric: str = "pulse_oximetry") -> None:
        self._metric = metric
        self._samples: list[int] = []

    def add(self, sample: int) -> Reading | None:
        self._samples.append(sample)
        return self.cut() if len(self._samples) >= RATE else None

    def cut(self) -> Reading | None:
        """What there is: after lost octets a block must not go on as if nothing had happened."""
        if not self._samples:
            return None
        samples, self._samples = self._samples, []
        return Reading(self._metric, {"channel": "pleth"}, waveform=Waveform(samples, RATE, unit="{raw}"))
