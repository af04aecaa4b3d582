"""`gatepost reload`: have the agent read its settings again, now."""

from __future__ import annotations

from typing import Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, new
from gatepost.agent.cli.support.output import complain, say, say_json
from gatepost.agent.process.exits import ExitCode

TIMEOUT = 60.0  # seconds: devices that are gone may be closed on the way

verb = new()


@verb.command("reload")
def ask(socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """Read the settings again and apply what changed.

    Wrong settings are refused with every problem (exit code 78); the agent goes on with the ones it has.

    \b
    Example:
      gatepost reload
    """
    outcome: dict[str, Any] = connected(socket, config, TIMEOUT).reload()
    if json:
        say_json(outcome)
    elif outcome["applied"]:
        changed = outcome.get("changed") or []
        say("applied: " + (", ".join(map(str, changed)) if changed else "nothing changed"))
    else:
        for problem in outcome.get("problems") or []:
            say(str(problem))
        complain("the new settings were refused; the agent goes on with the ones it has", "`gatepost check`")
    if not outcome["applied"]:
        raise typer.Exit(ExitCode.SETTINGS)
