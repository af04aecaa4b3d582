"""Curve route: `resolution=` of a device's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatepost.agent.api.handlers.devices import no_device
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.clock import US, rfc3339
from gatepost.agent.core.errors import BadInput
from gatepost.agent.settings.units import WrongUnit, parse_duration
from gatepost.agent.store.curves.buckets import BucketCell
from gatepost.agent.store.curves.reader import HistoryCurves, auto_step

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.requests import DeviceHistoryQuery
    from gatepost.agent.api.schemas.service_responses import CurveList

AUTO = "auto"
MOST_BUCKETS = 2000
DAY = 86_400
MOST_DAYS = 400


async def of_device(request: ApiRequest) -> CurveList:
    """A device that was removed from the settings is known as long as its history is kept; NotFound for others."""
    query: DeviceHistoryQuery = request.query
    device = request.path["id"]
    if query.limit is not None or query.cursor is not None:
        raise BadInput("limit, cursor: cannot be combined with resolution", "since and until say how long the curve is")
    until = request.app.clock.now().wall // US if query.until is None else int(query.until.timestamp())
    since = until - DAY if query.since is None else int(query.since.timestamp())
    if not 0 <= since < until <= since + MOST_DAYS * DAY:
        raise BadInput(f"since, until: a curve spans 1 second to {MOST_DAYS} days", "since before until")
    step = _step(query.resolution or AUTO, since, until)
    names = None if query.values is None else {name.strip() for name in query.values.split(",")}
    found = await request.app.store.history.curves(device, query.metric, since, until, step, names)
    if found is None:
        if request.app.devices.get(device) is None:
            raise no_device(device)
        found = HistoryCurves(since, until, step, True, {})
    return shown(device, found)


def shown(device: str, found: HistoryCurves) -> CurveList:
    return {
        "device_id": device,
        "since": rfc3339(found.since * US),
        "until": rfc3339(found.until * US),
        "resolution": found.step,
        "complete": found.complete,
        "series": [
            {
                "metric": curve.metric,
                "name": curve.name,
                "unit": curve.unit,
                "points": [_point(start, cell) for start, cell in cells.items()],
            }
            for curve, cells in found.curves.items()
        ],
    }


def _step(resolution: str, since: int, until: int) -> int:
    if resolution == AUTO:
        return auto_step(since, until)
    try:
        step = parse_duration(resolution)
    except WrongUnit as error:
        raise BadInput(f"resolution: {error}", "a duration such as 10s, 5m or 2h, or auto") from None
    if step < 1 or step != int(step):
        raise BadInput("resolution: must be whole seconds", "a duration such as 10s, 5m or 2h, or auto")
    if step > MOST_DAYS * DAY:
        raise BadInput(f"resolution: must be at most {MOST_DAYS} days", "such as 10s, 5m or 2h, or auto")
    if (until - since) / step > MOST_BUCKETS:
        hint = "a longer resolution, a shorter time, or auto"
        raise BadInput(f"resolution: that would be more than {MOST_BUCKETS} buckets", hint)
    return int(step)


def _point(start: int, cell: BucketCell) -> list[float]:
    mean = float(f"{cell.total / cell.count:.6g}")
    return [start, cell.count, *map(_short, (cell.least, cell.most, mean, cell.newest))]


def _short(value: float) -> float:
    """97 rather than 97.0: octets."""
    return int(value) if value == int(value) and abs(value) < 1e15 else value
