"""Registrations that the documents keep beside the settings: a number for each broker, what was said of a device."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec
import orjson

from gatepost.agent.api.handlers import devices, settings_editing, tokens
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.api.schemas.requests import NewDevice, TokenBody
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.errors import GatepostError, NotFound

BROKERS = "document-brokers"  # of the store's small state: {"last": number, "ids": {name: number}}
DEVICES = "document-devices"  # {device: DeviceFacts}
MQTT = "mqtt"  # the driver whose devices connect to the gateway with a token


class DeviceFacts(TypedDict):
    """Facts about a device that its settings have no key for; the time is RFC 3339."""

    type: str | None
    model: str | None
    serial_number: str | None
    created_at: str | None


UNKNOWN = DeviceFacts(type=None, model=None, serial_number=None, created_at=None)


async def broker_ids(request: ApiRequest) -> dict[str, int]:
    """Number of each broker by name; one that it had before, also before a restart, is its own again."""
    names = [broker.name for broker in request.app.brokers.views()]
    known = await request.app.store.key_value.get(BROKERS) or {"last": 0, "ids": {}}
    if not set(names) <= set(known["ids"]):
        known = await request.app.store.key_value.update(BROKERS, lambda old: _numbered(old, names))
    return {name: known["ids"][name] for name in names}


def _numbered(known: Any, names: list[str]) -> dict[str, Any]:
    """Those that have gone are forgotten here; no number is given twice."""
    last = known["last"] if known else 0
    ids = {name: number for name, number in known["ids"].items() if name in names} if known else {}
    for name in names:
        if name not in ids:
            last += 1
            ids[name] = last
    return {"last": last, "ids": ids}


async def broker_named(request: ApiRequest, number: int) -> str:
    """Name of the broker with this number; raises NotFound."""
    for name, known in (await broker_ids(request)).items():
        if known == number:
            return name
    raise NotFound(f"there is no broker {number}", "GET /api/mqtt-brokers/brokers lists them")


async def device_facts(request: ApiRequest) -> dict[str, DeviceFacts]:
    facts: dict[str, DeviceFacts] = await request.app.store.key_value.get(DEVICES) or {}
    return facts


async def register_device(
    request: ApiRequest, device: str, settings: dict[str, Any], facts: DeviceFacts
) -> tuple[DeviceFacts, str | None]:
    """Registers a new device; its token where it connects to the gateway. All of it, or nothing."""
    raw = orjson.dumps({**settings, "device_id": device})
    await devices.create(request._replace(body=NewDevice(device), raw=raw))
    kept: DeviceFacts = {**facts, "created_at": rfc3339(request.app.clock.now().wall)}

    def remember(known: Any) -> dict[str, DeviceFacts]:
        there = request.app.settings.devices
        return {**{name: old for name, old in (known or {}).items() if name in there}, device: kept}

    try:
        await request.app.store.key_value.update(DEVICES, remember)
        token = None
        if settings["driver"] == MQTT:
            body = msgspec.convert({"device": device}, TokenBody)
            token = str(orjson.loads((await tokens.create(request._replace(body=body))).body)["token"])
    except GatepostError:
        await request.app.editor.remove("devices", device, settings_editing.terms_of(request))
        raise
    return kept, token
