"""Codes of FHIR resources: MDC and LOINC codings of values, categories, device specialisations, reasons of absence.

Sources: the metric catalogue (drivers/metrics.py), the HL7 Personal Health Device guide, IEEE 11073-10101.
"""

from __future__ import annotations

from typing import Any

from gatepost.drivers.catalogue import SURROUNDINGS, MetricValue
from gatepost.drivers.metrics import METRICS

MDC, LOINC, UCUM = "urn:iso:std:iso:11073:10101", "http://loinc.org", "http://unitsofmeasure.org"
OWN = "urn:gatepost:metric"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
PHD_CATEGORY = "http://hl7.org/fhir/uv/phd/CodeSystem/PhdObservationCategories"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CONTINUA = "http://terminology.hl7.org/CodeSystem/ContinuaDeviceIdentifiers"
EUI48 = "http://hl7.org/fhir/sid/eui-48/bluetooth"
PRESSURE_PANEL = ("150020", "85354-9")
UNSURE_LOINC = frozenset({"101683-1"})  # not confirmed for this value at loinc.org

VITAL = frozenset(
    (
        "heart_rate",
        "spo2",
        "systolic",
        "diastolic",
        "mean",
        "temperature",
        "weight",
        "height",
        "bmi",
        "respiration_rate",
    )
)
# IEEE 11073-10101, partition 8: device specialisations, by what a driver's name contains.
SPECIALISATIONS = (
    ("528391", ("blood-pressure", "and-ua767pc", "ble-omron", "ble-microlife", "ble-viatom-bp2")),
    ("528388", ("oximeter", "contec", "nonin", "viatom-o2")),
    ("528392", ("thermometer",)),
    ("528390", ("polar-h10", "cyton", "ads1292r", "healthypi")),
    ("528401", ("glucose", "onetouch")),
    ("528399", ("scale", "mt-sics")),
)
# Values that only people have -> the metric whose codes they get in a metric of the user's own, with the usual unit.
OF_PEOPLE = {
    "heart_rate": "heart_rate",
    "spo2": "pulse_oximetry",
    "perfusion_index": "pulse_oximetry",
    "respiration_rate": "respiration",
}
REASONS = {
    "nan": "not-a-number",
    "over-range": "positive-infinity",
    "under-range": "negative-infinity",
    "not-at-this-resolution": "unknown",
    "no-finger": "temp-unknown",
    "searching": "temp-unknown",
}


def coding(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}


def coded(metric: str, name: str, unit: str | None = None) -> MetricValue | None:
    """The value in the catalogue, where it has an MDC code and is no measurement of surroundings."""
    known = METRICS.get(metric)
    if known is not None and known.kind == SURROUNDINGS:
        return None
    value = None if known is None else known.value(name)
    if value is None and name in OF_PEOPLE:
        value = METRICS[OF_PEOPLE[name]].value(name)
        return value if value is not None and unit in value.units else None
    return value if value is not None and value.mdc is not None else None


def codings(metric: str, name: str, unit: str | None, flags: list[str]) -> list[dict[str, str]]:
    """MDC first, LOINC beside it, then those of the site of a body temperature; our own code where there is none."""
    value = coded(metric, name, unit)
    if value is None:
        return [{"system": OWN, "code": f"{metric}.{name}"}]
    found = [(MDC, str(value.mdc))]
    loinc = (value.loinc_by_unit[unit],) if unit in value.loinc_by_unit else value.loinc
    found += [(LOINC, code) for code in loinc if code not in UNSURE_LOINC]
    if metric == "body_temperature":
        for flag in flags:
            site = value.by_flag.get(flag)
            if site is not None:
                found += [(MDC, str(site.mdc)), *((LOINC, code) for code in site.loinc)]
    return [{"system": system, "code": code} for system, code in dict.fromkeys(found)]


def category(metric: str, name: str, unit: str | None) -> list[dict[str, Any]]:
    known = METRICS.get(metric)
    own = known is not None and known.value(name) is not None
    kinds = []
    if metric == "laboratory" or name in ("glucose", "hba1c"):
        kinds = ["laboratory"]
    elif name in VITAL and (known.kind != SURROUNDINGS if known and own else coded(metric, name, unit)):
        kinds = ["vital-signs"]
    elif metric == "ecg":
        kinds = ["procedure"]
    return [*(coding(CATEGORY, kind) for kind in kinds), coding(PHD_CATEGORY, "phd")]


def specialisation(driver: str) -> str | None:
    for code, parts in SPECIALISATIONS:
        if any(part in driver for part in parts):
            return code
    return None


def absent(why: str | None) -> dict[str, Any]:
    """dataAbsentReason of a value that the device could not give."""
    if why is None:
        return coding(ABSENT, "unknown")
    return {**coding(ABSENT, REASONS.get(why, "error")), "text": why}
