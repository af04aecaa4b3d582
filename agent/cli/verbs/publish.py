"""`gatepost publish`: a message through one of the agent's brokers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, broker_names, connected
from gatepost.agent.cli.support.formatting import size
from gatepost.agent.cli.support.output import say, say_json
from gatepost.agent.core.named_files import read_given

LARGEST = 1 << 20  # octets: what a request of the API may hold


def publish_verb(
    broker: Annotated[str, typer.Argument(help="`gatepost brokers` lists them.", autocompletion=broker_names)],
    topic: Annotated[str, typer.Argument(help="One topic, without + and #.")],
    payload: Annotated[str | None, typer.Argument(help="The text to send as it is; or use --file.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Send the octets of this file; - is the standard input.")
    ] = None,
    qos: Annotated[int, typer.Option("--qos", min=0, max=2, help="Quality of service.")] = 1,
    retain: Annotated[
        bool, typer.Option("--retain", help="The broker keeps it for clients that subscribe later.")
    ] = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Publish a message through a broker.

    It is sent at once or not at all: nothing is stored for a broker that is not connected.

    \b
    Example:
      gatepost publish hospital ward/7/notes 'all quiet' --retain
      gatepost publish hospital ward/7/notes --file note.json
    """
    content: str | bytes
    if payload is not None and file is None:
        content = payload
    elif file is not None and payload is None:
        content = read_given(file, LARGEST)
    else:
        raise typer.BadParameter("either PAYLOAD or --file is needed")
    sent = connected(socket, config).publish(broker, topic, content, qos=qos, retain=retain)
    if json:
        say_json(sent)
    else:
        kept = ", retained" if sent["retain"] else ""
        say(f"{sent['broker']}: {size(sent['size'])} to {sent['topic']}, QoS {sent['qos']}{kept}")
