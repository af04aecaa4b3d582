"""Metrics of bedside monitors, ventilators, anaesthesia machines and analysers. Part of the catalogue (metrics.py).

MDC codes are those of IEEE 11073-10101; LOINC codes of these were not checked, so there are none.
"""

from __future__ import annotations

from gatepost.drivers.catalogue import LABORATORY, PROCEDURE, TEXT, Metric, MetricCodes, MetricValue, count, value
from gatepost.drivers.catalogue import waveform as wave

_PRESSURE = ("mm[Hg]", "kPa")
_AIRWAY = ("cm[H2O]", "mbar", "hPa", "kPa")
_GAS = ("mm[Hg]", "kPa", "%")
_VOLUME = ("L", "mL")
_LOST = count("lost_samples", "samples lost before this block")


def _by_site(offset: int, part: str) -> dict[str, MetricCodes]:
    return {
        "site-art": MetricCodes((), 150033 + offset, f"MDC_PRESS_BLD_ART_{part}"),
        "site-abp": MetricCodes((), 150037 + offset, f"MDC_PRESS_BLD_ART_ABP_{part}"),
        "site-pap": MetricCodes((), 150045 + offset, f"MDC_PRESS_BLD_ART_PULM_{part}"),
    }


def _ventilator_values(settings: bool) -> tuple[MetricValue, ...]:
    of = "set " if settings else ""
    return (
        value("respiration_rate", f"{of}respiration rate", "/min"),
        value("respiration_rate_spontaneous", f"{of}spontaneous respiration rate", "/min"),
        value("tidal_volume_inspired", f"{of}inspired tidal volume", _VOLUME),
        value("tidal_volume_expired", f"{of}expired tidal volume", _VOLUME),
        value("tidal_volume", f"{of}tidal volume", _VOLUME),
        value("tidal_volume_spontaneous", f"{of}spontaneous tidal volume", _VOLUME),
        value("minute_volume", f"{of}minute volume", ("L/min", "mL/min")),
        value("minute_volume_spontaneous", f"{of}spontaneous minute volume", ("L/min", "mL/min")),
        value("peak_pressure", f"{of}peak airway pressure", _AIRWAY),
        value("plateau_pressure", f"{of}plateau pressure", _AIRWAY),
        value("mean_pressure", f"{of}mean airway pressure", _AIRWAY),
        value("minimum_pressure", f"{of}minimum airway pressure", _AIRWAY),
        value("end_inspiratory_pressure", f"{of}end-inspiratory pressure", _AIRWAY),
        value("peep", f"{of}positive end-expiratory pressure", _AIRWAY),
        value("peep_intrinsic", f"{of}intrinsic PEEP", _AIRWAY),
        *(() if settings else (value("peep_total", "total PEEP", _AIRWAY),)),
        value("peak_flow", f"{of}peak flow", ("L/min",)),
        value("compliance", f"{of}compliance", ("mL/cm[H2O]", "L/bar", "mL/mbar")),
        value("resistance", f"{of}resistance", ("cm[H2O]/L/s", "mbar/L/s")),
        value("fio2", f"{of}inspired oxygen", "%"),
        _LOST,
    )


BEDSIDE_METRICS = (
    Metric(
        "invasive_pressure",
        "invasive blood pressure",
        (
            value("systolic", "systolic", _PRESSURE, by_flag=_by_site(0, "SYS")),
            value("diastolic", "diastolic", _PRESSURE, by_flag=_by_site(1, "DIA")),
            value(
                "mean",
                "mean",
                _PRESSURE,
                by_flag={**_by_site(2, "MEAN"), "site-cvp": MetricCodes((), 150087, "MDC_PRESS_BLD_VEN_CENT_MEAN")},
            ),
            value("heart_rate", "pulse rate", "/min", (), 149522, "MDC_BLD_PULS_RATE_INV"),
            _LOST,
        ),
        (wave("pressure", "pressure", _PRESSURE),),
    ),
    Metric(
        "capnography",
        "carbon dioxide in the airway",
        (
            value("et_co2", "end-tidal carbon dioxide", _GAS),
            value("fi_co2", "inspired carbon dioxide", _GAS),
            value("respiration_rate", "respiration rate", "/min", (), 151594, "MDC_CO2_RESP_RATE"),
            _LOST,
        ),
        (wave("co2", "carbon dioxide", _GAS),),
    ),
    Metric(
        "ventilation",
        "mechanical ventilation",
        _ventilator_values(settings=False),
        (
            wave("airway_pressure", "airway pressure", _AIRWAY),
            wave("flow", "flow", "L/min"),
            wave("volume", "volume", _VOLUME),
        ),
    ),
    Metric(
        "ventilator_settings",
        "settings of a ventilator, as it reports them",
        (*_ventilator_values(settings=True), value("mode", "mode of ventilation", kind=TEXT)),
        kind=PROCEDURE,
    ),
    Metric(
        "anaesthetic_gas",
        "anaesthetic gases",
        (
            value("agent_et", "end-tidal agent", _GAS),
            value("agent_fi", "inspired agent", _GAS),
            value("n2o_et", "end-tidal nitrous oxide", _GAS),
            value("n2o_fi", "inspired nitrous oxide", _GAS),
            value("o2_et", "end-tidal oxygen", _GAS),
            value("o2_fi", "inspired oxygen", _GAS),
            value("mac", "minimum alveolar concentration"),
            _LOST,
        ),
        (wave("agent", "agent", _GAS), wave("o2", "oxygen", _GAS), wave("n2o", "nitrous oxide", _GAS)),
    ),
    Metric(
        "cardiac_output",
        "cardiac output",
        (
            value("cardiac_output", "cardiac output", ("mL/min", "L/min")),
            value("wedge_pressure", "pulmonary wedge pressure", _PRESSURE),
            value("blood_temperature", "temperature of the blood", "Cel"),
        ),
    ),
    Metric(
        "neuromuscular",
        "neuromuscular transmission",
        (
            value("tof_ratio", "train-of-four ratio", "%"),
            value("tof_count", "train-of-four count"),
            value("twitch_1", "first twitch", "%"),
        ),
        kind=PROCEDURE,
    ),
    Metric("laboratory", "results of an analyser, each under the name of its analyte", (), kind=LABORATORY),
    Metric(
        "device_alarm",
        "alarm that a device shows; the flag device-alarm:<code> says which",
        (value("alarm_priority", "priority on the device's own scale"),),
        kind=PROCEDURE,
        momentary=True,
    ),
)
