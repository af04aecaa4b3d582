"""`gatepost doctor`: what is going on, and why something is not upstream yet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, Socket, find_socket, load_settings
from gatepost.agent.cli.support.agent_access import connected as client_of
from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import coloured, say, say_json
from gatepost.agent.cli.support.service_user import closed_to_the_service
from gatepost.agent.core.printable import in_colour
from gatepost.agent.diagnostics.catalogue import finding_of
from gatepost.agent.diagnostics.finding import ORDER, Finding, by_weight
from gatepost.agent.diagnostics.offline_checks import of_box, of_settings
from gatepost.agent.process.exits import ExitCode
from gatepost.client import GatewayError, NoAgent

COLOURS = {"problem": "31", "warning": "33", "note": "36"}


def doctor_verb(
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE.tar.gz", help="Write a file for support: no secrets, no patients."),
    ] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """List what is wrong, why, and what to do.

    Settings, ports, disk, clock, store; from a running agent also each device, each broker, and why readings are not
    upstream yet. Exit code 1 when there is a problem; with --bundle 0 when the file is written.

    \b
    Example:
      gatepost doctor
      gatepost doctor --bundle gatepost-ward-7.tar.gz
    """
    main = config or default_config()
    path = find_socket(socket, config, quiet=True)
    agent = _agent(path)
    elsewhere = config is None and agent is not None and (socket is not None or not main.exists())
    found = [] if elsewhere else _box(main, running=agent is not None)
    if agent is None:
        found.append(
            finding_of(
                "agent-unreachable",
                "agent",
                f"no agent answers at {path}",
                "it is not running, or its socket is elsewhere (--socket, --config)",
                "`systemctl status gatepost`, `journalctl -u gatepost`; without systemd: `gatepost run`",
            )
        )
    else:
        found += _not_twice(found, [msgspec.convert(finding, Finding) for finding in agent["findings"]])
    found = by_weight(found)
    if bundle is not None:
        _pack(bundle, None if agent is None else path, None if elsewhere else main, found, json)
        return
    if json:
        say_json({"agent": agent is not None, "findings": msgspec.to_builtins(found)})
    else:
        _print(found)
    if any(finding.severity == "problem" for finding in found):
        raise typer.Exit(ExitCode.FAILED)


def _pack(bundle: Path, socket: Path | None, main: Path | None, found: list[Finding], json: bool) -> None:
    from gatepost.agent.cli.support import support_bundle as packing

    client = None if socket is None else client_of(socket, None)
    loaded = None if main is None else load_settings(main)
    members = packing.pack(bundle, client, loaded, msgspec.to_builtins(found), packing.journal)
    if json:
        say_json({"file": str(bundle), "members": members})
    else:
        say(f"{bundle}: {count(len(members), 'file')}; check its content before you pass it on")


def _agent(path: Path) -> dict[str, Any] | None:
    """What the running agent finds; None without one."""
    try:
        answer: dict[str, Any] = client_of(path, None).doctor()
    except NoAgent as error:
        if error.why == "permission":
            raise
        return None
    except GatewayError as error:
        return {"findings": [{"severity": "problem", "about": "agent", "what": error.message, "do": error.hint}]}
    return answer


def _box(main: Path, running: bool) -> list[Finding]:
    loaded = load_settings(main)
    loaded.problems.extend(closed_to_the_service(main, loaded))
    return [*of_settings(loaded), *of_box(loaded, running)]


def _not_twice(own: list[Finding], agents: list[Finding]) -> list[Finding]:
    """The agent's findings; what is wrong in the files stands among our own already."""
    if not any(finding.about == "settings" and finding.severity == "problem" for finding in own):
        return agents
    return [
        msgspec.structs.replace(finding, why="", do="see the problems of the settings")
        if finding.about == "settings" and finding.severity == "problem"
        else finding
        for finding in agents
    ]


def _print(found: list[Finding]) -> None:
    for finding in found:
        word: str = finding.severity
        if coloured():
            word = in_colour(word, COLOURS[word])
        say(f"{word}: {finding.about}: {finding.what}")
        if finding.why:
            say(f"    why    {finding.why}", 11)
        if finding.do:
            say(f"    to do  {finding.do}", 11)
    numbers = {word: sum(finding.severity == word for finding in found) for word in ORDER}
    say(", ".join(count(number, word) for word, number in numbers.items() if number) or "all is well")
