"""`gatepost send`: a command for a device or the gateway, and its answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, device_names
from gatepost.agent.cli.support.formatting import plain, quantity, span
from gatepost.agent.cli.support.output import complain, say, say_json, state
from gatepost.agent.cli.verbs.devices import explain
from gatepost.agent.cli.verbs.status import settings_line
from gatepost.agent.process.exits import ExitCode
from gatepost.client import GatewayClient, GatewayError, GatewayTimeout

GATEWAY = "gateway"
POLL = 0.5  # seconds between looks at a command that lasts
READING = {"metric_type", "values", "units", "flags"}  # the result of read_now
STATUS = {"id", "status", "condition", "driver", "readings"}  # those of status
GATEWAY_STATUS = {"gateway_id", "version", "started", "uptime", "settings"}
WAIT = 35.0  # seconds: beyond the agent's own limit as it comes, so that its answer is the one that is told


def send_verb(
    target: Annotated[
        str,
        typer.Argument(metavar="DEVICE|gateway", help="A device, or the word gateway.", autocompletion=device_names),
    ],
    command: Annotated[str, typer.Argument(help="`gatepost devices DEVICE` lists what it understands.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Parameters; a VALUE is JSON, else text.")
    ] = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.1, help="Wait this many seconds for the outcome; the command itself goes on."),
    ] = WAIT,
    token: Annotated[
        str | None, typer.Option("--token", envvar="GATEPOST_COMMAND_TOKEN", help="The device's token, if it has one.")
    ] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Send a command to a device or the gateway, print the answer.

    The settings say what is allowed (commands.allow). Exit code 1 when it was rejected or failed.

    \b
    Example:
      gatepost send oximeter-1 start_monitoring interval=30 duration=3600
      gatepost send gateway resend from=2026-11-20T10:00:00Z device=cuff-3
    """
    values = parsed(parameters or [])
    members = {} if token is None else {"token": token}
    client = connected(socket, config)
    until = time.monotonic() + timeout
    answer: Mapping[str, Any]
    try:
        answer = client.send(None if target == GATEWAY else target, command, values, timeout=timeout, **members)
    except GatewayTimeout as error:
        hint = "it may still be carried out; --timeout waits longer"
        raise GatewayError(error.key, f"there was no answer within {timeout:g} s", hint) from error
    except GatewayError as error:
        if not isinstance(error.answer, dict) or "status" not in error.answer:
            raise
        answer = error.answer
    if answer["status"] == "accepted" and target != GATEWAY:
        answer = outcome(client, target, answer, until)
    if json:
        say_json(answer)
    else:
        tell(answer)
    if answer["status"] not in ("done", "accepted"):
        raise typer.Exit(ExitCode.FAILED)


def parsed(parameters: list[str]) -> dict[str, Any]:
    """`interval=30` -> {"interval": 30}; what is no JSON is text; raises BadParameter."""
    import orjson

    found: dict[str, Any] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{parameter!r} is not KEY=VALUE")
        try:
            found[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            found[name] = value
    return found


def outcome(client: GatewayClient, device: str, answer: Mapping[str, Any], until: float) -> Mapping[str, Any]:
    """The final answer of a command that lasts, or `accepted` when it still lasts at `until` (monotonic seconds)."""
    while time.monotonic() + POLL < until:
        time.sleep(POLL)
        for entry in client.commands(device)["commands"]:
            if entry["id"] == answer["id"] and entry["status"] not in ("accepted", "executing") and entry["response"]:
                final: dict[str, Any] = entry["response"]
                return final
    return answer


def tell(answer: Mapping[str, Any]) -> None:
    say(f"{answer.get('device_id') or 'gateway'} {answer.get('command')}: {state(answer['status'])}")
    result = answer.get("result") or {}
    if result.keys() >= STATUS:
        explain(result)
        return
    if result.keys() >= GATEWAY_STATUS:
        result = _gateway(result)
    elif result.keys() >= READING:
        result = _reading(result)
    for name, value in result.items():
        say(f"  {name}: {plain(value)}")
    error = answer.get("error")
    if error:
        complain(f"{error['key']}: {error['message']}", error.get("hint") or "")
    if answer["status"] == "accepted":
        say(f"  still running; `gatepost devices` and the ledger show how it ends (id {answer['id']})")


def _gateway(result: Mapping[str, Any]) -> dict[str, Any]:
    """In the words of `gatepost status`; parts that are off are left out."""
    shown = {
        "gateway": f"{result['gateway_id']}, version {result['version']}, up {span(result['uptime'])}",
        "settings": settings_line(result["settings"]),
    }
    return shown | {name: value for name, value in result.items() if name not in GATEWAY_STATUS and value}


def _reading(result: Mapping[str, Any]) -> dict[str, Any]:
    """Each value once, with its unit; then what is not about a value."""
    values, units = result["values"], result["units"]
    shown = {result["metric_type"]: [quantity(name, value, units.get(name)) for name, value in values.items()]}
    hidden = {*READING, *values}
    return {**shown, "flags": result["flags"], **{name: value for name, value in result.items() if name not in hidden}}
