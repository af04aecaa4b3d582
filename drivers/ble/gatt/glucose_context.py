"""Glucose Measurement Context (2A34): what went with a measurement of the same sequence number (GATT Specification
Supplement).

Flags: 0 carbohydrate, 1 meal, 2 tester and health, 3 exercise, 4 medication, 5 medication in litres instead of
kilograms, 6 HbA1c, 7 extended flags, which come right after the sequence number.
"""

from __future__ import annotations

import msgspec

from gatepost.drivers.ble.gatt import glucose
from gatepost.drivers.ble.gatt.bit_names import words
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import MissingNumber, Number
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.reading import Reading

CARBOHYDRATES = {1: "breakfast", 2: "lunch", 3: "dinner", 4: "snack", 5: "drink", 6: "supper", 7: "brunch"}
MEALS = {1: "before", 2: "after", 3: "fasting", 4: "casual", 5: "bedtime"}
TESTERS = {1: "self", 2: "professional", 3: "laboratory"}
HEALTH = {1: "minor-issues", 2: "major-issues", 3: "during-menses", 4: "under-stress", 5: "no-issues"}
MEDICATIONS = {1: "rapid-acting", 2: "short-acting", 3: "intermediate-acting", 4: "long-acting", 5: "premixed"}
EXERCISE_OVERRUN = 0xFFFF


class GlucoseContext(msgspec.Struct, frozen=True, gc=False):
    """Context of a measurement. `medication_unit` is kg or L; `exercise_s` in seconds, or why there is none."""

    sequence: int
    extended_flags: int | None = None
    carbohydrate_id: int | None = None
    carbohydrate_kg: Number | None = None
    meal: int | None = None
    tester: int | None = None
    health: int | None = None
    exercise_s: int | MissingNumber | None = None
    exercise_pct: int | None = None
    medication_id: int | None = None
    medication: Number | None = None
    medication_unit: str | None = None
    hba1c_pct: Number | None = None


def decode(data: bytes) -> GlucoseContext:
    cursor = ValueCursor(data)
    flags = cursor.u8()
    sequence = cursor.u16()
    extended = cursor.u8() if flags & 0x80 else None
    carbohydrate, grams = (cursor.u8(), cursor.sfloat()) if flags & 1 else (None, None)
    meal = cursor.u8() if flags & 2 else None
    nibbles = cursor.u8() if flags & 4 else None
    duration: int | MissingNumber | None = None
    intensity = None
    if flags & 8:
        duration, intensity = cursor.u16(), cursor.u8()
        if duration == EXERCISE_OVERRUN:
            duration = MissingNumber.OVER
    medication, amount = (cursor.u8(), cursor.sfloat()) if flags & 0x10 else (None, None)
    return GlucoseContext(
        sequence=sequence,
        extended_flags=extended,
        carbohydrate_id=carbohydrate,
        carbohydrate_kg=grams,
        meal=meal,
        tester=None if nibbles is None else nibbles & 0x0F,
        health=None if nibbles is None else nibbles >> 4,
        exercise_s=duration,
        exercise_pct=intensity,
        medication_id=medication,
        medication=amount,
        medication_unit=None if medication is None else "L" if flags & 0x20 else "kg",
        hba1c_pct=cursor.sfloat() if flags & 0x40 else None,
    )


def add(builder: ReadingBuilder, context: GlucoseContext) -> None:
    """Its values and words, beside those of the measurement."""
    builder.put("carbohydrate", context.carbohydrate_kg, "kg")
    builder.put("exercise_duration", context.exercise_s, "s")
    builder.put("exercise_intensity", context.exercise_pct, "%")
    builder.put("medication", context.medication, context.medication_unit or "")
    builder.put("hba1c", context.hba1c_pct, "%")
    builder.flag(
        *words("carbohydrate", CARBOHYDRATES, context.carbohydrate_id),
        *words("meal", MEALS, context.meal),
        *words("tester", TESTERS, context.tester),
        *words("health", HEALTH, context.health),
        *words("medication", MEDICATIONS, context.medication_id),
    )


def reading(
    measurement: glucose.GlucoseMeasurement, context: GlucoseContext | None, mark: tuple[str, object] | None = None
) -> Reading:
    """A measurement with its context, where one of its sequence number came."""
    builder = glucose.measured(measurement)
    if context is not None and context.sequence == measurement.sequence:
        add(builder, context)
    return builder.reading("glucose", device_time=measurement.device_time, mark=mark)
