"""Broker routes: list them with their state, connect and disconnect; create, change, remove one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gatepost.agent.api.agent_interface import BrokerInterface
from gatepost.agent.api.handlers import settings_editing
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput, NotFound
from gatepost.agent.core.events import EventQueue
from gatepost.agent.settings.editor import ChangeResult
from gatepost.agent.settings.problem import perhaps
from gatepost.agent.settings.redacted_view import of_broker

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import BrokerList, BrokerRemoved, BrokerView, DiscoveredBrokers

STATUS = "broker.status"
RESERVED = ("status", "discovered")
FAILED = frozenset({"waiting", "refused", "blocked"})
SETTLE = 3.0  # seconds in which the answer may wait for the outcome


async def every(request: ApiRequest) -> BrokerList:
    owed = await _owed(request)
    return {"brokers": [_with_settings(request, view.as_dict(), owed) for view in request.app.brokers.views()]}


async def states(request: ApiRequest) -> BrokerList:
    owed = await _owed(request)
    views = [broker.as_dict() for broker in request.app.brokers.views()]
    for view in views:
        view["owed"] = owed.get(view["name"])
    return {"brokers": views}


async def one(request: ApiRequest) -> JsonResponse[BrokerView]:
    return await _shown(request, request.path["name"])


async def create(request: ApiRequest) -> JsonResponse[BrokerView]:
    name = settings_editing.name_of(request.body.name)
    settings = settings_editing.settings_of(request)
    settings.pop("name", None)
    return await _put(request, name, settings, True)


async def replace(request: ApiRequest) -> JsonResponse[BrokerView]:
    name = settings_editing.name_of(request.path["name"])
    return await _put(request, name, settings_editing.settings_of(request), False)


async def remove(request: ApiRequest) -> BrokerRemoved:
    name = request.path["name"]
    await request.app.editor.remove("brokers", name, settings_editing.terms_of(request))
    return {"name": name, "removed": True}


async def _put(request: ApiRequest, name: str, settings: dict[str, Any], new: bool) -> JsonResponse[BrokerView]:
    if name in RESERVED:
        raise BadInput(f"name: {name!r} is the name of a route", "choose another one")
    changed = await request.app.editor.put("brokers", name, settings, settings_editing.terms_of(request, new))
    return await _shown(request, name, changed)


async def _shown(request: ApiRequest, name: str, changed: ChangeResult | None = None) -> JsonResponse[BrokerView]:
    body = _with_settings(request, get_broker(request, name).as_dict(), await _owed(request))
    return settings_editing.answer(body, f"brokers/{name}", changed)


async def discovered(request: ApiRequest) -> DiscoveredBrokers:
    """`configured`: the name of the broker in the settings that has this URL already, or null."""
    found, hint = await request.app.discovery.search()
    names = {broker.url: name for name, broker in request.app.settings.brokers.items()}
    return {"brokers": [{**one, "configured": names.get(one["url"])} for one in found], "hint": hint}


async def control(request: ApiRequest) -> BrokerView:
    name = request.path["name"]
    broker = get_broker(request, name)
    with request.app.events.listen() as heard:
        if request.body.action == "connect":
            await broker.connect()
        else:
            await broker.disconnect()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await _settled(broker, name, f"{request.body.action}ed", heard)
    return broker.as_dict()


async def _settled(broker: BrokerInterface, name: str, goal: str, heard: EventQueue) -> None:
    """Until the broker is as wanted, or an attempt has failed."""
    while broker.as_dict()["state"] != goal:
        event = await heard.get()
        if event.kind == STATUS and event.data["broker"] == name and event.data["state"] in FAILED:
            return


def chosen_broker(request: ApiRequest, name: str | None) -> BrokerInterface:
    """The named one; without a name the only one there is, else `api.default_broker`. Raises NotFound, BadInput."""
    if name is None:
        every = request.app.brokers.views()
        if len(every) == 1:
            return every[0]
        name = request.app.settings.api.default_broker
    if name is None:
        hint = "name one, or set api.default_broker" if every else "POST /api/v1/brokers adds one"
        message = "broker: there are several" if every else "broker: there is none"
        raise BadInput(message, hint, "broker-needed")
    return get_broker(request, name)


def get_broker(request: ApiRequest, name: str) -> BrokerInterface:
    """Raises NotFound."""
    broker = request.app.brokers.get(name)
    if broker is None:
        raise no_broker(name, request.app.settings.brokers)
    return broker


def is_connected(request: ApiRequest) -> bool:
    """The broker of requests that name none; where there is no such one, any."""
    try:
        brokers: Sequence[BrokerInterface] = [chosen_broker(request, None)]
    except (BadInput, NotFound):
        brokers = request.app.brokers.views()
    return any(broker.as_dict()["state"] == "connected" for broker in brokers)


def no_broker(name: str, known: Iterable[str] = ()) -> NotFound:
    return NotFound(f"there is no broker {name!r}", perhaps(name, known) or "`gatepost brokers` lists them")


async def _owed(request: ApiRequest) -> dict[str, dict[str, Any]]:
    """What each broker is still owed, by its name."""
    return {str(entry["broker"]): entry for entry in await request.app.store.backlog.undelivered()}


def _with_settings(request: ApiRequest, view: BrokerView, owed: dict[str, dict[str, Any]]) -> BrokerView:
    view["owed"] = owed.get(view["name"])
    view["settings"] = of_broker(request.app.settings, view["name"])
    settings_editing.add_configuration(request, "brokers", view["name"], view)
    return view
