"""Settings routes: every key with its help, the schema, and changes of the agent's own drop, on trial where wished."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput
from gatepost.agent.settings.redacted_view import shown
from gatepost.agent.settings.units import WrongUnit, parse_duration

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.requests import SettingsChangeBody
    from gatepost.agent.api.schemas.responses import SettingsShown, SettingView
    from gatepost.agent.api.schemas.service_responses import (
        AppliedView,
        PreviewView,
        SettingsSchema,
        TrialEnded,
        TrialList,
        TrialView,
    )
    from gatepost.agent.settings.trial.changes import WantedChange

LAST_GOOD = "last good settings"


async def every(request: ApiRequest) -> SettingsShown:
    from gatepost.agent.settings.help import help_of
    from gatepost.agent.settings.trial.changes import is_editable

    report = request.app.status().get("settings") or {}
    lines = shown(request.app.settings, request.app.origins)
    if report.get("last_good"):  # the files say something else, or nothing that could be read
        lines = [{**line, "origin": LAST_GOOD} for line in lines]
    views = [{**line, "help": help_of(line["key"]), "editable": is_editable(line["key"])} for line in lines]
    return {"settings": cast("list[SettingView]", views)}


async def schema(request: ApiRequest) -> SettingsSchema:
    """Without the options of drivers and formats, which have routes of their own: to describe a driver loads it."""
    from gatepost.agent.settings.schema import schema as schema_of
    from gatepost.drivers.driver import Registry

    found = schema_of(Registry({}))
    found["$defs"]["DeviceSettings"]["properties"]["driver"]["examples"] = request.app.registry.names
    return {"schema": found}


async def preview(request: ApiRequest) -> PreviewView:
    found = await request.app.changes.preview(await _wanted(request.body))
    return {
        "ok": not found.problems,
        "file": str(found.file),
        "before": found.before,
        "after": found.after,
        "changed": found.changed,
        "problems": found.problems,
        "warnings": found.warnings,
    }


async def apply(request: ApiRequest) -> AppliedView:
    body = request.body
    within = None if body.confirm is None else _seconds(body.confirm)
    done = await request.app.changes.apply(await _wanted(body), within, request.source)
    return {
        "applied": True,
        "changed": done.changed,
        "warnings": done.warnings,
        "trial": cast("TrialView | None", done.trial),
    }


async def trial(request: ApiRequest) -> TrialList:
    return cast("TrialList", request.app.changes.trial.as_dict())


async def confirm(request: ApiRequest) -> TrialEnded:
    return {"trial": cast("TrialView", await request.app.changes.trial.confirm(request.source))}


async def revert(request: ApiRequest) -> TrialEnded:
    return {"trial": cast("TrialView", await request.app.changes.trial.revert(request.source))}


async def _wanted(body: SettingsChangeBody) -> WantedChange:
    from gatepost.agent.settings.trial.changes import WantedChange, settings_of_yaml

    if body.yaml is None:
        return WantedChange(body.settings, body.unset)
    if body.settings:
        raise BadInput("yaml, settings: give only one of the two", "one of the two")
    read = await asyncio.to_thread(settings_of_yaml, body.yaml.encode(), body.name)  # half a MB takes seconds
    return WantedChange(read, body.unset)


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except WrongUnit as error:
        raise BadInput(f"confirm: {error}", "a duration such as 2m, or null") from None
