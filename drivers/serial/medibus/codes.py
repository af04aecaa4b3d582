"""Codes of MEDIBUS (code page 1) -> metrics and values; units by the model of the device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

EVITA = frozenset({"8210", "8200", "8240", "8230", "8260"})  # Evita, 2, 4, dura, XL
FABIUS = "8088"
VOLUMES = frozenset({"81", "82", "89", "B7", "07"})  # whose unit is not that of an Evita on every model


class DataMeaning(NamedTuple):
    metric: str
    value: str
    unit: str
    flags: tuple[str, ...] = ()


def _ventilation(value: str, unit: str) -> DataMeaning:
    return DataMeaning("ventilation", value, unit)


def _agent(value: str, agent: str) -> DataMeaning:
    return DataMeaning("anaesthetic_gas", value, "%", (f"agent-{agent}",))


MEANINGS: Mapping[str, DataMeaning] = {
    "07": _ventilation("compliance", "L/bar"), "08": _ventilation("resistance", "mbar/L/s"),
    "71": _ventilation("minimum_pressure", "mbar"), "73": _ventilation("mean_pressure", "mbar"),
    "74": _ventilation("plateau_pressure", "mbar"), "78": _ventilation("peep", "mbar"),
    "79": _ventilation("peep_intrinsic", "mbar"), "7D": _ventilation("peak_pressure", "mbar"),
    "82": _ventilation("tidal_volume_expired", "L"), "88": _ventilation("tidal_volume_expired", "mL"),
    "B5": _ventilation("respiration_rate_spontaneous", "/min"),
    "B7": _ventilation("minute_volume_spontaneous", "L/min"),
    "B9": _ventilation("minute_volume", "L/min"), "D6": _ventilation("respiration_rate", "/min"),
    "F0": _ventilation("fio2", "%"),
    "D5": DataMeaning("capnography", "respiration_rate", "/min"), "DB": DataMeaning("capnography", "et_co2", "%"),
    "E3": DataMeaning("capnography", "et_co2", "kPa"), "E6": DataMeaning("capnography", "et_co2", "mm[Hg]"),
    "EB": DataMeaning("pulse_oximetry", "spo2", "%"),
    "E1": DataMeaning("pulse_oximetry", "heart_rate", "/min", ("source-pleth",)),
    "EF": DataMeaning("anaesthetic_gas", "o2_et", "%"), "FB": DataMeaning("anaesthetic_gas", "n2o_fi", "%"),
    "FC": DataMeaning("anaesthetic_gas", "n2o_et", "%"), "AD": DataMeaning("anaesthetic_gas", "mac", ""),
    "F8": _agent("agent_fi", "isoflurane"), "F9": _agent("agent_et", "isoflurane"),
    "AE": _agent("agent_fi", "desflurane"), "AF": _agent("agent_et", "desflurane"),
    "B0": _agent("agent_fi", "sevoflurane"), "B1": _agent("agent_et", "sevoflurane"),
}  # fmt: skip
SETTINGS: Mapping[str, tuple[str, str]] = {
    "01": ("fio2", "%"), "04": ("tidal_volume", "L"), "09": ("respiration_rate", "/min"), "0B": ("peep", "mbar"),
}  # fmt: skip
# Realtime channels: metric, channel, unit.
CURVES: Mapping[str, tuple[str, str, str]] = {
    "00": ("ventilation", "airway_pressure", "mbar"), "01": ("ventilation", "flow", "L/min"),
    "03": ("ventilation", "volume", "mL"), "06": ("capnography", "co2", "mm[Hg]"),
    "07": ("capnography", "co2", "kPa"), "08": ("capnography", "co2", "%"),
}  # fmt: skip


def unit_of(code: str, unit: str, model: str) -> str:
    """Empty where the model does not tell it."""
    if model in EVITA:
        return unit
    return unit if model == FABIUS and code not in VOLUMES else ""
