"""`gatepost version`."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gatepost.agent.cli.support.agent_access import Json, new
from gatepost.agent.cli.support.output import say, say_json

LIBRARIES = ("gmqtt", "aiosqlite", "msgspec", "orjson", "pyserial", "uvicorn", "uvloop")

verb = new()


@verb.command("version")
def show(json: Json = False) -> None:
    """Print the version of gatepost and of what it stands on.

    \b
    Example:
      gatepost version --json
    """
    found = versions()
    if json:
        say_json(found)
        return
    say(f"gatepost {found['gatepost']}")
    say(f"Python {found['python']}, SQLite {found['sqlite']}, {found['system']}")


def versions() -> dict[str, Any]:
    return {
        "gatepost": _version("gatepost"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
