"""Which endpoint a path leads to. starlette.routing does the same for 2 MiB (forms, cookies, http.client, email)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


class _Place(NamedTuple):
    pattern: re.Pattern[str]
    endpoint: ASGIApp


class Paths:
    """`/devices/{id}`: one part of a path; `{topic:path}`: all that is left, slashes too. Tried in their order; the
    endpoint finds what they matched in `scope["path_params"]`."""

    def __init__(self, endpoints: Iterable[tuple[str, ASGIApp]], nothing_here: ASGIApp) -> None:
        self._places = [_Place(_compiled(path), endpoint) for path, endpoint in endpoints]
        self._nothing_here = nothing_here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        for place in self._places:
            matched = place.pattern.fullmatch(path)
            if matched is not None:
                scope["path_params"] = matched.groupdict()
                await place.endpoint(scope, receive, send)
                return
        await self._nothing_here(scope, receive, send)


def _compiled(path: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for found in _PARAMETER.finditer(path):
        pattern += re.escape(path[end : found.start()])
        pattern += f"(?P<{found[1]}>{'.+' if found[2] else '[^/]+'})"
        end = found.end()
    return re.compile(pattern + re.escape(path[end:]), re.DOTALL)
