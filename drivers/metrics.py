"""The metric catalogue: what the metric types and their values are called, their UCUM units, LOINC and MDC codes.

LOINC and IEEE 11073-10101 (MDC, partition * 65536 + term) codes stand only where public sources agree. A user's own
metric types and values are as good as these; they just have no codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec


class Value(msgspec.Struct, frozen=True):
    """One value of a metric. `units`: those that devices report, the usual one first; a list stays a list."""

    name: str
    title: str
    units: tuple[str, ...] = ()
    loinc: tuple[str, ...] = ()
    mdc: int | None = None
    mdc_name: str = ""
    loinc_by_unit: dict[str, str] = {}

    def loinc_for(self, unit: str) -> tuple[str, ...]:
        """LOINC codes when the value is in `unit`."""
        return (self.loinc_by_unit[unit],) if unit in self.loinc_by_unit else self.loinc


class Metric(msgspec.Struct, frozen=True):
    """A metric type: its values and its waveforms (`channel`)."""

    name: str
    title: str
    values: tuple[Value, ...]
    waveforms: tuple[Value, ...] = ()

    def value(self, name: str) -> Value | None:
        return next((value for value in (*self.values, *self.waveforms) if value.name == name), None)


_PRESSURE = ("mm[Hg]", "kPa")
_TEMPERATURE = ("Cel", "[degF]")
_MASS = ("kg", "g", "[lb_av]", "[oz_av]")
_HEART = ("8867-4",)


def _heart_rate(mdc: int, mdc_name: str) -> Value:
    return Value("heart_rate", "heart rate", ("/min",), _HEART, mdc, mdc_name)


def _mass(name: str, title: str, loinc: tuple[str, ...] = (), mdc: int | None = None, mdc_name: str = "") -> Value:
    return Value(name, title, _MASS, loinc, mdc, mdc_name)


_CUFF_RATE = _heart_rate(149546, "MDC_PULS_RATE_NON_INV")
_WEIGHT = _mass("weight", "body weight", ("29463-7",), 188736, "MDC_MASS_BODY_ACTUAL")
_BODY_TEMPERATURE = Value("temperature", "body temperature", _TEMPERATURE, ("8310-5",), 150364, "MDC_TEMP_BODY")
_GLUCOSE_UNITS = ("mg/dL", "mmol/L")

_METRICS = (
    Metric(
        "blood_pressure",
        "blood pressure",
        (
            Value("systolic", "systolic", _PRESSURE, ("8480-6",), 150021, "MDC_PRESS_BLD_NONINV_SYS"),
            Value("diastolic", "diastolic", _PRESSURE, ("8462-4",), 150022, "MDC_PRESS_BLD_NONINV_DIA"),
            Value("mean", "mean arterial", _PRESSURE, ("8478-0",), 150023, "MDC_PRESS_BLD_NONINV_MEAN"),
            _CUFF_RATE,
        ),
    ),
    Metric("cuff_pressure", "pressure in the cuff while it measures", (Value("pressure", "pressure", _PRESSURE),)),
    Metric(
        "pulse_oximetry",
        "pulse oximetry",
        (
            Value("spo2", "oxygen saturation", ("%",), ("2708-6", "59408-5"), 150456, "MDC_PULS_OXIM_SAT_O2"),
            _heart_rate(149530, "MDC_PULS_OXIM_PULS_RATE"),
            Value("perfusion_index", "perfusion index", ("%",), ("61006-3",), 150448, "MDC_PULS_OXIM_PERF_REL"),
            Value("sequence_number", "number of a stored record that has no time"),
        ),
        (Value("pleth", "plethysmogram", ("{raw}",), (), 150452, "MDC_PULS_OXIM_PLETH"),),
    ),
    Metric(
        "heart_rate",
        "heart rate",
        (
            _heart_rate(147842, "MDC_ECG_HEART_RATE"),
            Value("energy_expended", "energy expended", ("kJ",)),
            Value("rr_intervals", "RR intervals", ("ms",), ("8637-1",), 147240, "MDC_ECG_TIME_PD_RR_GL"),
        ),
    ),
    Metric(
        "respiration",
        "breathing",
        (Value("respiration_rate", "respiration rate", ("/min",), ("9279-1",), 151562, "MDC_RESP_RATE"),),
        (Value("respiration", "impedance of the chest", ("{raw}",)),),
    ),
    Metric("body_temperature", "body temperature", (_BODY_TEMPERATURE,)),
    Metric("temperature", "temperature", (Value("temperature", "temperature", _TEMPERATURE, (), 150344, "MDC_TEMP"),)),
    Metric(
        "glucose",
        "blood glucose",
        (
            Value(
                "glucose",
                "glucose",
                _GLUCOSE_UNITS,
                (),
                160184,
                "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD",
                {"mg/dL": "41653-7", "mmol/L": "14743-9"},
            ),
        ),
    ),
    Metric(
        "continuous_glucose",
        "interstitial glucose",
        (Value("glucose", "glucose", _GLUCOSE_UNITS, (), 160212, "MDC_CONC_GLU_ISF", {"mg/dL": "99504-3"}),),
    ),
    Metric(
        "body_weight",
        "body weight",
        (
            _WEIGHT,
            Value("height", "body height", ("cm", "m", "[in_i]"), ("8302-2",), 188740, "MDC_LEN_BODY_ACTUAL"),
            Value("bmi", "body mass index", ("kg/m2",), ("39156-5",), 188752, "MDC_RATIO_MASS_BODY_LEN_SQ"),
        ),
    ),
    Metric(
        "body_composition",
        "body composition",
        (
            _WEIGHT,
            Value("body_fat", "body fat", ("%",), ("41982-0",), 188748, "MDC_BODY_FAT"),
            _mass("fat_free_mass", "fat-free mass", (), 188756, "MDC_MASS_BODY_FAT_FREE"),
            _mass("soft_lean_mass", "soft lean mass", (), 188760, "MDC_MASS_BODY_SOFT_LEAN"),
            _mass("muscle_mass", "muscle mass", ("73964-9",)),
            Value("muscle_percentage", "muscle", ("%",), ("73965-6",)),
            _mass("body_water_mass", "body water", ("101683-1",), 188764, "MDC_BODY_WATER"),
            Value("impedance", "impedance", ("Ohm",)),
            Value("basal_metabolism", "basal metabolism", ("kJ",)),
        ),
    ),
    Metric(
        "ecg", "electrocardiogram", (), (Value("ecg", "ECG", ("uV", "mV"), ("11524-6",), 131328, "MDC_ECG_ELEC_POTL"),)
    ),
    Metric(
        "acceleration",
        "acceleration",
        (),
        tuple(Value(axis, f"{axis} axis", ("m[g]", "[g]")) for axis in ("x", "y", "z")),
    ),
    Metric(
        "environment",
        "environment",
        (
            Value("temperature", "temperature", _TEMPERATURE, (), 188508, "MDC_TEMP_ROOM"),
            Value("humidity", "relative humidity", ("%",)),
            Value("pressure", "air pressure", ("hPa", "Pa")),
            Value("illuminance", "illuminance", ("lx",)),
            Value("co2", "carbon dioxide", ("[ppm]",)),
            Value("pm25", "particles up to 2.5 um", ("ug/m3",)),
            Value("pm10", "particles up to 10 um", ("ug/m3",)),
        ),
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _METRICS})


def find(metric: str, value: str) -> Value | None:
    """What the catalogue knows of a value of a metric."""
    known = METRICS.get(metric)
    return known.value(value) if known else None
