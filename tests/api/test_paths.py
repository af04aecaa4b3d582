"""Paths lead to their endpoints."""

from __future__ import annotations

import pytest

from gatepost.agent.api.http.router import PathMatcher


def endpoint(name):
    async def answer(scope, receive, send):
        await send((name, scope.get("path_params")))

    return answer


PATHS = PathMatcher(
    [
        ("/devices", endpoint("all")),
        ("/devices/status", endpoint("status")),
        ("/devices/{id}", endpoint("one")),
        ("/devices/{id}/data", endpoint("data")),
        ("/topics/{topic:path}", endpoint("topic")),
        ("/a.b/{x}", endpoint("dot")),
    ],
    endpoint("nothing"),
)


@pytest.mark.parametrize(
    ("path", "name", "parameters"),
    [
        ("/devices", "all", {}),
        ("/devices/status", "status", {}),
        ("/devices/bp-1", "one", {"id": "bp-1"}),
        ("/devices/b p\n1", "one", {"id": "b p\n1"}),
        ("/devices/bp-1/data", "data", {"id": "bp-1"}),
        ("/topics/a/b/c", "topic", {"topic": "a/b/c"}),
        ("/a.b/1", "dot", {"x": "1"}),
        ("/axb/1", "nothing", None),
        ("/devices/", "nothing", None),
        ("/devices//data", "nothing", None),
        ("/devices/a/b", "nothing", None),
        ("/topics/", "nothing", None),
        ("devices", "nothing", None),
        ("", "nothing", None),
    ],
)
async def test_a_path_leads_to_its_endpoint(path, name, parameters):
    told = []

    async def send(message):
        told.append(message)

    await PATHS({"path": path}, None, send)
    assert told == [(name, parameters)]
