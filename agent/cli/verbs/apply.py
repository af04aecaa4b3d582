"""`gatepost apply`, settings on trial, `gatepost confirm`, which keeps them, and `gatepost reload`."""

from __future__ import annotations

import sys
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, new
from gatepost.agent.cli.support.output import complain, say, say_as_is, say_json
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.process.exits import ExitCode
from gatepost.client import BadInput, NotAllowed

TIMEOUT = 60.0  # seconds: devices that are gone may be closed on the way
LARGEST = 1 << 19  # octets of a file

verb = new()
confirm_verb = new()
reload_verb = new()


@verb.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Settings as in a settings file; - = standard input.")],
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="DURATION", help="On trial: undone unless confirmed so soon (10s to 1h)."),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what would be kept, and mistakes.")] = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Put settings into force, on trial if you like.

    They are merged over the agent's own drop. The file holds what is to change. A broker or device in it is taken
    whole, null removes it. With --confirm the change is undone by itself, also after a crash or a power cut, unless
    `gatepost confirm` says in time that all is well: a wrong setting over a remote link mends itself. Wrong ones are
    refused with every problem (exit code 78).

    \b
    Example:
      gatepost apply new-broker.yaml --confirm 2m
      gatepost apply new-broker.yaml --preview
    """
    client = connected(socket, config, TIMEOUT)
    body: dict[str, Any] = {"yaml": _text(file), "name": str(file)}
    if preview:
        _preview(client.preview_settings(**body), json)
        return
    try:
        done = client.apply_settings(confirm=confirm, **body)
    except (BadInput, NotAllowed) as error:
        problems = ((error.answer or {}).get("error") or {}).get("problems")
        if not problems:
            raise
        _refused(problems)
    if json:
        say_json(done)
        return
    say("applied: " + (", ".join(done["changed"]) or "nothing changed"))
    for warning in done["warnings"]:
        complain(_problem(warning))
    if done["trial"]:
        left = done["trial"]["left"]
        say(f"on trial for {left:g} s: `gatepost confirm` keeps it, else the earlier settings come back")


def _text(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read(LARGEST + 1) if str(file) == "-" else read_regular(file, LARGEST + 1)
        if len(data) > LARGEST:
            raise typer.BadParameter(f"{file} is larger than {LARGEST} octets")
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8 text") from None


def _preview(found: dict[str, Any], json: bool) -> None:
    if json:
        say_json(found)
    elif found["ok"]:
        before, after = found["before"].splitlines(), found["after"].splitlines()
        for line in list(unified_diff(before, after, found["file"], "as it would be", lineterm="")) or ["no change"]:
            say_as_is(line)
        say("changes: " + (", ".join(found["changed"]) or "nothing"))
    if not found["ok"]:
        _refused(found["problems"], json)


def _refused(problems: list[dict[str, str]], quiet: bool = False) -> NoReturn:
    if not quiet:
        for problem in problems:
            say(_problem(problem))
        complain("these settings are refused; the agent goes on with the ones it has")
    raise typer.Exit(ExitCode.SETTINGS)


def _problem(problem: dict[str, str]) -> str:
    hint = f"; {problem['hint']}" if problem.get("hint") else ""
    return f"{problem['where']}: {problem['message']}{hint}"


@confirm_verb.command("confirm")
def confirm(
    revert: Annotated[bool, typer.Option("--revert", help="Go back to the earlier settings now.")] = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Keep the settings that are on trial.

    `gatepost apply FILE --confirm DURATION` put them there.

    \b
    Example:
      gatepost confirm
      gatepost confirm --revert
    """
    client = connected(socket, config, TIMEOUT)
    trial = (client.revert_settings() if revert else client.confirm_settings())["trial"]
    if json:
        say_json({"trial": trial})
    else:
        say(f"{trial['state']}: " + ", ".join(trial["changed"]))


@reload_verb.command("reload")
def reload(socket: Socket = None, config: Config = None, json: Json = False) -> None:
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
