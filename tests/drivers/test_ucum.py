"""Units of the settings: what is no code of UCUM is told, with the code that is meant."""

from __future__ import annotations

import pytest

from gatepost.drivers.metrics import METRICS
from gatepost.drivers.mqtt.options import MqttOptions, StreamRule
from gatepost.drivers.serial.lines.fields import LineField
from gatepost.drivers.serial.lines.options import LinesOptions
from gatepost.drivers.ucum import MEANT, is_code, unit_problem


@pytest.mark.parametrize(
    ("unit", "hint"),
    [
        ("°C", "write Cel"),
        ("C", "write Cel"),
        ("mmHg", "write mm[Hg]"),
        ("bpm", "write /min"),
        ("μg/m³", "write ug/m3"),
        ("kΩ", "write kOhm"),
        ("deg C", "ucum.org lists them: Cel, %, mm[Hg], /min"),
        ("度", "ucum.org lists them: Cel, %, mm[Hg], /min"),
    ],
)
def test_a_unit_that_is_none_is_told(unit: str, hint: str) -> None:
    [lines] = LinesOptions(fields={"t": LineField(unit=unit)}).problems()
    assert (lines.path, lines.hint, lines.warning) == (("fields", "t", "unit"), hint, True)
    [mqtt] = MqttOptions(streams={"1": StreamRule("t", unit=unit)}).problems()
    assert (mqtt.path, mqtt.hint) == (("streams", "1", "unit"), hint)


def test_the_units_of_the_catalogue_are_codes() -> None:
    units = {unit for metric in METRICS.values() for value in metric.values for unit in value.units}
    assert [unit for unit in units | set(MEANT.values()) if unit in MEANT or not is_code(unit)] == []
    assert [*unit_problem(None, ()), *unit_problem("{drops}", ()), *unit_problem("kW.h", ())] == []
