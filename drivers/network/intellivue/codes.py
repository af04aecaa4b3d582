"""Codes of IntelliVue monitors: physiological ids -> metrics and values, units, states, labels of waveforms."""

from __future__ import annotations

from collections.abc import Mapping

from gatepost.drivers.network.mdc_codes import CURVES, MEANINGS, OTHER, UNITS, Meaning

PHYSIOLOGY, DIMENSIONS = 2 << 16, 4 << 16  # partitions
STATES = (
    (0x8000, "invalid"), (0x4000, "questionable"), (0x2000, "unavailable"), (0x1000, "calibrating"),
    (0x0800, "test-data"), (0x0400, "demo-data"), (0x0080, "validated"), (0x0040, "early"),
    (0x0020, "ongoing"), (0x0002, "in-alarm"), (0x0001, "alarm-inhibited"),
)  # fmt: skip
INVALID, QUESTIONABLE, UNAVAILABLE, CALIBRATING, TEST, DEMO = 0x8000, 0x4000, 0x2000, 0x1000, 0x0800, 0x0400
DOUBTS = (QUESTIONABLE, "questionable"), (CALIBRATING, "calibrating")

_OWN: Mapping[int, Meaning] = {
    149538: Meaning("pulse_oximetry", "heart_rate", ("source-pleth",)),
    192741: Meaning("blood_pressure", "heart_rate", ("source-nibp",)),
}
_OWN_CURVES: Mapping[int, tuple[str, str]] = {
    131395: ("ecg", "V"), 150084: ("invasive_pressure", "pressure"), 150044: ("invasive_pressure", "pressure"),
    151552: ("respiration", "respiration"), 151724: ("capnography", "co2"),
}  # fmt: skip
_SITES = {150032: "site-art", 150036: "site-abp", 150084: "site-cvp", 150044: "site-pap"}
_OWN_UNITS = {266419: "uV", 264338: "ms", 264320: "s", 265201: "L/min"}

# Labels of waveforms by the names that people choose them with.
WAVE_LABELS: Mapping[str, int] = {
    "ecg": 131328, "i": 131329, "ii": 131330, "iii": 131389, "avr": 131390, "avl": 131391, "avf": 131392,
    "v1": 131331, "v2": 131332, "v3": 131333, "v4": 131334, "v5": 131335, "v6": 131336, "pleth": 150452,
    "art": 150032, "abp": 150036, "pap": 150044, "cvp": 150084, "resp": 151552, "co2": 151724,
}  # fmt: skip


def meaning_of(physio_id: int, names: Mapping[str, str]) -> Meaning:
    """Unknown ids pass as `mdc_<code>`, or under the name that `names` has for the code."""
    code = PHYSIOLOGY + physio_id
    known = _OWN.get(code) or MEANINGS.get(code)
    return known or Meaning(OTHER, names.get(str(code)) or f"mdc_{code}", (), True)


def curve_of(physio_id: int) -> tuple[str, str, tuple[str, ...]]:
    """Metric, channel and flags of a waveform."""
    code = PHYSIOLOGY + physio_id
    metric, channel = _OWN_CURVES.get(code) or CURVES.get(code) or (OTHER, f"mdc_{code}")
    return metric, channel, (_SITES[code],) if code in _SITES else ()


def unit_of(code: int) -> str:
    """UCUM; one that is not known as an annotation with its code."""
    number = DIMENSIONS + code
    known = UNITS.get(number, _OWN_UNITS.get(number))
    return f"{{mdc_{number}}}" if known is None else known


def state_words(state: int) -> list[str]:
    return [word for bit, word in STATES if state & bit]


def unreal_flags(state: int) -> tuple[str, ...]:
    return tuple(flag for bit, flag in ((DEMO, "demo"), (TEST, "test-data")) if state & bit)
