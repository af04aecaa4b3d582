"""Brokers: which there are, how each is, connect and disconnect."""

from __future__ import annotations

from typing import Any

from agent.api.router import Ask
from agent.api.settings_view import of_broker
from agent.errors import NotFound


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
    if ask.body.action == "connect":
        await broker.connect()
    else:
        await broker.disconnect()
    return broker.as_dict()


def no_broker(name: str) -> NotFound:
    return NotFound(f"there is no broker {name!r}", "`gatepost brokers` lists them")


async def _owed(ask: Ask) -> dict[str, dict[str, Any]]:
    """What each broker is still owed, by its name."""
    return {str(entry["broker"]): entry for entry in await ask.app.store.backlog()}


def _with_settings(ask: Ask, state: dict[str, Any], owed: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = state["name"]
    return {**state, "owed": owed.get(name), "settings": of_broker(ask.app.settings, name)}
