"""Sample reading of a configured device, by what its driver says that it measures; and the commands it understands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gatepost.agent.devices.command_executor import commands_of
from gatepost.agent.settings.model import DeviceSettings
from gatepost.drivers.catalogue import NUMBER, MetricValue
from gatepost.drivers.driver import Driver, Registry
from gatepost.drivers.metrics import METRICS

USUAL: dict[str, float] = {
    "systolic": 120,
    "diastolic": 80,
    "mean": 93,
    "heart_rate": 72,
    "spo2": 97,
    "perfusion_index": 4.2,
    "temperature": 36.6,
    "weight": 70.4,
    "glucose": 98,
    "respiration_rate": 14,
    "humidity": 45,
    "pressure": 1013,
    "co2": 600,
    "battery": 90,
}


def sample_reading(device: DeviceSettings) -> dict[str, Any]:
    """metric_type, values and units of a reading that it might give."""
    kind = _driver(device.driver)
    metrics = [METRICS[name] for name in kind.metrics if name in METRICS] if kind is not None else []
    metrics.sort(key=lambda metric: bool(metric.waveforms))
    known = next((metric for metric in metrics if any(_is_measured(value) for value in metric.values)), None)
    if known is None:
        metric = str(device.options.get("metric") or "reading")
        return {"metric_type": metric, **dict.fromkeys(_names(kind, device) or ("value",), 1), "units": {}}
    values = [value for value in known.values if _is_measured(value)]
    values = ([value for value in values if value.name in USUAL] or values)[:4]  # a height of 1 cm helps nobody
    return {
        "metric_type": known.name,
        **{value.name: USUAL.get(value.name, 1) for value in values},
        "units": {value.name: value.unit for value in values},
    }


def sample_commands(driver: str, allowed: Callable[[str], bool]) -> dict[str, dict[str, bool]]:
    """Commands that are allowed, each with its parameters and whether they are required."""
    kind = _driver(driver)
    commands = {} if kind is None else commands_of(kind)
    return {
        name: {field.encode_name: field.required for field in msgspec.structs.fields(command.parameters)}
        for name, command in commands.items()
        if allowed(name)
    }


def _is_measured(value: MetricValue) -> bool:
    return bool(value.units) and value.kind == NUMBER


def _names(kind: type[Driver] | None, device: DeviceSettings) -> tuple[str, ...]:
    if kind is None:
        return ()
    try:
        return kind.value_names(msgspec.convert(device.options, kind.options_type))
    except msgspec.ValidationError:  # a secret that is not resolved here
        return ()


def _driver(name: str) -> type[Driver] | None:
    registry = Registry.installed()
    return registry.get(name) if name in registry else None
