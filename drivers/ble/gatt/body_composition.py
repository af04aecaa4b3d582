"""Body Composition Measurement (2A9C) and Body Composition Feature (2A9B); GATT Specification Supplement.

Flags: 0 imperial instead of SI, 1 time stamp, 2 user, 3 basal metabolism, 4 muscle percentage, 5 muscle mass, 6
fat-free mass, 7 soft lean mass, 8 body water mass, 9 impedance, 10 weight, 11 height, 12 one of several packets.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.reading_builder import ReadingBuilder
from gatepost.drivers.ble.gatt.times import DateTime
from gatepost.drivers.ble.gatt.weight import HEIGHT_STEP, MASS_STEP, TENTH, UCUM, UNSUCCESSFUL, USER_UNKNOWN
from gatepost.drivers.reading import Reading

MASSES = ("muscle_mass", "fat_free_mass", "soft_lean_mass", "body_water_mass")


class BodyCompositionMeasurement(msgspec.Struct, frozen=True, gc=False):
    """Body composition packet. `body_fat_pct` None = the measurement was unsuccessful; masses in `unit` (kg or lb),
    height in m or in."""

    unit: str
    body_fat_pct: Decimal | None
    multiple_packet: bool
    timestamp: DateTime | None = None
    user_id: int | None = None
    basal_metabolism_kj: int | None = None
    muscle_pct: Decimal | None = None
    muscle_mass: Decimal | None = None
    fat_free_mass: Decimal | None = None
    soft_lean_mass: Decimal | None = None
    body_water_mass: Decimal | None = None
    impedance_ohm: Decimal | None = None
    weight: Decimal | None = None
    height: Decimal | None = None
    height_unit: str | None = None


class BodyCompositionFeature(msgspec.Struct, frozen=True, gc=False):
    """Body composition features. Bits 0 to 10 of `features` are those of the optional fields; resolutions 0 = not
    said."""

    features: int
    mass_resolution: int
    height_resolution: int


def decode(data: bytes) -> BodyCompositionMeasurement:
    cursor = ValueCursor(data)
    flags = cursor.u16()
    unit, length = ("lb", "in") if flags & 1 else ("kg", "m")
    mass, size = MASS_STEP[unit], HEIGHT_STEP[length]

    def scaled(bit: int, step: Decimal) -> Decimal | None:
        return cursor.u16() * step if flags >> bit & 1 else None

    fat = cursor.u16()
    return BodyCompositionMeasurement(
        unit=unit,
        body_fat_pct=None if fat == UNSUCCESSFUL else fat * TENTH,
        multiple_packet=bool(flags & 0x1000),
        timestamp=cursor.date_time() if flags & 2 else None,
        user_id=cursor.u8() if flags & 4 else None,
        basal_metabolism_kj=cursor.u16() if flags & 8 else None,
        muscle_pct=scaled(4, TENTH),
        muscle_mass=scaled(5, mass),
        fat_free_mass=scaled(6, mass),
        soft_lean_mass=scaled(7, mass),
        body_water_mass=scaled(8, mass),
        impedance_ohm=scaled(9, TENTH),
        weight=scaled(10, mass),
        height=scaled(11, size),
        height_unit=length if flags & 0x800 else None,
    )


def decode_feature(data: bytes) -> BodyCompositionFeature:
    raw = ValueCursor(data).uint(4)
    return BodyCompositionFeature(raw, raw >> 11 & 0x0F, raw >> 15 & 0x07)


class PacketMerger:
    """Merger of measurements that come in several packets: at most two, since two hold every field.

    `feed` gives what is complete, `flush` what waits for a second packet that did not come.
    """

    def __init__(self) -> None:
        self._first: BodyCompositionMeasurement | None = None

    def feed(self, packet: BodyCompositionMeasurement) -> list[BodyCompositionMeasurement]:
        first, self._first = self._first, None
        if not packet.multiple_packet:
            return [packet] if first is None else [first, packet]
        if first is None or not _belong(first, packet):
            self._first = packet
            return [] if first is None else [first]
        return [merge(first, packet)]

    def flush(self) -> list[BodyCompositionMeasurement]:
        first, self._first = self._first, None
        return [] if first is None else [first]


def merge(first: BodyCompositionMeasurement, second: BodyCompositionMeasurement) -> BodyCompositionMeasurement:
    """One measurement: each field from the first packet that has it."""
    missing = {name: getattr(second, name) for name in second.__struct_fields__ if getattr(first, name) is None}
    return msgspec.structs.replace(first, **missing)


def _belong(first: BodyCompositionMeasurement, second: BodyCompositionMeasurement) -> bool:
    """Two packets belong together if their common fields agree, except the body fat, which is in every packet."""
    return all(
        first_has == second_has or first_has is None or second_has is None
        for name in first.__struct_fields__
        if name != "body_fat_pct"
        for first_has, second_has in ((getattr(first, name), getattr(second, name)),)
    )


def reading(measurement: BodyCompositionMeasurement) -> Reading:
    """Reading of a measurement; an unsuccessful one yields the weight at most."""
    builder = ReadingBuilder("body_composition")
    unit = UCUM[measurement.unit]
    builder.put("weight", measurement.weight, unit)
    if measurement.height_unit:
        builder.put("height", measurement.height, UCUM[measurement.height_unit])
    if measurement.body_fat_pct is None:
        builder.leave("body_fat", "unsuccessful")
    else:
        builder.put("body_fat", measurement.body_fat_pct, "%")
        builder.put("basal_metabolism", measurement.basal_metabolism_kj, "kJ")
        builder.put("muscle_percentage", measurement.muscle_pct, "%")
        for name in MASSES:
            builder.put(name, getattr(measurement, name), unit)
        builder.put("impedance", measurement.impedance_ohm, "Ohm")
    if measurement.user_id != USER_UNKNOWN:
        builder.put("user_id", measurement.user_id)
    wanted = ("body_fat", "weight") if measurement.weight is not None else ("body_fat",)
    return builder.reading(*wanted, device_time=measurement.timestamp.iso() if measurement.timestamp else None)
