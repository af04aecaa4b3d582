"""Document of the device registry, below `/devices`: register, readings, commands; readings live on `/ws/mqtt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from msgspec import Struct

from gatepost.agent.api.documents.registrations import MQTT, register_device
from gatepost.agent.api.handlers import commands, readings, settings_editing
from gatepost.agent.api.handlers.devices import no_device
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest, Route, change, view
from gatepost.agent.api.routes import command
from gatepost.agent.api.schemas.requests import HistoryQuery, Limit, Moment, NoQuery, Which
from gatepost.agent.api.websocket.broadcaster import TAKEN
from gatepost.agent.api.websocket.endpoint import upgrade
from gatepost.agent.api.websocket.event_filter import EventSelection
from gatepost.agent.core.errors import BadInput
from gatepost.agent.core.views import PAYLOAD_MEMBERS, WAVEFORM_ROWS

if TYPE_CHECKING:
    from gatepost.agent.core.views import ReadingPayload

BLE = "ble"
METADATA = ("id", "patient_id", "device_timestamp", "clock", "urgent", "replayed", "quality", "flags")
READINGS = EventSelection(events=(TAKEN,))


class RegisteredDevice(Struct, frozen=True):
    """A device; beside these members the keys of a device in a settings file. Without `driver` it is one of `ble` where
    there is an `address`, else one that connects to the gateway over MQTT."""

    device_id: Which
    type: Which
    patient_id: str | None = None
    model: str | None = None
    serial_number: str | None = None
    driver: str | None = None


class DeviceEntry(TypedDict):
    """Times are RFC 3339; `token` is shown only once, when a device that connects to the gateway is registered."""

    device_id: str
    type: str | None
    patient_id: str | None
    model: str | None
    serial_number: str | None
    status: str
    driver: str
    last_seen: str | None
    created_at: str | None
    token: NotRequired[str]


class DeviceReading(TypedDict):
    """A reading with one value has `value` and `unit`, and the value's name in `metadata`; others have their values by
    name, and `units`."""

    metric_type: str
    timestamp: str
    metadata: dict[str, Any]
    value: NotRequired[Any]
    unit: NotRequired[str | None]
    units: NotRequired[dict[str, str]]


class DeviceReadings(TypedDict):
    device_id: str
    readings: list[DeviceReading]


class ReadingsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100


async def register(request: ApiRequest) -> JsonResponse[DeviceEntry]:
    body: RegisteredDevice = request.body
    settings = settings_editing.settings_of(request)
    for key in ("device_id", "type", "model", "serial_number"):
        settings.pop(key, None)
    patient = settings.pop("patient_id", None)
    if patient is not None and settings.setdefault("patient", patient) != patient:
        raise BadInput("patient_id: differs from patient", "give only one of them")
    if settings.get("driver") is None:
        settings["driver"] = BLE if settings.get("address") else MQTT
    facts, token = await register_device(
        request,
        body.device_id,
        settings,
        {"type": body.type, "model": body.model, "serial_number": body.serial_number, "created_at": None},
    )
    view = request.app.devices.get(body.device_id)
    if view is None:  # somebody removed it just now
        raise no_device(body.device_id)
    entry: DeviceEntry = {
        "device_id": body.device_id,
        "type": facts["type"],
        "patient_id": settings.get("patient"),
        "model": facts["model"],
        "serial_number": facts["serial_number"],
        "status": view["status"],
        "driver": view["driver"],
        "last_seen": view["last_reading"],
        "created_at": facts["created_at"],
    }
    if token is not None:
        entry["token"] = token
    return JsonResponse(entry, 201, {"location": f"/api/v1/devices/{body.device_id}"})


async def data(request: ApiRequest) -> DeviceReadings:
    query: ReadingsQuery = request.query
    device = request.path["id"]
    history = HistoryQuery(since=query.since, until=query.until)
    page = await readings.page_of(request._replace(query=history), device, query.limit, None)
    return {"device_id": device, "readings": [_reading(reading) for reading in page["readings"]]}


async def listen(request: ApiRequest) -> JsonResponse[Any]:
    return upgrade(request, READINGS, bare=True)


def _reading(payload: ReadingPayload) -> DeviceReading:
    members: dict[str, Any] = {**payload}
    metadata = {name: members[name] for name in METADATA if name in members}
    values = {name: value for name, value in members.items() if name not in PAYLOAD_MEMBERS or name in WAVEFORM_ROWS}
    reading: dict[str, Any] = {"metric_type": members["metric_type"], "timestamp": members["timestamp"]}
    units = members.get("units", {})
    if len(values) == 1:
        ((name, value),) = values.items()
        metadata["name"] = name
        reading |= {"value": value, "unit": units.get(name)}
    elif "samples" in values:
        reading |= {**values, "unit": members.get("unit")}
    else:
        reading |= {**values, "units": units}
    return {**reading, "metadata": metadata}  # type: ignore[typeddict-item]


ROUTES: tuple[Route, ...] = (
    change(
        "POST",
        "/devices/register",
        register,
        "Register a device; kept over restarts; where it connects over MQTT its `token` is shown only once",
        body=RegisteredDevice,
        statuses=(201,),
    ),
    view("/devices/{id}/data", data, "Stored readings of a device, newest first", query=ReadingsQuery, patient=True),
    command("/devices/{id}/command", commands.to_device, "A command for a device, checked as over MQTT"),
    view("/ws/mqtt", listen, "Readings live over WebSocket, one a frame", query=NoQuery, patient=True),
)
