"""Reference page of metrics and flags: python -m gatepost.drivers.metrics_page > docs/metrics.md"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from gatepost.drivers.ble.gatt import (
    blood_pressure,
    cgm,
    glucose,
    glucose_context,
    heart_rate,
    pulse_oximeter,
    thermometer,
)
from gatepost.drivers.catalogue import NUMBER, Metric, MetricCodes
from gatepost.drivers.metrics import METRICS

INTRODUCTION = """# Metrics and flags

What `metric_type`, values and flags can be, with their UCUM units and the codes that public sources agree on: LOINC,
and IEEE 11073-10101 (MDC, partition * 65536 + term). Made by `python -m gatepost.drivers.metrics_page`.
Your own metric types
and values are as good as these; they just have no codes.

Units are those that the device reports, the usual one first; nothing is converted silently. Concentrations of glucose
and of particles travel in kg/L, mol/L and kg/m3 over BLE and are reported in mg/dL, mmol/L and ug/m3, exact powers of
ten.
"""

FLAGS = """## Flags

`<value>:<why>` names a value that is missing; a flag without a colon is a remark on the whole reading.

| why | what it means |
|---|---|
| `nan` | the device sent "not a number" |
| `not-at-this-resolution` | the device cannot tell it in the format it uses |
| `over-range`, `under-range` | beyond what the device can measure or tell |
| `reserved` | a number without a meaning |
| `not-available` | the sensor itself says that it has none |
| `not-given` | the device sends 0 where it has none |
| `not-measured` | the record has no such value |
| `unsuccessful` | the measurement failed |
| `no-contact`, `no-finger`, `no-signal`, `searching`, `sensor-fault` | the sensor has no hold of the body |
| `control-solution` | a test of the meter, not of a person |
| `demonstration`, `test-data`, `calibrating`, `unavailable`, `invalid` | what the device says of its own measurement |
| `questionable`, `not-updated`, `discontinuity`, `not-calibrated` | what a monitor says of a value that it shows |
| `code-mismatch` | its code and its name contradict each other; the name counts |

Flags of whole readings of monitors, ventilators and analysers. The first three are of no patient: such a reading has
the quality `bad`, is never urgent, and is sent only where the format of a broker can say what it is.

| flag | what it means |
|---|---|
| `demo`, `test-data`, `quality-control` | a demonstration, a test, a control |
| `source-<where>` | where a rate was taken: ecg, pleth, nibp, invasive, co2, impedance, flow |
| `site-<where>` | where an invasive pressure was taken: art, abp, cvp, pap, icp, lap, rap, other |
| `agent-<gas>` | sevoflurane, isoflurane, desflurane, halothane, enflurane |
| `abnormal-<sent>`, `preliminary`, `corrected` | what an analyser says of a result |
| `method-calculated`, `method-typed-in` | how a result came about |
| `device-alarm:<code>` | which alarm the device shows; `alarm_priority` is on its own scale |
| `gap` | before this block of a waveform `lost_samples` are missing, where their number is known |

Remarks of BLE profiles, besides `from-memory` (a record that the device had stored) and `clock-not-set`:

| of | words |
|---|---|
"""


def remarks() -> Iterator[tuple[str, list[str]]]:
    """Where remarks come from, and their words."""
    yield "`blood_pressure`", [*blood_pressure.STATUS.values(), "pulse-above-range", "pulse-below-range"]
    yield "`heart_rate`", _prefixed("location", heart_rate.LOCATIONS.values())
    yield "`body_temperature`", [*_prefixed("site", thermometer.SITES.values()), "intermediate"]
    yield "`pulse_oximetry`", [*pulse_oximeter.MEASUREMENT.values(), *pulse_oximeter.SENSOR.values()]
    yield (
        "`glucose`",
        [
            *glucose.STATUS.values(),
            *_prefixed("sample", glucose.TYPES.values()),
            *_prefixed("location", glucose.LOCATIONS.values()),
            *_prefixed("carbohydrate", glucose_context.CARBOHYDRATES.values()),
            *_prefixed("meal", glucose_context.MEALS.values()),
            *_prefixed("tester", glucose_context.TESTERS.values()),
            *_prefixed("health", glucose_context.HEALTH.values()),
            *_prefixed("medication", glucose_context.MEDICATIONS.values()),
        ],
    )
    yield (
        "`continuous_glucose`",
        [
            *_prefixed("location", ["subcutaneous-tissue"]),
            *cgm.STATUS.values(),
            *cgm.CAL_TEMP.values(),
            *cgm.WARNING.values(),
        ],
    )


def page() -> str:
    """All of it, as Markdown."""
    sections = [INTRODUCTION, *(_metric(metric) for metric in METRICS.values())]
    rows = (f"| {origin} | {', '.join(f'`{word}`' for word in words)} |\n" for origin, words in remarks())
    return "\n".join(sections) + "\n" + FLAGS + "".join(rows)


def _prefixed(prefix: str, words: Iterable[str]) -> list[str]:
    return [f"{prefix}-{word}" for word in words]


def _metric(metric: Metric) -> str:
    momentary = ". Every reading is reported, whatever the pace" if metric.momentary else ""
    lines = [f"## `{metric.name}`", "", f"{metric.title[0].upper()}{metric.title[1:]} ({metric.kind}){momentary}.", ""]
    everything = (*metric.values, *metric.waveforms)
    if everything:
        lines += ["| value | what | units | LOINC | MDC |", "|---|---|---|---|---|"]
    for value in everything:
        what = value.title if value.kind == NUMBER else f"{value.title} ({value.kind})"
        units = ", ".join(f"`{unit}`" for unit in value.units) or "-"
        lines.append(f"| `{value.name}` | {what} | {units} | {_codes(value)} |")
    for value in metric.values:
        if value.by_flag:
            lines += ["", f"With one of these flags `{value.name}` has other codes:", ""]
            lines += ["| flag | LOINC | MDC |", "|---|---|---|"]
            lines += [f"| `{flag}` | {_codes(codes)} |" for flag, codes in value.by_flag.items()]
    return "\n".join(lines).rstrip() + "\n"


def _codes(codes: MetricCodes) -> str:
    by_unit = (f"{code} (`{unit}`)" for unit, code in codes.loinc_by_unit.items())
    loinc = ", ".join([*codes.loinc, *by_unit]) or "-"
    return f"{loinc} | " + ("-" if codes.mdc is None else f"{codes.mdc} `{codes.mdc_name}`")


if __name__ == "__main__":
    sys.stdout.write(page())
