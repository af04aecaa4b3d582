"""The app itself in this process, with a client on its Unix socket."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from gatepost.agent.app import App
from gatepost.agent.process.logs import AgentLogs
from gatepost.agent.settings import load
from gatepost.drivers.driver import Registry
from tests.support.http import PLAIN


def written(folder: Path, **sections: Any) -> Path:
    """A settings file of a user."""
    settings: dict[str, Any] = {
        "gateway": {"id": "gw", "organization": "org", "state_dir": str(folder / "state")},
        "store": {"commit_interval": "10ms", "reserve": "0B"},
        "commands": {"allow": {"*": ["*"]}},
        "api": {"socket": str(folder / "api.sock"), "listen": None},
    }
    config = folder / "gatepost.yaml"
    config.write_text(yaml.safe_dump({**settings, **sections}), "utf-8")
    return config


@asynccontextmanager
async def running(config: Path) -> AsyncIterator[tuple[App, httpx.AsyncClient]]:
    loaded = load(config, {}, Registry.installed())
    assert loaded.settings is not None, loaded.problems
    logs = AgentLogs(io.StringIO(), {})
    app = App(loaded, loaded.settings, config, {}, logs)
    app.state_dir.mkdir(parents=True, exist_ok=True)
    await app.start()
    transport = httpx.AsyncHTTPTransport(uds=loaded.settings.api.socket, verify=PLAIN)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://gatepost/api/v1", timeout=20) as http:
            yield app, http
    finally:
        await app.close()
        logs.close()
