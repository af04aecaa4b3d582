"""What the routes that change brokers and devices have in common."""

from __future__ import annotations

from typing import Any

import msgspec

from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput
from gatepost.agent.settings.editor import ChangeResult, Preconditions, Section
from gatepost.agent.settings.model import Name
from gatepost.agent.settings.redacted_view import configured


def about(ask: ApiRequest, section: Section, name: str) -> dict[str, Any]:
    """`configured`: the settings as one would send them back; `origin`, `etag`."""
    found = getattr(ask.app.settings, section).get(name)
    if found is None:
        return {}
    return {
        "configured": configured(found, ask.app.registry),
        "origin": ask.app.editor.origin(section, name),
        "etag": ask.app.editor.etag(section, name),
    }


def answer(body: dict[str, Any], place: str, changed: ChangeResult | None) -> JsonResponse:
    headers = {"etag": body["etag"]} if body.get("etag") else {}
    if changed is None:
        return JsonResponse(body, 200, headers)
    if changed.created:
        headers["location"] = f"/api/v1/{place}"
    return JsonResponse({**body, "warnings": changed.warnings}, 201 if changed.created else 200, headers)


def terms_of(ask: ApiRequest, new: bool = False) -> Preconditions:
    source = ask.source if ask.who.name == "local" else f"{ask.source}:{ask.who.name}"
    return Preconditions(ask.header("if-match"), ask.header("if-none-match"), new, source)


def settings_of(ask: ApiRequest) -> dict[str, Any]:
    """The body as it came, which the loader of settings judges. Raises BadInput."""
    try:
        found: dict[str, Any] = msgspec.json.decode(ask.raw or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(f"body: {error}", "a JSON object of settings") from None
    return found


def name_of(text: str) -> str:
    """Raises BadInput."""
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        hint = "letters, digits, `_`, `.` and `-`, at most 64"
        raise BadInput(f"name: {text[:64]!r} is no name", hint) from None
