"""ECG of one heart beat, for twins."""

from __future__ import annotations

import math

# Where in the beat, how wide, how high: P, Q, R, S, T.
_WAVES = ((0.18, 0.03, 0.12), (0.335, 0.008, -0.12), (0.36, 0.012, 1.0), (0.385, 0.01, -0.2), (0.6, 0.05, 0.25))


def heart_beat(phase: float) -> float:
    """One lead of the ECG at 0 <= phase < 1 of a beat; the R wave is 1 high."""
    return sum(height * math.exp(-(((phase - at) / width) ** 2) / 2) for at, width, height in _WAVES)
