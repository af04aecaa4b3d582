"""Helpers of the routes that change brokers and devices."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput
from gatepost.agent.core.views import BrokerView, ConfiguredView, DeviceView
from gatepost.agent.settings.editor import ChangeResult, Preconditions, Section
from gatepost.agent.settings.model import Name
from gatepost.agent.settings.redacted_view import configured

View = TypeVar("View", BrokerView, DeviceView)


def add_configuration(request: ApiRequest, section: Section, name: str, view: ConfiguredView) -> None:
    found = getattr(request.app.settings, section).get(name)
    if found is not None:
        view["configured"] = configured(found, request.app.registry)
        view["origin"] = request.app.editor.origin(section, name)
        view["etag"] = request.app.editor.etag(section, name)


def answer(view: View, place: str, changed: ChangeResult | None) -> JsonResponse[View]:
    etag = view.get("etag")
    headers = {"etag": etag} if etag else {}
    if changed is None:
        return JsonResponse(view, 200, headers)
    if changed.created:
        headers["location"] = f"/api/v1/{place}"
    view["warnings"] = changed.warnings
    return JsonResponse(view, 201 if changed.created else 200, headers)


def terms_of(request: ApiRequest, new: bool = False) -> Preconditions:
    return Preconditions(request.header("if-match"), request.header("if-none-match"), new, request.source)


def settings_of(request: ApiRequest) -> dict[str, Any]:
    """The body as it came, which the loader of settings judges. Raises BadInput."""
    try:
        found: dict[str, Any] = msgspec.json.decode(request.raw or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadInput(f"body: {error}", "a JSON object of settings") from None
    return found


def name_of(text: str) -> str:
    """Raises BadInput."""
    try:
        return msgspec.convert(text, Name)
    except msgspec.ValidationError:
        hint = "letters, digits, `_`, `.` and `-`, at most 64"
        raise BadInput(f"name: {text[:64]!r} is not a valid name", hint) from None
