"""Types of the metric catalogue (drivers/metrics.py): metrics, their values, and the codes of a value."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

NUMBER, LIST, COUNT, TEXT, WAVEFORM = "number", "list", "count", "text", "waveform"  # kinds of values

VITAL_SIGNS, LABORATORY, PROCEDURE, SURROUNDINGS = "vital-signs", "laboratory", "procedure", "surroundings"


class MetricCodes(msgspec.Struct, frozen=True):
    """LOINC and IEEE 11073-10101 (MDC, partition * 65536 + term) codes. `loinc_by_unit` goes before `loinc`."""

    loinc: tuple[str, ...] = ()
    mdc: int | None = None
    mdc_name: str = ""
    loinc_by_unit: dict[str, str] = {}


class MetricValue(MetricCodes, frozen=True, kw_only=True):
    """One value of a metric. `units`: those that devices report (UCUM), the usual one first. `by_flag`: codes that say
    more exactly what it is when the reading has the flag, for example where a temperature was taken."""

    name: str
    title: str
    units: tuple[str, ...] = ()
    kind: str = NUMBER
    by_flag: dict[str, MetricCodes] = {}

    @property
    def unit(self) -> str:
        """The usual unit; empty for values without one."""
        return self.units[0] if self.units else ""

    def codes(self, flags: Iterable[str] = ()) -> MetricCodes:
        """The codes of this value in a reading with these flags."""
        return next((self.by_flag[flag] for flag in flags if flag in self.by_flag), self)


class Metric(msgspec.Struct, frozen=True):
    """A metric type: its values and its waveforms (`channel`). `kind` is the category of an observation. `momentary`:
    each reading is something that happened, so none stands for another."""

    name: str
    title: str
    values: tuple[MetricValue, ...]
    waveforms: tuple[MetricValue, ...] = ()
    kind: str = VITAL_SIGNS
    momentary: bool = False

    def value(self, name: str) -> MetricValue | None:
        return next((value for value in (*self.values, *self.waveforms) if value.name == name), None)


def value(
    name: str,
    title: str,
    units: str | tuple[str, ...] = (),
    loinc: str | tuple[str, ...] = (),
    mdc: int | None = None,
    mdc_name: str = "",
    *,
    kind: str = NUMBER,
    loinc_by_unit: dict[str, str] | None = None,
    by_flag: dict[str, MetricCodes] | None = None,
) -> MetricValue:
    """A Value, short to write: one unit or code needs no tuple."""
    return MetricValue(
        name=name,
        title=title,
        units=(units,) if isinstance(units, str) else units,
        loinc=(loinc,) if isinstance(loinc, str) else loinc,
        mdc=mdc,
        mdc_name=mdc_name,
        kind=kind,
        loinc_by_unit=loinc_by_unit or {},
        by_flag=by_flag or {},
    )


def waveform(
    name: str, title: str, units: str | tuple[str, ...], mdc: int | None = None, mdc_name: str = "", loinc: str = ""
) -> MetricValue:
    """A channel of samples."""
    return value(name, title, units, loinc or (), mdc, mdc_name, kind=WAVEFORM)


def count(name: str, title: str, unit: str = "") -> MetricValue:
    """A whole number that only counts or names something."""
    return value(name, title, unit or (), kind=COUNT)
