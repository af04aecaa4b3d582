"""`gatepost check`: every mistake in the settings at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, load_settings
from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import say, say_json
from gatepost.agent.cli.support.service_user import closed_to_the_service
from gatepost.agent.process.exits import ExitCode

MAIN_FILE = "gatepost.yaml"
OF_THE_SERVICE = Path("/run/credentials/gatepost.service")  # what systemd gave the running service; root may look


def check_verb(
    path: Annotated[
        Path | None, typer.Argument(readable=False, help="The settings; default: those of --config.")
    ] = None,
    config: Config = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="Also try to read every secret and certificate.")] = False,
    json: Json = False,
) -> None:
    """Print every problem of the settings.

    Reads them as the agent would, conf.d/*.yaml included, and prints `file:line:column: key: what; hint`. Exit code 78
    when there is an error, 0 with warnings only. Needs no agent. Asked by root of the installed settings, it also tells
    files that the service's user may not read.

    \b
    Example:
      gatepost check /etc/gatepost/gatepost.yaml --secrets
    """
    main = path or config or default_config()
    if main.is_dir():
        main = main / MAIN_FILE
    loaded = load_settings(main)
    problems = loaded.problems + (loaded.check_secrets(_environ()) if secrets else [])
    problems += closed_to_the_service(main, loaded, secrets)
    notes = loaded.notes
    if loaded.untried and not secrets:
        notes = [*notes, f"secrets and certificates ({loaded.untried}) were not looked at: --secrets does"]
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    if json:
        files = [str(file) for file in loaded.files]
        say_json({"ok": not errors, "files": files, "problems": msgspec.to_builtins(problems), "notes": notes})
    else:
        for problem in problems:
            say(str(problem))
        for note in notes:
            say(f"note: {note}")
        say(f"{count(len(loaded.files), 'file')}, {count(errors, 'error')}, {count(warnings, 'warning')}")
    if errors:
        raise typer.Exit(ExitCode.SETTINGS)


def _environ() -> dict[str, str]:
    """The environment, with the credentials of the service where the shell has none and may look at them."""
    environ = dict(os.environ)
    if "CREDENTIALS_DIRECTORY" not in environ and os.access(OF_THE_SERVICE, os.R_OK | os.X_OK):
        environ["CREDENTIALS_DIRECTORY"] = str(OF_THE_SERVICE)
    return environ
