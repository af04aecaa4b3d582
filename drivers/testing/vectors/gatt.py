"""BLE characteristics under the names of the vectors. What is written to devices is in gatt_encode.py."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from gatepost.drivers import checksums
from gatepost.drivers.ble.gatt import (
    battery,
    blood_pressure,
    blood_pressure_enhanced,
    body_composition,
    cgm,
    cgm_session,
    device_information,
    environment,
    glucose,
    glucose_context,
    heart_rate,
    nonin,
    pmd,
    pmd_data,
    pulse_oximeter,
    racp,
    thermometer,
    times,
    user_data,
    weight,
)
from gatepost.drivers.ble.gatt.cursor import ValueCursor
from gatepost.drivers.ble.gatt.medfloat import MissingNumber
from gatepost.drivers.testing.vectors.gatt_encode import ENCODE
from gatepost.drivers.testing.vectors.gatt_fields import fields, told
from gatepost.drivers.testing.vectors.kinds import Fields, Table


def heart_rate_measurement(data: bytes) -> Fields:
    found = heart_rate.decode(data)
    return {"contact": None} | fields(found, rr_ms=None if found.rr_1024 is None else found.rr_ms)


def enhanced(decode: Callable[[bytes], blood_pressure_enhanced.EnhancedBloodPressure], data: bytes) -> Fields:
    found = decode(data)
    return fields(found.measured, time=found.time, user_facing_time=found.user_facing_time)


def glucose_measurement(data: bytes) -> Fields:
    found = glucose.decode(data)
    out = fields(found, mg_dl=found.mg_dl, mmol_l=found.mmol_l)
    if "time_offset" in out:
        offset = out.pop("time_offset")
        out["time_offset_min"] = None if isinstance(found.time_offset, MissingNumber) else offset
    return out


def glucose_context_fields(data: bytes) -> Fields:
    found = glucose_context.decode(data)
    return fields(found) | ({"exercise_s": None} if isinstance(found.exercise_s, MissingNumber) else {})


def control_point(data: bytes) -> Fields:
    found = racp.decode(data)
    out = fields(found, bounds=None)
    if len(found.bounds) == 1:
        out["value"] = told(found.bounds[0])
    elif found.bounds:
        out |= {"low": told(found.bounds[0]), "high": told(found.bounds[1])}
    return out


def ops(data: bytes, context: Fields) -> Fields:
    found = cgm_session.decode_ops(data, context.get("e2e_crc"))
    return fields(found, calibration=None) | (fields(found.calibration) if found.calibration else {})


def nonin_measurement(data: bytes) -> Fields:
    return {"spo2": None, "pulse_rate": None} | fields(nonin.decode(data))


SUFFIXES = {"Cel": "c", "%": "pct", "Pa": "pa", "lx": "lx", "[ppm]": "ppm", "[ppb]": "ppb", "m/s": "m_s", "mm": "mm"}
SUFFIXES |= {"m": "m", "deg": "deg", "W/m2": "w_m2", "/m3": "per_m3", "dB[SPL]": "db", environment.MICROGRAMS: "kg_m3"}


def sensed(short: int, data: bytes) -> Fields:
    found = environment.decode(short, data)
    suffix = SUFFIXES.get(found.kind.unit)
    unknown = found.number is MissingNumber.NAN and found.kind.octets != environment.SFLOAT
    number = int(found.number) if isinstance(found.number, Decimal) and suffix is None else found.number
    return {f"{found.kind.name}_{suffix}" if suffix else found.kind.name: None if unknown else told(number)}


def pmd_control(data: bytes) -> Fields:
    found = pmd.decode(data)
    if isinstance(found, pmd.PmdFeatures):
        return {"features": found.mask}
    settings = {pmd.PmdSetting(kind).name.lower(): list(values) for kind, values in found.settings.items()}
    return {"op": found.op, "type": found.type, "status": found.status, "more": found.more, "settings": settings}


def pmd_frame(data: bytes, context: Fields) -> Fields:
    """`factor` in the context is what the sensor answered when the stream was started."""
    found = pmd_data.decode(data)
    scale = found.scale * context.get("factor", 1)
    out = fields(found, samples=None, scale=None)
    rows: list[Any] = [[_scaled(count, scale) for count in sample] for sample in found.samples]
    if found.measurement_type == pmd.PmdType.ECG:
        return out | {"samples_uv": [row[0] for row in rows]}
    return out | {"samples_mg" if found.measurement_type == pmd.PmdType.ACC else "samples": rows}


def _scaled(count: int, scale: float) -> int | float:
    return count if scale == 1 else count * scale


PLAIN: dict[str, Callable[[bytes], Fields]] = {
    "2a08": lambda data: {"datetime": list(times.decode_date_time(data))},
    "2a09": lambda data: {"day_of_week": times.decode_day_of_week(data)},
    "2a0a": lambda data: fields(times.decode_day_date_time(data)),
    "2a0c": lambda data: fields(times.decode_exact_time(data)),
    "2a2b": lambda data: fields(times.decode_current_time(data)),
    "2a0d": lambda data: {"dst_offset_min": times.decode_dst_offset(data)},
    "2a0e": lambda data: {"tz_offset_min": times.decode_time_zone(data)},
    "2a0f": lambda data: {"tz_offset_min": None, "dst_offset_min": None} | fields(times.decode_local_time(data)),
    "2a37": heart_rate_measurement,
    "2a38": lambda data: {"location": heart_rate.decode_location(data)},
    "2a35": lambda data: fields(blood_pressure.decode(data)),
    "2a36": lambda data: fields(blood_pressure.decode_cuff(data)),
    "2a49": lambda data: {"features": blood_pressure.decode_feature(data)},
    "2b34": partial(enhanced, blood_pressure_enhanced.decode),
    "2b35": partial(enhanced, blood_pressure_enhanced.decode_cuff),
    "2a1c": lambda data: fields(thermometer.decode(data)),
    "2a1e": lambda data: fields(thermometer.decode(data)),
    "2a1d": lambda data: {"type": thermometer.decode_type(data)},
    "2a21": lambda data: {"interval_s": thermometer.decode_interval(data)},
    "2a18": glucose_measurement,
    "2a34": glucose_context_fields,
    "2a51": lambda data: {"features": glucose.decode_feature(data)},
    "2a52": control_point,
    "2a5e": lambda data: fields(pulse_oximeter.decode_spot(data)),
    "2a5f": lambda data: fields(pulse_oximeter.decode_continuous(data)),
    "2a60": lambda data: fields(pulse_oximeter.decode_features(data)),
    nonin.MEASUREMENT: nonin_measurement,
    "2a9d": lambda data: {"weight": None} | fields(weight.decode(data)),
    "2a9e": lambda data: fields(weight.decode_feature(data)),
    "2a9c": lambda data: {"body_fat_pct": None} | fields(body_composition.decode(data)),
    "2a9b": lambda data: fields(body_composition.decode_feature(data)),
    "2a9f": lambda data: fields(user_data.decode(data)),
    "2a99": lambda data: {"change_increment": user_data.decode_change_increment(data)},
    "2a9a": lambda data: {"user_index": user_data.decode_user_index(data)},
    "2a19": lambda data: {"battery_pct": battery.decode(data)},
    "2bed": lambda data: fields(battery.decode_status(data)),
    "2a23": lambda data: fields(device_information.decode_system_id(data)),
    "2a2a": lambda data: {"data_hex": data.hex()},
    "2a50": lambda data: fields(device_information.decode_pnp_id(data)),
    "2aa8": lambda data: fields(cgm_session.decode_feature(data)),
    pmd.CONTROL: pmd_control,
}
PLAIN |= {f"{short:04x}": partial(sensed, short) for short in environment.KINDS}
PLAIN |= {
    f"{short:04x}": lambda data: {"text": device_information.decode_text(data)} for short in device_information.STRINGS
}

BY_CONTEXT: dict[str, Callable[[bytes, Fields], Fields]] = {
    "2aa7": lambda data, context: {"records": [fields(each) for each in cgm.decode(data, context.get("e2e_crc"))]},
    "2aa9": lambda data, context: fields(cgm_session.decode_status(data, context.get("e2e_crc"))),
    "2aaa": lambda data, context: (
        {"tz_offset_min": None, "dst_offset_min": None}
        | fields(cgm_session.decode_session_start(data, context.get("e2e_crc")))
    ),
    "2aab": lambda data, context: {"run_time_h": cgm_session.decode_run_time(data, context.get("e2e_crc"))},
    "2aac": ops,
    pmd.DATA: pmd_frame,
}


def _without_context(decode: Callable[[bytes], Fields], data: bytes, context: Fields) -> Fields:
    return decode(data)


TABLE: Table = {
    "gatt": {uuid: partial(_without_context, decode) for uuid, decode in PLAIN.items()} | BY_CONTEXT,
    "encode": ENCODE,
    "medfloat": {
        "sfloat": lambda data: told(ValueCursor(data).sfloat()),
        "float": lambda data: told(ValueCursor(data).float32()),
    },
    "checksum": {
        "sum8": checksums.sum8,
        "sum16": checksums.sum16,
        "crc8-maxim": checksums.crc8_maxim,
        "crc16-mcrf4xx": checksums.crc16_mcrf4xx,
        "crc16-x25": checksums.crc16_x25,
        "crc16-modbus": checksums.crc16_modbus,
        "crc16-ccitt-false": checksums.crc16_ccitt_false,
    },
}
