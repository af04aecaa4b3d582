"""The API's description of itself: for programs as OpenAPI, for people as a page that needs no other address."""

from __future__ import annotations

import asyncio
from typing import Any

from gatepost.agent.api.handlers import web_page
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest


async def openapi(ask: ApiRequest) -> JsonResponse:
    return await asyncio.to_thread(_made)


async def docs(ask: ApiRequest) -> JsonResponse:
    return await web_page.file(ask, "docs.html")


def _made() -> JsonResponse:
    from gatepost.agent.api.routes import ROUTES
    from gatepost.agent.api.schemas.openapi import document

    made: dict[str, Any] = document(ROUTES)
    return JsonResponse(made)
