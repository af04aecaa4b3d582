"""Codes, names and units of HL7 observations: which MDC code is meant, and the unit in UCUM."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gatepost.drivers.network.hl7.message import Observation
from gatepost.drivers.network.mdc_codes import MEANINGS, UNITS, Meaning

MISMATCH = "code-mismatch"
MDC_SYSTEMS = frozenset({"MDC", "MDIL", "99MNDRY", ""})
NO_VALUE = frozenset({-100.0, -999.0, -99.9, -1000.0, -10000.0, 8388607.0})
_MDIL = re.compile(r"([0-9a-fA-F]{4})-([0-9a-fA-F]{4})")


NAMES: Mapping[str, int] = {
    "MDC_ECG_HEART_RATE": 147842,
    "MDC_BLD_PULS_RATE_INV": 149522,
    "MDC_PULS_RATE": 149514,
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

# LOINC: vital signs. Those of the second table a blood gas analyser sends, too: what it measured, or was told, itself.
LOINC_SYSTEMS = frozenset({"LN", ""})
VITAL_LOINC: Mapping[str, Meaning] = {
    "8867-4": Meaning("heart_rate", "heart_rate"),
    "8889-8": Meaning("pulse_oximetry", "heart_rate", ("source-pleth",)),
    "59408-5": Meaning("pulse_oximetry", "spo2"),
    "8480-6": Meaning("blood_pressure", "systolic"),
    "8462-4": Meaning("blood_pressure", "diastolic"),
    "8478-0": Meaning("blood_pressure", "mean"),
    "9279-1": Meaning("respiration", "respiration_rate"),
}
BESIDE_VITAL_LOINC: Mapping[str, Meaning] = {
    "2708-6": Meaning("pulse_oximetry", "spo2"),
    "8310-5": Meaning("body_temperature", "temperature"),
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
        if number is not None and number in MEANINGS and name and not name.upper().startswith("MDC"):
            return number, (MISMATCH,)  # a name in the monitor's language
    return number, ()


def ucum(unit: tuple[str, str, str]) -> str:
    """The unit; as sent where it is not known. A text goes before a private number: one of Philips' is wrong."""
    code, text, system = unit
    if system == "UCUM":
        code = text = re.sub(r"\{[^{}]*\}", "", code)  # `{beats}/min`: what is counted
    known = _UNIT_TEXTS.get((text or code).casefold())
    if system == "MDIL" and known is not None:
        return known
    number = mdc_of(code)
    if number is not None and number in UNITS:
        return UNITS[number]
    if known is not None:
        return known
    return _shown(text or (code if number is None else ""))


def _shown(text: str) -> str:
    return re.sub(r"[^ -~]", "", text)[:32].strip()
