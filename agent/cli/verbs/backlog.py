"""`gatepost backlog`: what each broker is still owed, what was lost, and what was refused for good."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected
from gatepost.agent.cli.support.formatting import ago, clock_time, count
from gatepost.agent.cli.support.output import say, say_json, table


def backlog_verb(
    gaps: Annotated[bool, typer.Option("--gaps", help="Show which readings were lost, and why.")] = False,
    dead_letters: Annotated[
        bool, typer.Option("--dead-letters", help="Show what brokers refused for good, and why.")
    ] = False,
    seen: Annotated[
        bool, typer.Option("--seen", help="Mark a loss of stored readings as seen: health is ok again.")
    ] = False,
    limit: Annotated[
        int,
        typer.Option("--limit", "-n", min=1, max=1000, help="Show at most this many gaps or dead letters, the newest."),
    ] = 20,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show what brokers are owed, what was lost or refused.

    Owed are readings that are stored and that the broker has not acknowledged yet.

    \b
    Example:
      gatepost backlog
      gatepost backlog --gaps --seen
      gatepost backlog --dead-letters --limit 100
    """
    if gaps and dead_letters:
        raise typer.BadParameter("--gaps or --dead-letters, one at a time")
    client = connected(socket, config)
    if seen:
        client.gaps_seen()
    if gaps:
        answer, tell = client.gaps(limit), _gaps
    elif dead_letters:
        answer, tell = client.dead_letters(limit), _dead_letters
    else:
        answer, tell = client.backlog(), _owed
    if json:
        say_json(answer)
    else:
        tell(answer)


def _owed(answer: dict[str, Any]) -> None:
    owed = answer["backlog"]
    if not owed:
        say("no broker is configured: readings are stored, and kept for store.keep")
        return
    rows = [
        (entry["broker"], count(entry["readings"]), count(entry.get("urgent", 0)), ago(entry.get("oldest")))
        for entry in owed
    ]
    table(("broker", "readings", "urgent", "oldest"), rows)


def _gaps(answer: dict[str, Any]) -> None:
    if not answer["gaps"]:
        say("nothing was lost")
        return
    rows = [
        (
            clock_time(gap["time"]),
            count(gap["count"]),
            gap["reason"],
            gap.get("device_id"),
            ", ".join(gap.get("brokers") or []) or "every one",
        )
        for gap in answer["gaps"]
    ]
    table(("time", "readings", "reason", "device", "for broker"), rows[::-1], below=("for broker",))


def _dead_letters(answer: dict[str, Any]) -> None:
    if not answer["dead_letters"]:
        say("no broker refused anything for good")
        return
    rows = [
        (clock_time(letter["time"]), letter["broker"], letter["reading"], letter["code"], letter["reason"])
        for letter in answer["dead_letters"]
    ]
    table(("time", "broker", "reading", "code", "why"), rows[::-1], below=("why", "code"))
