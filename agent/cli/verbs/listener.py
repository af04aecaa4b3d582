"""`gatepost listener`: devices that speak MQTT to the gateway."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, valid_settings
from gatepost.agent.cli.support.formatting import span
from gatepost.agent.cli.support.output import say, say_json, table
from gatepost.agent.cli.verbs.readings import values
from gatepost.agent.core.errors import NotFound

MOST_TRIED = 1_000_000  # octets of a payload


def listener_verb(
    hang_up: Annotated[
        str | None, typer.Option("--hang-up", metavar="DEVICE", help="End the connections of this device.")
    ] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="The newest messages that were not taken, and why.")
    ] = False,
    tried: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--try", metavar="TOPIC PAYLOAD", help="What the settings make of a message (- = standard input)."
        ),
    ] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Show the devices that are connected by MQTT.

    With --refused: what they sent and nobody took, for whoever maps topics; measured values may be among it. With
    --try: what the settings on the disk make of one message; needs no agent.

    \b
    Example:
      gatepost listener
      gatepost listener --refused
      gatepost listener --try tele/plug-3/SENSOR '{"AM2301": {"Temperature": 21.5}}'
      gatepost listener --hang-up plug-3
    """
    if tried is not None:
        _try(*tried, config or default_config(), json)
        return
    client = connected(socket, config)
    if refused:
        _show_refused(client.refused_messages(), json)
        return
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


def _show_refused(shown: dict[str, Any], json: bool) -> None:
    if json:
        say_json(shown)
    elif not shown["refused"]:
        say("nothing was refused since the start")
    else:
        columns = ["AGO", "DEVICE", "WHY", "TIMES", "TOPIC", "PAYLOAD"]
        table(columns, [_refused_row(each) for each in shown["refused"]], below=["PAYLOAD", "TOPIC"])


def _refused_row(each: dict[str, Any]) -> list[str]:
    payload = each["payload"]
    if payload is None:
        payload = "(not shown: it may hold a secret)"
    elif each["size"] > len(payload.encode()):
        payload = f"{payload} ... ({each['size']} octets)"
    return [span(each["age"]), each["device"], each["reason"], str(each["count"]), each["topic"], payload]


def _try(topic: str, payload: str, config: Path, json: bool) -> None:
    from gatepost.agent.cli.support.mapping_trial import try_message

    octets = sys.stdin.buffer.read(MOST_TRIED + 1) if payload == "-" else payload.encode()
    if len(octets) > MOST_TRIED:
        raise typer.BadParameter(f"a payload of more than {MOST_TRIED} octets", param_hint="--try")
    found = try_message(valid_settings(config), topic, octets)
    if json:
        say_json({"tried": found})
    for each in found if not json else ():
        say(f"{each['device']}, by {each['mapping']}:")
        for reading in each["readings"]:
            metric, found_values = reading["metric_type"], values(reading)
            say(f"  {metric}: {found_values if found_values != metric else 'no value'}")
            for flag in reading["flags"]:
                say(f"    {flag}")
        if each["status"]:
            say(f"  status: {each['status']}")
        if each["refused"]:
            say(f"  refused: {each['refused']}")
        if each["places"]:
            say(f"  its values are at {', '.join(each['places'])}")
    if not found:
        raise NotFound(f"no device of the settings takes the topic {topic}", "options.topics of a device maps it")
    if any(each["refused"] for each in found):
        raise typer.Exit(1)


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
        counts + (f"; refused: {', '.join(refused)} (--refused shows them)" if refused else ""),
    ]


def _row(client: dict[str, Any]) -> list[str]:
    times = [client[name][11:19] for name in ("since", "last")]
    protocol = client["protocol"] + (" TLS" if client["tls"] else "")
    return [client["device"], client["client_id"], client["address"], protocol, *times, str(client["unacknowledged"])]
