"""Encoders of writes to BLE devices, from the requests of vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gatepost.drivers.ble.gatt import nonin, pmd, racp, times, user_data
from gatepost.drivers.checksums import FrameError
from gatepost.drivers.testing.vectors.kinds import Fields

PROCEDURES = {
    "report": racp.RacpOp.REPORT,
    "delete": racp.RacpOp.DELETE,
    "abort": racp.RacpOp.ABORT,
    "count": racp.RacpOp.COUNT,
    "newest": racp.RacpOp.NEWEST,
}
PAIRS = (("low", "high"), ("min", "max"), ("minimum", "maximum"), ("from", "to"), ("start", "end"))
BY_TIME = (racp.RacpFilter.TIME, "time", "user_time", "user_facing_time", "datetime")


def control_point(request: Fields) -> bytes:
    """`procedure`, `operator` (all, le, ge, range, first, last), `value` or a pair of bounds, `filter`."""
    names = next((pair for pair in PAIRS if pair[0] in request), ())
    value: Any = [request[name] for name in names] or request.get("value", request.get("values", []))
    time = request.get("filter", request.get("filter_type")) in BY_TIME
    if time and value and not isinstance(value[0], list):
        value = [value]
    bounds: list[Any] = value if isinstance(value, list) else [value]
    procedure = PROCEDURES.get(request["procedure"])
    operator = racp.RacpOperator.__members__.get(str(request.get("operator") or "null").upper())
    if procedure is None or operator is None:
        raise FrameError("unsupported" if procedure is None else "bad_operator")
    return racp.encode(
        procedure,
        operator,
        [times.DateTime(*bound) for bound in bounds] if time else bounds,
        racp.RacpFilter.TIME if time else racp.RacpFilter.SEQUENCE,
    )


def date_time(request: Fields) -> bytes:
    return _date_time(request).encode()


def current_time(request: Fields) -> bytes:
    """`datetime`, and where given `day_of_week`, `fractions256`, `adjust_reason`."""
    moment = _date_time(request)
    known = moment.moment()
    day = request.get("day_of_week", known.isoweekday() if known else 0)
    return times.CurrentTime(moment, day, request.get("fractions256", 0), request.get("adjust_reason", 0)).encode()


def local_time(request: Fields) -> bytes:
    return times.encode_local_time(
        times.LocalTimeInformation(request.get("tz_offset_min"), request.get("dst_offset_min"))
    )


def _date_time(request: Fields) -> times.DateTime:
    year, month, day, hour, minute, second = [*request["datetime"], 0, 0, 0][:6]
    return times.DateTime(year, month, day, hour, minute, second)


def pmd_control(request: Fields) -> bytes:
    """`op` (start, stop, get_settings), `type`, and for a start the settings by their names."""
    kind: int = request["type"]
    match request["op"]:
        case "start":
            given = {
                setting: request[setting.name.lower()] for setting in pmd.PmdSetting if setting.name.lower() in request
            }
            return pmd.start(kind, given)
        case "stop":
            return pmd.stop(kind)
        case "get_settings" | "settings" | "get":
            return pmd.get_settings(kind)
    raise ValueError(f"no request {request['op']!r}")


def user_control(request: Fields) -> bytes:
    """`op` (register, consent, list_users), `user_index`, `consent`."""
    return user_data.encode(
        user_data.UserDataOp[str(request["op"]).upper()], request.get("user_index"), request.get("consent")
    )


ENCODE: dict[str, Callable[[Fields], bytes]] = {
    "2a08": date_time,
    "2a2b": current_time,
    "2a0f": local_time,
    "2a52": control_point,
    "2a9f": user_control,
    nonin.CONTROL: lambda request: nonin.DONE,
    pmd.CONTROL: pmd_control,
}
