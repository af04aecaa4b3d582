"""`gatepost version`, and `gatepost completion`: the script that completes verbs, options and names in a shell."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

import typer

from gatepost.agent.cli.support.agent_access import Json
from gatepost.agent.cli.support.output import say, say_as_is, say_json

LIBRARIES = ("gmqtt", "aiosqlite", "msgspec", "orjson", "pyserial", "uvicorn", "uvloop")


def version_verb(json: Json = False) -> None:
    """Print the versions of gatepost, Python, SQLite and the system.

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


def completion_verb(shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")]) -> None:
    """Print the completion script of a shell.

    It completes names of devices and brokers where the running agent answers at once.

    \b
    Example:
      gatepost completion bash > ~/.local/share/bash-completion/completions/gatepost
      gatepost completion zsh > "${fpath[1]}/_gatepost"
      gatepost completion fish > ~/.config/fish/completions/gatepost.fish
    """
    from typer._completion_shared import get_completion_script

    say_as_is(get_completion_script(prog_name="gatepost", complete_var="_GATEPOST_COMPLETE", shell=shell))
