"""`gatepost logs`: the running agent's own log, from its memory."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, OfDevice, Socket, connected
from gatepost.agent.cli.support.output import complain, say_as_is, say_json, say_line
from gatepost.client import GatewayError


def logs_verb(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Then print new lines as they are written.")] = False,
    level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option("--level", "-l", help="The lowest level.")
    ] = "debug",
    device: OfDevice = None,
    grep: Annotated[
        str | None,
        typer.Option("--grep", "-g", metavar="TEXT", help="Only lines with this text; case does not matter."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=1000, help="Show at most this many kept lines.")
    ] = 200,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the agent's own log, the newest line last.

    The agent keeps the newest 256 KiB in memory, also on systems without a journal. logging.level says what is
    logged. With --follow it prints until Ctrl-C; with --json too, one JSON object a line.

    \b
    Example:
      gatepost logs --level warning
      gatepost logs --follow --device cuff-3
    """
    client = connected(socket, config)
    query = {"level": level, "device": device, "grep": grep, "limit": limit}
    if not follow:
        lines = client.logs(**query)["logs"]
        if json:
            say_json({"logs": lines})
        else:
            for line in lines:
                say_as_is(_text(line))
        return
    for line in client.follow_logs(**query):
        if "lost" in line:
            complain(f"{line['lost']} lines went by faster than they could be printed")
        elif json:
            say_line(line)
        else:
            say_as_is(_text(line))
    raise GatewayError("agent-left", "the agent stopped")


def _text(line: dict[str, Any]) -> str:
    return f"{line['time']} {line['level']:7} {line['logger']}: {line['message']}"
