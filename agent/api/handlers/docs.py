"""The API's description of itself: for programs as OpenAPI, for people as a page that needs no other address."""

from __future__ import annotations

import asyncio
from typing import Any

from agent.api.handlers import page
from agent.api.reply import Answer
from agent.api.router import Ask


async def openapi(ask: Ask) -> Answer:
    return await asyncio.to_thread(_made)


async def docs(ask: Ask) -> Answer:
    return await page.file(ask, "docs.html")


def _made() -> Answer:
    from agent.api.openapi import document
    from agent.api.routes import ROUTES

    made: dict[str, Any] = document(ROUTES)
    return Answer(made)
