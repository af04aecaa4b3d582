"""`gatepost brokers`: the brokers and how each is; connect and disconnect them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, broker_names, connected, new
from gatepost.agent.cli.support.formatting import ago, count, span
from gatepost.agent.cli.support.output import labelled, say, say_json, state, table
from gatepost.agent.core.errors import GatepostError
from gatepost.client import GatewayClient

Name = Annotated[str, typer.Argument(help="The broker's name in the settings.", autocompletion=broker_names)]


class BrokerVerbs(TyperGroup):
    """`brokers NAME` beside `brokers connect NAME`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


brokers_verb = new(invoke_without_command=True, cls=BrokerVerbs)


@brokers_verb.callback()
def brokers(ctx: typer.Context, socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """Show the brokers and what each is owed, or connect one.

    Also why one is not connected; with a name, all about that one. `disconnect` ends a connection until `connect`.

    \b
    Example:
      gatepost brokers
      gatepost brokers hospital
      gatepost brokers disconnect hospital
    """
    ctx.obj = (socket, config, json)
    if ctx.invoked_subcommand is not None:
        return
    answer = connected(socket, config).brokers()
    if json:
        say_json(answer)
        return
    if not answer["brokers"]:
        say("no broker is configured")
        return
    rows = [
        (broker["name"], broker["state"], address(broker), *owed(broker), broker.get("reason"))
        for broker in answer["brokers"]
    ]
    table(("broker", "state", "address", "owed", "oldest", "why"), rows, ("state",), ("why", "address"))


@brokers_verb.command(hidden=True)
def show(ctx: typer.Context, name: Name, socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """Explain a broker: why it is as it is, and what it was sent.

    \b
    Example:
      gatepost brokers show hospital
    """
    client, wants_json = _asked(ctx, socket, config, json)
    broker = client.broker(name)
    if wants_json:
        say_json(broker)
        return
    soon = broker.get("next_attempt_in")
    again = "" if soon is None else f", the next in {span(soon)}"
    waiting, oldest = (broker.get("owed") or {}).get("readings"), owed(broker)[1]
    lines = [
        ("why", broker["reason"]),
        ("to do", broker["hint"]),
        ("address", address(broker)),
        ("MQTT", broker["protocol"]),
        ("owed", f"{count(waiting, 'reading')}{f', the oldest {oldest}' if waiting else ''}"),
        ("delivered", f"{count(broker['delivered'])} of {count(broker['sent'])} sent in this run"),
        ("refused", count(broker["dead_letters"]) if broker["dead_letters"] else ""),
        ("attempts", f"{count(broker['attempts'])}, {count(broker['connects'])} connected{again}"),
    ]
    say(f"{broker['name']}: {state(broker['state'])} {ago(broker['since'])}")
    labelled(lines)


@brokers_verb.command()
def connect(ctx: typer.Context, name: Name, socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """Connect a broker that was disconnected.

    \b
    Example:
      gatepost brokers connect hospital
    """
    client, wants_json = _asked(ctx, socket, config, json)
    _say(client.connect_broker(name), wants_json)


@brokers_verb.command()
def disconnect(
    ctx: typer.Context, name: Name, socket: Socket = None, config: Config = None, json: Json = False
) -> None:
    """Disconnect a broker; what it is owed is kept.

    It stays away until `connect` or the next start.

    \b
    Example:
      gatepost brokers disconnect hospital
    """
    client, wants_json = _asked(ctx, socket, config, json)
    _say(client.disconnect_broker(name), wants_json)


def address(broker: Mapping[str, Any]) -> str | None:
    """Where it is connected to, `(failover)` when that is not its first address; else where it shall be."""
    settings = broker.get("settings") or {}
    url, endpoint = broker.get("url") or settings.get("url"), broker.get("endpoint")
    return f"{endpoint} (failover)" if endpoint and _stands_in(endpoint, url) else url


def _stands_in(endpoint: str, url: str | None) -> bool:
    from gatepost.agent.uplink.mqtt.endpoint import BrokerEndpoint

    try:
        return url is not None and endpoint != str(BrokerEndpoint.parse(url))
    except GatepostError:
        return False


def owed(broker: Mapping[str, Any]) -> tuple[str, str]:
    """How many readings, and since when."""
    entry = broker.get("owed") or {}
    return count(entry.get("readings")), ago(entry.get("oldest"))


def _asked(ctx: typer.Context, socket: Any, config: Any, json: bool) -> tuple[GatewayClient, bool]:
    """The options stand before or after the name of the action."""
    earlier_socket, earlier_config, earlier_json = ctx.obj
    return connected(socket or earlier_socket, config or earlier_config), json or earlier_json


def _say(broker: Mapping[str, Any], json: bool) -> None:
    if json:
        say_json(broker)
    else:
        why = f" ({broker['reason']})" if broker.get("reason") and broker["state"] != "disconnected" else ""
        say(f"{broker['name']} is {state(broker['state'])}{why}")
