"""Records of Omron devices -> readings."""

from __future__ import annotations

from typing import Any

from gatepost.drivers.ble.omron.records import Fields
from gatepost.drivers.reading import GOOD, Reading, wall_time

FLAGS = (("irregular_pulse", "irregular-pulse"), ("body_movement", "body-movement"))
PRESSURE_UNITS = {"systolic": "mm[Hg]", "diastolic": "mm[Hg]", "heart_rate": "/min"}
BODY_UNITS = {
    "weight": "kg",
    "bmi": "kg/m2",
    "body_fat": "%",
    "skeletal_muscle": "%",
    "visceral_fat": "{level}",
    "basal_metabolism": "kcal",
    "body_age": "a",
}


def record_reading(record: Fields, user: int | None) -> Reading:
    """One record; `user` None = the device has one only."""
    time = wall_time(record["time"])
    flags = [flag for name, flag in FLAGS if record.get(name)]
    if time is None:
        flags.append("clock-not-set")
    values: dict[str, Any]
    if "systolic" in record:
        metric, units = "blood_pressure", PRESSURE_UNITS
        values = {name: record[name] for name in units}
    else:
        fields = {**record, "basal_metabolism": record["basal_metabolism_kcal"]}
        metric = "body_weight" if fields["body_fat"] is None else "body_composition"
        units = {name: unit for name, unit in BODY_UNITS.items() if fields[name] is not None}
        values = {name: fields[name] for name in units}
    if "sequence" in record:
        values["sequence_number"] = record["sequence"]
    if user is not None:
        values["user_id"] = user
    return Reading(metric, values, dict(units), tuple(flags), GOOD, None if time is None else time.isoformat())
