"""Documentation routes: OpenAPI for programs, and a page for people that loads nothing from elsewhere."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any

from gatepost.agent.api.handlers import web_page
from gatepost.agent.api.handlers.web_page import PageFile
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest


async def openapi(request: ApiRequest) -> JsonResponse[dict[str, Any]]:
    return await asyncio.to_thread(_made)


async def docs(request: ApiRequest) -> PageFile:
    return await web_page.file(request, "docs.html")


@cache
def _made() -> JsonResponse[dict[str, Any]]:
    """Kept, as octets: whoever asks needs no token, and making it takes a small box a tenth of a second."""
    from gatepost.agent.api.routes import ROUTES, document_routes
    from gatepost.agent.api.schemas.openapi import document

    return JsonResponse(document((*ROUTES, *document_routes())))
