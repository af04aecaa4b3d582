"""Document of the broker registry, below `/api/mqtt-brokers`: brokers by number, and devices that report to one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from urllib.parse import urlsplit

import orjson
from msgspec import UNSET, Meta, Struct, UnsetType

from gatepost.agent.api.documents.registrations import (
    MQTT,
    UNKNOWN,
    DeviceFacts,
    broker_ids,
    broker_named,
    device_facts,
    register_device,
)
from gatepost.agent.api.handlers import brokers
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest, Route, change, operate, view
from gatepost.agent.api.schemas.requests import BrokerBody, BrokerControl, NewBroker, Which
from gatepost.agent.core.errors import BadInput
from gatepost.agent.settings.model import BrokerSettings, DeviceSettings
from gatepost.agent.settings.redacted_view import configured
from gatepost.agent.settings.rules.brokers import PORTS

BASE = "/api/mqtt-brokers"
CREATED = 201

Label = Annotated[str, Meta(min_length=1, max_length=64, description="a name for people")]
Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:%-]{1,255}$", description="a host name or an address")]
Port = Annotated[int, Meta(ge=1, le=65535)]


class RegisteredBroker(Struct, frozen=True, forbid_unknown_fields=True):
    """A broker; port 8883 is spoken to with TLS."""

    broker_name: Label
    broker_host: Host
    broker_port: Port = 1883
    username: str | None = None
    password: str | None = None


class BrokerChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Members that are left out stay as they are; `id` and `is_connected` of an earlier answer are ignored."""

    broker_name: Label | UnsetType = UNSET
    broker_host: Host | UnsetType = UNSET
    broker_port: Port | UnsetType = UNSET
    username: str | UnsetType | None = UNSET
    password: str | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    id: int | UnsetType = UNSET
    is_connected: bool | UnsetType = UNSET


class BrokerDevice(Struct, frozen=True, forbid_unknown_fields=True):
    """A device that connects to the gateway, and reports to that broker."""

    device_name: Label
    device_id: Which
    mqtt_broker_id: int
    device_type: Which | None = None


class BrokerState(TypedDict):
    id: int
    is_active: bool
    is_connected: bool


class BrokerEntry(BrokerState):
    broker_name: str
    broker_host: str
    broker_port: int
    username: str | None


class BrokerEntryRemoved(TypedDict):
    id: int
    removed: bool


class BrokerDeviceEntry(TypedDict):
    """`mqtt_broker_id` null: it reports to several; `token` is shown only once."""

    device_name: str
    device_id: str
    mqtt_broker_id: int | None
    device_type: str | None
    token: NotRequired[str]


async def every(request: ApiRequest) -> list[BrokerEntry]:
    return [_entry(request, name, number) for name, number in (await broker_ids(request)).items()]


async def one(request: ApiRequest) -> BrokerEntry:
    number = _number(request)
    return _entry(request, await broker_named(request, number), number)


async def create(request: ApiRequest) -> JsonResponse[BrokerEntry]:
    body: RegisteredBroker = request.body
    name = re.sub(r"[^a-z0-9_.-]", "-", body.broker_name.lower())
    url = _url(_scheme(body.broker_port), body.broker_host, body.broker_port)
    settings: dict[str, Any] = {"url": url, "label": body.broker_name}
    settings |= {key: value for key in ("username", "password") if (value := getattr(body, key))}
    others = request.app.settings.brokers.values()
    if any(_address(other) == (body.broker_host, body.broker_port) for other in others):
        settings["client_id"] = f"gatepost-{request.app.settings.gateway.id}-{name}"  # or each throws the other out
    await brokers.create(request._replace(body=NewBroker(name, url), raw=orjson.dumps({**settings, "name": name})))
    number = (await broker_ids(request))[name]
    return JsonResponse(_entry(request, name, number), CREATED, {"location": f"{BASE}/brokers/{number}"})


async def replace(request: ApiRequest) -> BrokerEntry:
    """Its name in the settings stays, whatever people call it: positions in the log and devices belong to that."""
    body: BrokerChange = request.body
    number = _number(request)
    name = await broker_named(request, number)
    settings = configured(request.app.settings.brokers[name], request.app.registry)
    host, port = _address(request.app.settings.brokers[name])
    scheme = urlsplit(settings["url"]).scheme
    if body.broker_port not in (UNSET, port) and scheme in ("mqtt", "mqtts"):
        scheme = _scheme(body.broker_port)
    new_host = host if isinstance(body.broker_host, UnsetType) else body.broker_host
    new_port = port if isinstance(body.broker_port, UnsetType) else body.broker_port
    if (new_host, new_port) != (host, port):
        settings["url"] = _url(scheme, new_host, new_port) + urlsplit(settings["url"]).path
    said = {"label": body.broker_name, "username": body.username, "password": body.password, "active": body.is_active}
    settings |= {key: value for key, value in said.items() if value is not UNSET}
    changed = {key: value for key, value in settings.items() if value is not None}
    await brokers.replace(
        request._replace(body=BrokerBody(settings["url"]), path={"name": name}, raw=orjson.dumps(changed))
    )
    return _entry(request, name, number)


