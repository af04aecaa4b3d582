"""MDC codes of monitors (IEEE 11073-10101, partition * 65536 + term) -> metric, value and flags; units -> UCUM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OTHER = "reading"  # the metric of what the catalogue has no name for


class Meaning(NamedTuple):
    """Metric, value and flags of a code; `signed`: a negative number is a value, too."""

    metric: str
    value: str
    flags: tuple[str, ...] = ()
    signed: bool = False


def _pressures(first: int, site: str) -> dict[int, Meaning]:
    """Systolic, diastolic, mean: in this order."""
    names = ("systolic", "diastolic", "mean")
    return {first + i: Meaning("invasive_pressure", name, (f"site-{site}",), True) for i, name in enumerate(names)}


def _cuff(first: int) -> dict[int, Meaning]:
    return {first + i: Meaning("blood_pressure", name) for i, name in enumerate(("systolic", "diastolic", "mean"))}


def _breaths(*source: str) -> Meaning:
    return Meaning("respiration", "respiration_rate", source)


MEANINGS: Mapping[int, Meaning] = {
    147842: Meaning("heart_rate", "heart_rate", ("source-ecg",)),
    149514: Meaning("heart_rate", "heart_rate"),  # pulse of a source that is not told
    149522: Meaning("heart_rate", "heart_rate", ("source-invasive",)),
    149530: Meaning("pulse_oximetry", "heart_rate", ("source-pleth",)),
    149546: Meaning("blood_pressure", "heart_rate", ("source-nibp",)),
    150456: Meaning("pulse_oximetry", "spo2"),
    150488: Meaning("pulse_oximetry", "perfusion_index"),
    150448: Meaning("pulse_oximetry", "perfusion_index"),
    **_cuff(150021),
    **_cuff(150301),
    **_pressures(150033, "art"),
    **_pressures(150037, "abp"),
    **_pressures(150045, "pap"),
    **_pressures(150085, "cvp"),
    **_pressures(153609, "icp"),
    150344: Meaning("body_temperature", "temperature"),
    150364: Meaning("body_temperature", "temperature"),
    151562: _breaths(),
    151578: _breaths("source-impedance"),
    151594: _breaths("source-co2"),
    151658: _breaths("source-pleth"),
    151708: Meaning("capnography", "et_co2"),
    151712: Meaning("capnography", "et_co2"),
    151716: Meaning("capnography", "fi_co2"),
    151728: Meaning("capnography", "fi_co2"),
}

UNITS: Mapping[int, str] = {
    266016: "mm[Hg]",
    265987: "kPa",
    262688: "%",
    264864: "/min",
    264928: "/min",
    268192: "Cel",
    266560: "[degF]",
    266418: "mV",
    262656: "",
    263441: "cm",
    263875: "kg",
}

CURVES: Mapping[int, tuple[str, str]] = {  # metric and channel of a waveform
    **{131328 + i: ("ecg", lead) for i, lead in enumerate(("ecg", "I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))},
    131389: ("ecg", "III"), 131390: ("ecg", "aVR"), 131391: ("ecg", "aVL"), 131392: ("ecg", "aVF"),
    150452: ("pulse_oximetry", "pleth"), 151562: ("respiration", "respiration"),
    150032: ("invasive_pressure", "pressure"), 150036: ("invasive_pressure", "pressure"),
}  # fmt: skip
