"""`gatepost backlog`: what each broker is still owed."""

from __future__ import annotations

from agent.cli.common import Config, Json, Socket, connected, new
from agent.cli.human import ago, count
from agent.cli.show import say, say_json, table

verb = new()


@verb.command("backlog")
def show(socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """Show what each broker is still owed: readings that are stored and not acknowledged by it yet.

    \b
    Example:
      gatepost backlog
    """
    answer = connected(socket, config).backlog()
    if json:
        say_json(answer)
        return
    owed = answer["backlog"]
    if not owed:
        say("no broker is configured: readings are stored, and kept for store.keep")
        return
    rows = [
        (entry["broker"], count(entry["readings"]), count(entry.get("urgent", 0)), ago(entry.get("oldest")))
        for entry in owed
    ]
    table(("broker", "readings", "urgent", "oldest"), rows)
