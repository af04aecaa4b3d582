"""Waveforms of a message: OBX of type NA, with rate and resolution in the observations below the same sub-id."""

from __future__ import annotations

import re

from gatepost.drivers.network.hl7.codes import identify, ucum
from gatepost.drivers.network.hl7.message import ResultMessage
from gatepost.drivers.network.hl7.observations import number_of, time_of
from gatepost.drivers.network.mdc_codes import CURVES, OTHER
from gatepost.drivers.reading import GOOD, Reading, Waveform
from gatepost.drivers.waveforms import MAX_SAMPLES

_WHOLE = re.compile(r"\s*[+-]?\d{1,9}(?:\.0*)?\s*", re.ASCII)
RATE, SCALE, INOPERATIVE = "MDC_ATTR_SAMP_RATE", "MDC_ATTR_NU_MSMT_RES", "MDC_EVT_INOP"


def waveforms_of(message: ResultMessage, flags: tuple[str, ...] = (), quality: str = GOOD) -> list[Reading]:
    """A reading for each curve whose rate is told; none for one that is marked as inoperative."""
    found = []
    items = message.observations
    for at, item in enumerate(items):
        if item.kind != "NA":
            continue
        below = {}
        for other in items[at + 1 :]:
            if not item.sub_id or not other.sub_id.startswith(f"{item.sub_id}."):
                break
            below[other.code[1]] = other
        samples = item.value.split("^")
        rate = number_of(below[RATE].value) if RATE in below else None
        stopped = INOPERATIVE in below and below[INOPERATIVE].value == "1"
        if stopped or not rate or rate < 0 or not samples or len(samples) > MAX_SAMPLES:
            continue
        if not all(map(_WHOLE.fullmatch, samples)):
            continue
        whole = [int(sample.partition(".")[0]) for sample in samples]
        number, _ = identify(item)
        metric, channel = CURVES.get(number or 0, (OTHER, f"mdc_{number}"))
        scale = number_of(below[SCALE].value) if SCALE in below else None
        unit = ucum(below[SCALE].unit if SCALE in below and any(below[SCALE].unit) else item.unit)
        wave = Waveform(whole, float(rate), float(scale or 1), 0.0, unit or "{raw}")
        found.append(Reading(metric, {"channel": channel}, {}, flags, quality, time_of(item, message), wave))
    return found