async def remove(request: ApiRequest) -> BrokerEntryRemoved:
    number = _number(request)
    await brokers.remove(request._replace(path={"name": await broker_named(request, number)}))
    return {"id": number, "removed": True}


async def control(request: ApiRequest) -> BrokerState:
    number = _number(request)
    view = await brokers.control(request._replace(path={"name": await broker_named(request, number)}))
    return {"id": number, "is_active": view["active"], "is_connected": view["state"] == "connected"}


async def devices_of_brokers(request: ApiRequest) -> list[BrokerDeviceEntry]:
    ids, facts = await broker_ids(request), await device_facts(request)
    return [
        _device(name, settings, facts.get(name, UNKNOWN), ids)
        for name, settings in request.app.settings.devices.items()
    ]


async def create_device(request: ApiRequest) -> JsonResponse[BrokerDeviceEntry]:
    body: BrokerDevice = request.body
    broker = await broker_named(request, body.mqtt_broker_id)
    settings = {"driver": MQTT, "label": body.device_name, "brokers": [broker]}
    facts, token = await register_device(request, body.device_id, settings, {**UNKNOWN, "type": body.device_type})
    entry = _device(body.device_id, request.app.settings.devices[body.device_id], facts, await broker_ids(request))
    if token is not None:
        entry["token"] = token
    return JsonResponse(entry, CREATED, {"location": f"/api/v1/devices/{body.device_id}"})


def _entry(request: ApiRequest, name: str, number: int) -> BrokerEntry:
    view, settings = brokers.get_broker(request, name).as_dict(), request.app.settings.brokers[name]
    host, port = _address(settings)
    return {
        "id": number,
        "broker_name": settings.label or name,
        "broker_host": host,
        "broker_port": port,
        "username": settings.username,
        "is_active": view["active"],
        "is_connected": view["state"] == "connected",
    }


def _device(name: str, settings: DeviceSettings, facts: DeviceFacts, ids: dict[str, int]) -> BrokerDeviceEntry:
    targets = list(ids) if settings.brokers is None else settings.brokers
    return {
        "device_name": settings.label or name,
        "device_id": name,
        "mqtt_broker_id": ids.get(targets[0]) if len(targets) == 1 else None,
        "device_type": facts["type"],
    }


def _number(request: ApiRequest) -> int:
    text = request.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise BadInput(f"id: {text[:64]!r} is not the number of a broker", f"GET {BASE}/brokers lists them")
    return int(text)


def _scheme(port: int | UnsetType) -> Literal["mqtt", "mqtts"]:
    return "mqtts" if port == PORTS["mqtts"] else "mqtt"


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _address(settings: BrokerSettings) -> tuple[str, int]:
    parts = urlsplit(settings.url)
    return parts.hostname or "", parts.port or PORTS.get(parts.scheme, PORTS["mqtt"])


ROUTES: tuple[Route, ...] = (
    view(f"{BASE}/brokers", every, "The brokers"),
    change(
        "POST", f"{BASE}/brokers", create, "Add a broker; kept over restarts", body=RegisteredBroker, statuses=(201,)
    ),
    view(f"{BASE}/brokers/{{id}}", one, "One broker"),
    change("PUT", f"{BASE}/brokers/{{id}}", replace, "Change a broker", body=BrokerChange),
    change("DELETE", f"{BASE}/brokers/{{id}}", remove, "Remove a broker; what it was owed is not sent any more"),
    operate("POST", f"{BASE}/brokers/{{id}}/control", control, "Connect or disconnect a broker", body=BrokerControl),
    view(f"{BASE}/status", every, "The state of each broker"),
    view(f"{BASE}/devices", devices_of_brokers, "The devices, and to which broker they report"),
    change(
        "POST",
        f"{BASE}/devices",
        create_device,
        "Register a device that connects to the gateway over MQTT; its `token` is shown only once",
        body=BrokerDevice,
        statuses=(201,),
    ),
)
