"""Metric catalogue: names of the metric types and their values, their UCUM units, LOINC and MDC codes.

Codes stand only where public sources agree. A user's own metric types and values are as good as these; they just have
no codes. What surrounds people is in drivers/environment_values.py, what stands at a bed in bedside_metrics.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gatepost.drivers.bedside_metrics import BEDSIDE_METRICS
from gatepost.drivers.catalogue import (
    LABORATORY,
    LIST,
    PROCEDURE,
    Metric,
    MetricCodes,
    MetricValue,
    count,
    value,
    waveform,
)
from gatepost.drivers.environment_values import SURROUNDING_METRICS

_PRESSURE = ("mm[Hg]", "kPa")
_TEMPERATURE = ("Cel", "[degF]")
_MASS = ("kg", "g", "[lb_av]", "[oz_av]")
_LENGTH = ("cm", "m", "[in_i]")
_GLUCOSE = ("mg/dL", "mmol/L")
_BODY = "8310-5"

_USER = count("user_id", "number of the user in the device's memory")
_RECORD = count("sequence_number", "number of the record in the device's memory")
_LOST = count("lost_samples", "samples lost before this block")


def _heart_rate(mdc: int, mdc_name: str, name: str = "heart_rate", title: str = "heart rate") -> MetricValue:
    return value(name, title, "/min", "8867-4", mdc, mdc_name)


def _saturation(name: str, title: str) -> MetricValue:
    return value(name, title, "%", ("2708-6", "59408-5"), 150456, "MDC_PULS_OXIM_SAT_O2")


def _mass(
    name: str, title: str, loinc: str | tuple[str, ...] = (), mdc: int | None = None, mdc_name: str = ""
) -> MetricValue:
    return value(name, title, _MASS, loinc, mdc, mdc_name)


_PULSE = (149530, "MDC_PULS_OXIM_PULS_RATE")
_CUFF_RATE = _heart_rate(149546, "MDC_PULS_RATE_NON_INV")
_WEIGHT = _mass("weight", "body weight", "29463-7", 188736, "MDC_MASS_BODY_ACTUAL")
_HEIGHT = value("height", "body height", _LENGTH, "8302-2", 188740, "MDC_LEN_BODY_ACTUAL")
_BMI = value("bmi", "body mass index", "kg/m2", "39156-5", 188752, "MDC_RATIO_MASS_BODY_LEN_SQ")

_BESIDE_OXYGEN = (
    value("spco", "carboxyhaemoglobin", "%"),
    value("spmet", "methaemoglobin", "%"),
    value("sphb", "haemoglobin, as the device counts it"),
    value("pvi", "variation of the pulse wave", "%"),
    value("desat", "desaturation index, as the device counts it"),
    value("pi_delta", "change of the perfusion index, as the device counts it"),
    value("pulse_amplitude", "amplitude of the pulse, as the device counts it"),
)

# Flag of the site -> its codes; the code of a body temperature stands before that of the site.
_SITES = {
    "site-armpit": MetricCodes((_BODY, "8328-7"), 188452, "MDC_TEMP_AXILLA"),
    "site-body": MetricCodes((_BODY,), 150364, "MDC_TEMP_BODY"),
    "site-ear": MetricCodes((_BODY, "8333-7"), 188428, "MDC_TEMP_EAR"),
    "site-finger": MetricCodes((_BODY,), 188432, "MDC_TEMP_FINGER"),
    "site-gastro-intestinal": MetricCodes((_BODY,), 188456, "MDC_TEMP_GIT"),
    "site-mouth": MetricCodes((_BODY, "8331-1"), 188424, "MDC_TEMP_ORAL"),
    "site-rectum": MetricCodes((_BODY, "8332-9"), 188420, "MDC_TEMP_RECT"),
    "site-toe": MetricCodes((_BODY,), 188448, "MDC_TEMP_TOE"),
    "site-tympanum": MetricCodes((_BODY, "8333-7"), 150392, "MDC_TEMP_TYMP"),
}

_CAPILLARY = {"mg/dL": "41653-7", "mmol/L": "14743-9"}
_UNSPECIFIED = {"mg/dL": "2339-0", "mmol/L": "15074-8"}
_INTERSTITIAL = {"mg/dL": "99504-3"}
# Flag of the sample -> its codes.
_SAMPLES = {
    "sample-capillary-whole-blood": MetricCodes((), 160184, "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD", _CAPILLARY),
    "sample-capillary-plasma": MetricCodes((), 160188, "MDC_CONC_GLU_CAPILLARY_PLASMA", _CAPILLARY),
    "sample-venous-whole-blood": MetricCodes((), 160192, "MDC_CONC_GLU_VENOUS_WHOLEBLOOD"),
    "sample-venous-plasma": MetricCodes((), 160196, "MDC_CONC_GLU_VENOUS_PLASMA"),
    "sample-arterial-whole-blood": MetricCodes((), 160200, "MDC_CONC_GLU_ARTERIAL_WHOLEBLOOD"),
    "sample-arterial-plasma": MetricCodes((), 160204, "MDC_CONC_GLU_ARTERIAL_PLASMA"),
    "sample-undetermined-whole-blood": MetricCodes((), 160364, "MDC_CONC_GLU_UNDETERMINED_WHOLEBLOOD", _UNSPECIFIED),
    "sample-undetermined-plasma": MetricCodes((), 160368, "MDC_CONC_GLU_UNDETERMINED_PLASMA", _UNSPECIFIED),
    "sample-interstitial-fluid": MetricCodes((), 160212, "MDC_CONC_GLU_ISF", _INTERSTITIAL),
    "sample-control-solution": MetricCodes((), 160208, "MDC_CONC_GLU_CONTROL"),
}

_LEADS = {
    "I": 131329,
    "II": 131330,
    "III": 131389,
    "aVR": 131390,
    "aVL": 131391,
    "aVF": 131392,
    **{f"V{i}": 131330 + i for i in range(1, 7)},
}
_VOLTS = ("uV", "mV")

_METRICS = (
    Metric(
        "blood_pressure",
        "blood pressure",
        (
            value("systolic", "systolic", _PRESSURE, "8480-6", 150021, "MDC_PRESS_BLD_NONINV_SYS"),
            value("diastolic", "diastolic", _PRESSURE, "8462-4", 150022, "MDC_PRESS_BLD_NONINV_DIA"),
            value("mean", "mean arterial", _PRESSURE, "8478-0", 150023, "MDC_PRESS_BLD_NONINV_MEAN"),
            _CUFF_RATE,
            _USER,
            _RECORD,
        ),
    ),
    Metric(
        "cuff_pressure",
        "pressure in the cuff while it measures",
        (value("pressure", "pressure", _PRESSURE), _CUFF_RATE, _USER),
        kind=PROCEDURE,
    ),
    Metric(
        "pulse_oximetry",
        "pulse oximetry",
        (
            _saturation("spo2", "oxygen saturation"),
            _heart_rate(*_PULSE),
            value("perfusion_index", "perfusion index", "%", "61006-3", 150448, "MDC_PULS_OXIM_PERF_REL"),
            _saturation("spo2_fast", "oxygen saturation, quick average"),
            _heart_rate(*_PULSE, "heart_rate_fast", "heart rate, quick average"),
            _saturation("spo2_slow", "oxygen saturation, slow average"),
            _heart_rate(*_PULSE, "heart_rate_slow", "heart rate, slow average"),
            *_BESIDE_OXYGEN,
            value("motion", "motion, as the device counts it"),
            _RECORD,
            _LOST,
        ),
        (
            waveform("pleth", "plethysmogram", "{raw}", 150452, "MDC_PULS_OXIM_PLETH"),
            waveform("infrared", "light absorbed, infrared", "{raw}"),
            waveform("red", "light absorbed, red", "{raw}"),
        ),
    ),
    Metric(
        "heart_rate",
        "heart rate",
        (
            _heart_rate(147842, "MDC_ECG_HEART_RATE"),
            value("energy_expended", "energy expended", "kJ"),
            value("rr_intervals", "RR intervals", "ms", "8637-1", 147240, "MDC_ECG_TIME_PD_RR_GL", kind=LIST),
        ),
    ),
    Metric(
        "respiration",
        "breathing",
        (value("respiration_rate", "respiration rate", "/min", "9279-1", 151562, "MDC_RESP_RATE"), _LOST),
        (waveform("respiration", "impedance of the chest", "{raw}"),),
    ),
    Metric(
        "body_temperature",
        "body temperature",
        (value("temperature", "body temperature", _TEMPERATURE, _BODY, 150364, "MDC_TEMP_BODY", by_flag=_SITES),),
    ),
    Metric(
        "glucose",
        "blood glucose",
        (
            value(
                "glucose",
                "glucose",
                _GLUCOSE,
                (),
                160184,
                "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD",
                loinc_by_unit=_CAPILLARY,
                by_flag=_SAMPLES,
            ),
            value("hba1c", "glycated haemoglobin", "%", (), 160220, "MDC_CONC_HBA1C"),
            value("carbohydrate", "carbohydrate eaten", ("kg", "g")),
            value("medication", "medication taken", ("kg", "L", "mg", "mL")),
            value("exercise_duration", "duration of exercise", "s"),
            value("exercise_intensity", "intensity of exercise", "%"),
            _RECORD,
        ),
        kind=LABORATORY,
    ),
    Metric(
        "continuous_glucose",
        "interstitial glucose",
        (
            value(
                "glucose",
                "glucose",
                _GLUCOSE,
                (),
                160212,
                "MDC_CONC_GLU_ISF",
                loinc_by_unit=_INTERSTITIAL,
                by_flag=_SAMPLES,
            ),
            value("trend", "change of glucose", ("mg/dL/min", "mmol/L/min")),
            value("signal_quality", "quality of the sensor's signal", "%"),
            count("time_offset", "time since the start of the session", "min"),
        ),
        kind=LABORATORY,
    ),
    Metric("body_weight", "body weight", (_WEIGHT, _HEIGHT, _BMI, _USER)),
    Metric(
        "body_composition",
        "body composition",
        (
            _WEIGHT,
            _HEIGHT,
            _BMI,
            value("body_fat", "body fat", "%", "41982-0", 188748, "MDC_BODY_FAT"),
            _mass("fat_mass", "fat mass", "73708-0"),
            _mass("fat_free_mass", "fat-free mass", (), 188756, "MDC_MASS_BODY_FAT_FREE"),
            _mass("soft_lean_mass", "soft lean mass", (), 188760, "MDC_MASS_BODY_SOFT_LEAN"),
            _mass("muscle_mass", "muscle mass", "73964-9"),
            value("muscle_percentage", "muscle", "%", "73965-6"),
            _mass("body_water_mass", "body water", "101683-1", 188764, "MDC_BODY_WATER"),
            value("body_water_percentage", "body water", "%", "101684-9"),
            value("bone_percentage", "bone", "%", "101686-4"),
            value("skeletal_muscle", "skeletal muscle", "%"),
            value("visceral_fat", "visceral fat, as the scale counts it", "{level}"),
            value("body_age", "age of such a body, as the scale counts it", "a"),
            value("impedance", "impedance", "Ohm"),
            value("impedance_2", "impedance at a second frequency", "Ohm"),
            value("basal_metabolism", "basal metabolism", ("kJ", "kcal")),
            _USER,
        ),
        kind=PROCEDURE,
    ),
    Metric(
        "ecg",
        "electrocardiogram",
        (_LOST, value("board_time", "time of the board's own clock", "ms")),
        (
            waveform("ecg", "ECG", _VOLTS, 131328, "MDC_ECG_ELEC_POTL", "11524-6"),
            *(waveform(lead, f"lead {lead}", _VOLTS, code, f"MDC_ECG_ELEC_POTL_{lead.upper()}", "11524-6")
              for lead, code in _LEADS.items()),
        ),
        kind=PROCEDURE,
    ),
    *BEDSIDE_METRICS,
    *SURROUNDING_METRICS,
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _METRICS})
MOMENTARY = frozenset(metric.name for metric in _METRICS if metric.momentary)


def find(metric: str, value: str) -> MetricValue | None:
    """What the catalogue knows of a value of a metric."""
    known = METRICS.get(metric)
    return known.value(value) if known else None
