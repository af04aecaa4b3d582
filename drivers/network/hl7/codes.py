"""MDC codes of monitors (IEEE 11073-10101, partition * 65536 + term) -> metric, value and flags; units -> UCUM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from gatepost.drivers.network.hl7.message import Observation

MISMATCH = "code-mismatch"
OTHER = "reading"  # the metric of what the catalogue has no name for
LABORATORY = "laboratory"
MDC_SYSTEMS = frozenset({"MDC", "MDIL", "99MNDRY", ""})
NO_VALUE = frozenset({-100.0, -999.0, -99.9})
_MDIL = re.compile(r"([0-9a-fA-F]{4})-([0-9a-fA-F]{4})")


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
    150087: Meaning("invasive_pressure", "mean", ("site-cvp",), True),
    150344: Meaning("body_temperature", "temperature"),
    151562: _breaths(),
    151578: _breaths("source-impedance"),
    151594: _breaths("source-co2"),
    151658: _breaths("source-pleth"),
    151708: Meaning("capnography", "et_co2"),
    151712: Meaning("capnography", "et_co2"),
    151716: Meaning("capnography", "fi_co2"),
    151728: Meaning("capnography", "fi_co2"),
}

NAMES: Mapping[str, int] = {
    "MDC_ECG_HEART_RATE": 147842,
    "MDC_BLD_PULS_RATE_INV": 149522,
    "MDC_PULS_OXIM_PULS_RATE": 149530,
    "MDC_PULS_RATE_NON_INV": 149546,
    "MDC_PULS_OXIM_SAT_O2": 150456,
    "MDC_BLD_PERF_INDEX": 150488,
    "MDC_PULS_OXIM_PERF_REL": 150448,
    **{f"MDC_PRESS_BLD_NONINV_{part}": 150021 + i for i, part in enumerate(("SYS", "DIA", "MEAN"))},
    **{f"MDC_PRESS_CUFF_{part}": 150301 + i for i, part in enumerate(("SYS", "DIA", "MEAN"))},
    **{f"MDC_PRESS_BLD_ART_{part}": 150033 + i for i, part in enumerate(("SYS", "DIA", "MEAN"))},
    **{f"MDC_PRESS_BLD_ART_ABP_{part}": 150037 + i for i, part in enumerate(("SYS", "DIA", "MEAN"))},
    **{f"MDC_PRESS_BLD_ART_PULM_{part}": 150045 + i for i, part in enumerate(("SYS", "DIA", "MEAN"))},
    "MDC_PRESS_BLD_VEN_CENT_MEAN": 150087,
    "MDC_TEMP": 150344,
    "MDC_RESP_RATE": 151562,
    "MDC_TTHOR_RESP_RATE": 151578,
    "MDC_CO2_RESP_RATE": 151594,
    "MDC_PULS_OXIM_PLETH_RESP_RATE": 151658,
    "MDC_CONC_AWAY_CO2_ET": 151708,
    "MDC_CONC_AWAY_CO2_INSP": 151716,
}

_UNITS: Mapping[int, str] = {
    266016: "mm[Hg]",
    265987: "kPa",
    262688: "%",
    264864: "/min",
    264928: "/min",
    268192: "Cel",
    266560: "[degF]",
    266418: "mV",
    262656: "",
}
_UNIT_TEXTS: Mapping[str, str] = {
    "mmhg": "mm[Hg]", "kpa": "kPa", "%": "%", "bpm": "/min", "rpm": "/min", "/min": "/min", "1/min": "/min",
    "°c": "Cel", "degc": "Cel", "c": "Cel", "cel": "Cel", "°f": "[degF]", "degf": "[degF]", "mv": "mV",
    "mdc_dim_mmhg": "mm[Hg]", "mdc_dim_kilo_pascal": "kPa", "mdc_dim_percent": "%", "mdc_dim_degc": "Cel",
    "mdc_dim_beat_per_min": "/min", "mdc_dim_resp_per_min": "/min", "mdc_dim_fahr": "[degF]", "mdc_dim_dimless": "",
}  # fmt: skip


def mdc_of(code: str) -> int | None:
    """The number of a code as it is written, `150456` or `0002-4bb8` (partition and term)."""
    found = _MDIL.fullmatch(code)
    if found:
        return (int(found[1], 16) << 16) + int(found[2], 16)
    return int(code) if code.isascii() and code.isdigit() and len(code) <= 10 else None


def identify(item: Observation) -> tuple[int | None, tuple[str, ...]]:
    """The MDC code that is meant, and flags: where name, sub-id and code contradict each other the name counts."""
    code, name, system = item.code
    number = mdc_of(code)
    named = NAMES.get(name.upper())
    if named is not None and named != number:
        return named, (MISMATCH,)
    if system == "MDC" and named is None:
        sub = mdc_of(item.sub_id.rpartition(".")[2])
        if sub is not None and sub in MEANINGS and number not in (None, sub):
            return sub, (MISMATCH,)
        if number is not None and number in MEANINGS and not name.upper().startswith("MDC"):
            return number, (MISMATCH,)  # a name in the monitor's language
    return number, ()


def ucum(unit: tuple[str, str, str]) -> str:
    """The unit; as sent where it is not known. A text goes before a private number: one of Philips' is wrong."""
    code, text, system = unit
    known = _UNIT_TEXTS.get(text.casefold())
    if system == "MDIL" and known is not None:
        return known
    number = mdc_of(code)
    if number is not None and number in _UNITS:
        return _UNITS[number]
    if known is not None:
        return known
    return re.sub(r"[^ -~]", "", text or (code if number is None else ""))[:32].strip()
