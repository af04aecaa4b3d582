"""Brokers: which there are, how each is, connect and disconnect."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from agent.api.router import Ask
from agent.api.settings_view import of_broker
from agent.api.wants import Broker
from agent.errors import NotFound
from agent.events import Listener

STATUS = "broker.status"
FAILED = frozenset({"waiting", "refused"})
SETTLE = 3.0  # seconds in which the answer may wait for the outcome


async def every(ask: Ask) -> dict[str, Any]:
    owed = await _owed(ask)
    return {"brokers": [_with_settings(ask, view.as_dict(), owed) for view in ask.app.uplinks.views()]}


async def states(ask: Ask) -> dict[str, Any]:
    owed = await _owed(ask)
    found = [view.as_dict() for view in ask.app.uplinks.views()]
    return {"brokers": [{**state, "owed": owed.get(state["name"])} for state in found]}


async def one(ask: Ask) -> dict[str, Any]:
    name = ask.path["name"]
    broker = ask.app.uplinks.get(name)
    if broker is None:
        raise no_broker(name)
    return _with_settings(ask, broker.as_dict(), await _owed(ask))


async def control(ask: Ask) -> dict[str, Any]:
    name = ask.path["name"]
    broker = ask.app.uplinks.get(name)
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


async def _settled(broker: Broker, name: str, goal: str, heard: Listener) -> None:
    """Until the broker is as wanted, or an attempt has failed."""
    while broker.as_dict()["state"] != goal:
        event = await heard.get()
        if event.kind == STATUS and event.data["broker"] == name and event.data["state"] in FAILED:
            return


def no_broker(name: str) -> NotFound:
    return NotFound(f"there is no broker {name!r}", "`gatepost brokers` lists them")


async def _owed(ask: Ask) -> dict[str, dict[str, Any]]:
    """What each broker is still owed, by its name."""
    return {str(entry["broker"]): entry for entry in await ask.app.store.backlog()}


def _with_settings(ask: Ask, state: dict[str, Any], owed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = state["name"]
    return {**state, "owed": owed.get(name), "settings": of_broker(ask.app.settings, name)}
