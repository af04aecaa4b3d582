"""`gatepost apply`, settings on trial, `gatepost confirm`, which keeps them, and `gatepost reload`."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected
from gatepost.agent.cli.support.output import complain, say, say_as_is, say_json
from gatepost.agent.core.named_files import read_given
from gatepost.agent.process.exits import ExitCode
from gatepost.client import BadInput, NotAllowed

TIMEOUT = 60.0  # seconds: devices that are gone may be closed on the way
LARGEST = 1 << 19  # octets of a file


def apply_verb(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Settings as in a settings file; - = standard input.")],
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", metavar="DURATION", help="On trial: undone unless confirmed in time (10s to 1h)."),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show the change and mistakes; apply nothing.")] = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Apply settings, on trial if wanted.

    They are merged over the agent's own drop. The file holds what is to change. A broker or device in it is taken
    whole, null removes it. With --confirm the change is undone by itself, also after a crash or a power cut, unless
    `gatepost confirm` says in time that all is well: a wrong setting over a remote link is undone. Wrong ones are
    refused with every problem (exit code 78).

    \b
    Example:
      gatepost apply new-broker.yaml --confirm 2m
      gatepost apply new-broker.yaml --preview
    """
    client = connected(socket, config, TIMEOUT)
    written = WrittenSettings(_text(file), str(file))
    body: dict[str, Any] = {"yaml": written.text, "name": written.name}
    if preview:
        _preview(client.preview_settings(**body), written, json)
        return
    try:
        done = client.apply_settings(confirm=confirm, **body)
    except (BadInput, NotAllowed) as error:
        problems = ((error.answer or {}).get("error") or {}).get("problems")
        if not problems:
            raise
        _refused(problems, written)
    if json:
        say_json(done)
        return
    say("applied: " + (", ".join(done["changed"]) or "nothing changed"))
    for warning in done["warnings"]:
        complain(f"warning: {written.problem(warning)}")
    if done["trial"]:
        left = done["trial"]["left"]
        say(f"on trial for {left:g} s: `gatepost confirm` keeps it, else the earlier settings come back")


class WrittenSettings(NamedTuple):
    """Settings as a person wrote them; says where in them a problem is."""

    text: str
    name: str

    def problem(self, problem: dict[str, str]) -> str:
        """`new.yaml:3:13: devices.probe.driver: what; hint`; without a place where it is about something else."""
        origin = self._origin(problem["where"])
        hint = f"; {problem['hint']}" if problem.get("hint") else ""
        return f"{f'{origin}: ' if origin else ''}{problem['where']}: {problem['message']}{hint}"

    def _origin(self, key: str) -> str:
        """Of the key, else of the nearest one around it that is written here. A name may hold dots."""
        from gatepost.agent.settings.problem import ProblemReport
        from gatepost.agent.settings.yaml.nodes import MapNode, Node
        from gatepost.agent.settings.yaml.reader import read_bytes

        node: Node = read_bytes(self.text.encode(), self.name, ProblemReport())[0]
        origin = ""
        while isinstance(node, MapNode):
            name = next((name for name in node.entries if key == name or key.startswith(f"{name}.")), None)
            if name is None:
                break
            entry = node.entries[name]
            key, origin = key[len(name) + 1 :], str(entry.key)
            node = entry.value
        return origin


def _text(file: Path) -> str:
    try:
        return read_given(file, LARGEST).decode("utf-8")
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file} is not UTF-8 text") from None


def _preview(found: dict[str, Any], written: WrittenSettings, json: bool) -> None:
    if json:
        say_json(found)
    elif found["ok"]:
        before, after = found["before"].splitlines(), found["after"].splitlines()
        for line in list(unified_diff(before, after, found["file"], "as it would be", lineterm="")) or ["no change"]:
            say_as_is(line)
        say("changes: " + (", ".join(found["changed"]) or "nothing"))
    if not found["ok"]:
        _refused(found["problems"], written, json)


def _refused(problems: list[dict[str, str]], written: WrittenSettings, quiet: bool = False) -> NoReturn:
    if not quiet:
        for problem in problems:
            say(written.problem(problem))
        complain("these settings are refused; the agent keeps the ones that it has")
    raise typer.Exit(ExitCode.SETTINGS)


def confirm_verb(
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


def reload_verb(socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """Read the settings again and apply what changed.

    Wrong settings are refused with every problem (exit code 78); the agent keeps the ones that it has. Certificates and
    keys are read again too: where one cannot be used, the earlier one stays in use (exit code 1).

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
        for problem in outcome.get("problems") or []:
            say(str(problem))
    else:
        for problem in outcome.get("problems") or []:
            say(str(problem))
        do = "`gatepost reload` tries again" if outcome.get("tried") else "`gatepost check`"
        complain("the new settings were refused; the agent keeps the ones that it has", do)
    if not outcome["applied"]:
        raise typer.Exit(ExitCode.SETTINGS)
    if outcome.get("unserved"):
        raise typer.Exit(ExitCode.FAILED)
