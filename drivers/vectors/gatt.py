"""BLE characteristics and what is written to them, under the names of the vectors."""

from __future__ import annotations

from typing import Any

from drivers import checksums
from drivers.ble.gatt import glucose, glucose_context, heart_rate, racp, times
from drivers.ble.gatt.cursor import Cursor
from drivers.ble.gatt.medfloat import Missing
from drivers.vectors.gatt_fields import fields, told
from drivers.vectors.kinds import Fields, Table


def heart_rate_measurement(data: bytes, context: Fields) -> Fields:
    found = heart_rate.decode(data)
    return {"contact": None} | fields(found, rr_ms=None if found.rr_1024 is None else found.rr_ms)


def glucose_measurement(data: bytes, context: Fields) -> Fields:
    found = glucose.decode(data)
    offset = found.time_offset
    told_offset: Fields = {"time_offset_min": None} if isinstance(offset, Missing) else {"time_offset_min": offset}
    out = fields(found, mg_dl=found.mg_dl, mmol_l=found.mmol_l)
    out.pop("time_offset", None)
    return out if offset is None else out | told_offset


def control_point(data: bytes, context: Fields) -> Fields:
    found = racp.decode(data)
    out = fields(found, bounds=None)
    if len(found.bounds) == 1:
        out["value"] = told(found.bounds[0])
    elif found.bounds:
        out |= {"low": told(found.bounds[0]), "high": told(found.bounds[1])}
    return out


PROCEDURES = {"report": racp.Op.REPORT, "delete": racp.Op.DELETE, "abort": racp.Op.ABORT, "count": racp.Op.COUNT}


def control_point_request(request: Fields) -> bytes:
    """`procedure`, `operator` (all, le, ge, range, first, last), `value` or a pair of bounds, `filter`."""
    operator = racp.Operator[str(request.get("operator") or "null").upper()]
    pairs = (("low", "high"), ("min", "max"), ("from", "to"), ("first", "last"), ("start", "end"))
    pair = next((pair for pair in pairs if pair[0] in request), ())
    value: Any = [request[name] for name in pair] or request.get("value", request.get("values", []))
    time = request.get("filter", request.get("filter_type", 1)) in (racp.By.TIME, "time", "user_time", "datetime")
    if time and value and not isinstance(value[0], list):
        value = [value]
    bounds: list[Any] = value if isinstance(value, list) else [value]
    return racp.encode(
        PROCEDURES[request["procedure"]],
        operator,
        [times.DateTime(*bound) for bound in bounds] if time else bounds,
        racp.By.TIME if time else racp.By.SEQUENCE,
    )


def date_time_request(request: Fields) -> bytes:
    return _date_time(request).encode()


def current_time_request(request: Fields) -> bytes:
    """`datetime`, and where given `day_of_week`, `fractions256`, `adjust_reason`."""
    moment = _date_time(request)
    known = moment.moment()
    day = request.get("day_of_week", known.isoweekday() if known else 0)
    return times.CurrentTime(moment, day, request.get("fractions256", 0), request.get("adjust_reason", 0)).encode()


def _date_time(request: Fields) -> times.DateTime:
    parts = [*request["datetime"], 0, 0, 0][:6]
    return times.DateTime(*parts)


TABLE: Table = {
    "gatt": {
        "2a08": lambda data, context: {"datetime": list(times.decode_date_time(data))},
        "2a09": lambda data, context: {"day_of_week": times.decode_day_of_week(data)},
        "2a0a": lambda data, context: fields(times.decode_day_date_time(data)),
        "2a0c": lambda data, context: fields(times.decode_exact_time(data)),
        "2a2b": lambda data, context: fields(times.decode_current_time(data)),
        "2a0d": lambda data, context: {"dst_offset_min": times.decode_dst_offset(data)},
        "2a0e": lambda data, context: {"tz_offset_min": times.decode_time_zone(data)},
        "2a0f": lambda data, context: (
            {"tz_offset_min": None, "dst_offset_min": None} | fields(times.decode_local_time(data))
        ),
        "2a37": heart_rate_measurement,
        "2a38": lambda data, context: {"location": heart_rate.decode_location(data)},
        "2a18": glucose_measurement,
        "2a34": lambda data, context: fields(glucose_context.decode(data)),
        "2a51": lambda data, context: {"features": glucose.decode_feature(data)},
        "2a52": control_point,
    },
    "encode": {"2a08": date_time_request, "2a2b": current_time_request, "2a52": control_point_request},
    "medfloat": {
        "sfloat": lambda data: told(Cursor(data).sfloat()),
        "float": lambda data: told(Cursor(data).float32()),
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
