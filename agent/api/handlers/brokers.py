"""Brokers: which there are, how each is, connect and disconnect; make, change, remove one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from gatepost.agent.api.agent_interface import BrokerInterface
from gatepost.agent.api.handlers import settings_editing
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput, NotFound
from gatepost.agent.core.events import EventQueue
from gatepost.agent.settings.editor import ChangeResult
from gatepost.agent.settings.redacted_view import of_broker

STATUS = "broker.status"
RESERVED = ("status", "discovered")
FAILED = frozenset({"waiting", "refused"})
SETTLE = 3.0  # seconds in which the answer may wait for the outcome


async def every(ask: ApiRequest) -> dict[str, Any]:
    owed = await _owed(ask)
    return {"brokers": [_with_settings(ask, view.as_dict(), owed) for view in ask.app.brokers.views()]}


async def states(ask: ApiRequest) -> dict[str, Any]:
    owed = await _owed(ask)
    found = [view.as_dict() for view in ask.app.brokers.views()]
    return {"brokers": [{**state, "owed": owed.get(state["name"])} for state in found]}


async def one(ask: ApiRequest) -> JsonResponse:
    return await _shown(ask, ask.path["name"])


async def create(ask: ApiRequest) -> JsonResponse:
    name = settings_editing.name_of(ask.body.name)
    return await _put(
        ask, name, {key: value for key, value in settings_editing.settings_of(ask).items() if key != "name"}, True
    )


async def replace(ask: ApiRequest) -> JsonResponse:
    return await _put(ask, settings_editing.name_of(ask.path["name"]), settings_editing.settings_of(ask), False)


async def remove(ask: ApiRequest) -> dict[str, Any]:
    name = ask.path["name"]
    await ask.app.editor.remove("brokers", name, settings_editing.terms_of(ask))
    return {"name": name, "removed": True}


async def _put(ask: ApiRequest, name: str, settings: dict[str, Any], new: bool) -> JsonResponse:
    if name in RESERVED:
        raise BadInput(f"name: {name!r} is the name of a route", "choose another one")
    changed = await ask.app.editor.put("brokers", name, settings, settings_editing.terms_of(ask, new))
    return await _shown(ask, name, changed)


async def _shown(ask: ApiRequest, name: str, changed: ChangeResult | None = None) -> JsonResponse:
    broker = ask.app.brokers.get(name)
    if broker is None:
        raise no_broker(name)
    body = _with_settings(ask, broker.as_dict(), await _owed(ask))
    return settings_editing.answer(body, f"brokers/{name}", changed)


async def discovered(ask: ApiRequest) -> dict[str, Any]:
    """`configured`: the name of the broker in the settings that has this URL already, or null."""
    found, hint = await ask.app.discovery.search()
    names = {broker.url: name for name, broker in ask.app.settings.brokers.items()}
    return {"brokers": [{**one, "configured": names.get(one["url"])} for one in found], "hint": hint}


async def control(ask: ApiRequest) -> dict[str, Any]:
    name = ask.path["name"]
    broker = ask.app.brokers.get(name)
    if broker is None:
        raise no_broker(name)
    with ask.app.events.listen() as heard:
        if ask.body.action == "connect":
            await broker.connect()
        else:
            await broker.disconnect()
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                await _settled(broker, name, f"{ask.body.action}ed", heard)
    return broker.as_dict()


async def _settled(broker: BrokerInterface, name: str, goal: str, heard: EventQueue) -> None:
    """Until the broker is as wanted, or an attempt has failed."""
    while broker.as_dict()["state"] != goal:
        event = await heard.get()
        if event.kind == STATUS and event.data["broker"] == name and event.data["state"] in FAILED:
            return


def no_broker(name: str) -> NotFound:
    return NotFound(f"there is no broker {name!r}", "`gatepost brokers` lists them")


async def _owed(ask: ApiRequest) -> dict[str, dict[str, Any]]:
    """What each broker is still owed, by its name."""
    return {str(entry["broker"]): entry for entry in await ask.app.store.backlog.undelivered()}


def _with_settings(ask: ApiRequest, state: dict[str, Any], owed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = state["name"]
    return {
        **state,
        "owed": owed.get(name),
        "settings": of_broker(ask.app.settings, name),
        **settings_editing.about(ask, "brokers", name),
    }
