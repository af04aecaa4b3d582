"""`gatepost listener`: devices that speak MQTT to the gateway."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected
from gatepost.agent.cli.support.output import say, say_json, table


def listener_verb(
    hang_up: Annotated[
        str | None, typer.Option("--hang-up", metavar="DEVICE", help="End the connections of this device.")
    ] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the devices that are connected by MQTT.

    \b
    Example:
      gatepost listener
      gatepost listener --hang-up plug-3
    """
    client = connected(socket, config)
    if hang_up is not None:
        ended = client.hang_up(hang_up)
        if json:
            say_json(ended)
        else:
            say(f"{ended['device']}: {ended['ended']} connection{'s' * (ended['ended'] != 1)} ended")
        return
    shown = client.listener()
    if json:
        say_json(shown)
        return
    for line in _summary(shown):
        say(line)
    if shown["clients"]:
        columns = ["DEVICE", "CLIENT", "ADDRESS", "MQTT", "SINCE", "LAST", "WAITING"]
        table(columns, [_row(client) for client in shown["clients"]], below=["CLIENT", "ADDRESS"])


def _summary(shown: dict[str, Any]) -> list[str]:
    if shown["trouble"]:
        return [f"not served: {shown['trouble']}"]
    if not shown["isInitialized"]:
        return ["off: `listener.listen` names the address where devices connect"]
    host = f"{shown['host']}:{shown['port']}"
    places = [host + (" with TLS" if shown["tls"] else "")] + ([f"WebSocket at {shown['ws']}"] if shown["ws"] else [])
    refused = [f"{count} {kind}" for kind, count in shown["refused"].items() if count]
    counts = f"{shown['received']} messages, {shown['stored']} stored, {shown['unacknowledged']} waiting"
    return [
        f"devices connect at {', '.join(places)}: {shown['authenticatedClients']} connected",
        counts + (f"; refused: {', '.join(refused)}" if refused else ""),
    ]


def _row(client: dict[str, Any]) -> list[str]:
    times = [client[name][11:19] for name in ("since", "last")]
    protocol = client["protocol"] + (" TLS" if client["tls"] else "")
    return [client["device"], client["client_id"], client["address"], protocol, *times, str(client["unacknowledged"])]
