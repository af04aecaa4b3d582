"""The served OpenAPI document against the real agent: no 5xx, no status or answer that it does not tell.

GATEPOST_FUZZ=500 asks each route so many things; without it a few.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gatepost.agent.api.http import refusal_delay
from gatepost.agent.api.routes import ROUTES, document_routes
from gatepost.agent.api.schemas.openapi import document
from tests.api.real import running, written
from tests.support.ports import free_port

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import CHECKS, load_all_checks  # noqa: E402

load_all_checks()
CHECKED = CHECKS.get_by_names(
    ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
EXAMPLES = int(os.environ.get("GATEPOST_FUZZ", "8"))
UNREACHABLE = 503  # brokers and devices of these tests lead nowhere, and that is an answer
api = (
    schemathesis.openapi.from_dict(document((*ROUTES, *document_routes())))
    .exclude(path_regex="(follow|raw|logs|scan|-test|backup|-bundle)$")
    .exclude(method="DELETE", path="/api/v1/session")
)


class Agent:
    """The app on TCP, in a thread of its own."""

    def __init__(self, folder):
        self.url = f"http://127.0.0.1:{free_port()}"
        self._config = written(
            folder,
            api={"socket": str(folder / "api.sock"), "listen": self.url.removeprefix("http://"), "rate_limit": 0},
            devices={"bench": {"driver": "lines", "port": str(folder / "nowhere")}},
        )
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._main(),), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    async def _main(self):
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with running(self._config) as (_, http):
            made = await http.post("/tokens", json={"role": "admin"})
            self.headers = {"authorization": f"Bearer {made.json()['token']}"}
            self._ready.set()
            await self._end.wait()

    def close(self):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(60)


@pytest.fixture(scope="module")
def agent():
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="gp-") as folder:
        patch.setattr(refusal_delay, "HOLD", 0.0)  # most of what is asked is refused; test_limits.py sees that it waits
        served = Agent(Path(folder))
        yield served
        served.close()


@api.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_as_told(agent, case):
    answer = case.call(base_url=agent.url, headers=agent.headers, timeout=60)
    checks = [check for check in CHECKED if answer.status_code != UNREACHABLE or check.__name__ != "not_a_server_error"]
    case.validate_response(answer, checks=checks, headers=agent.headers)
