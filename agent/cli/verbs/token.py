"""`gatepost token`: who may use the API over TCP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, new
from gatepost.agent.cli.support.output import say, say_as_is, say_json, table
from gatepost.client import ApiCall

ApiRole = Literal["viewer", "operator", "admin"]
RoleOption = typer.Option("--role", help="Its rights: read, also send commands, or everything.")
Kiosk = Annotated[bool, typer.Option("--kiosk", help="For a board on a wall: a viewer that stays signed in.")]

token_verb = new(no_args_is_help=True)


@token_verb.callback()
def token() -> None:
    """Make, list and revoke tokens.

    For people and programs that use the API on TCP (api.listen), and for devices that speak MQTT (listener).

    \b
    Example:
      gatepost token create --role operator --expires 30d --name nurse-station
    """


@token_verb.command()
def create(
    role: Annotated[ApiRole | None, RoleOption] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="DEVICE", help="For a device that connects by MQTT; without a role."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", metavar="DURATION", help="How long it is valid, such as 30d; default: for ever."),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What it is for.")] = None,
    publish: Annotated[
        list[str] | None,
        typer.Option("--publish", metavar="PATTERN", help="Topics that it may publish on; repeatable."),
    ] = None,
    subscribe: Annotated[
        list[str] | None,
        typer.Option("--subscribe", metavar="PATTERN", help="Topics that it may subscribe to; repeatable."),
    ] = None,
    kiosk: Kiosk = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a token. It is shown only this once: the agent keeps just a hash of it.

    Topics are MQTT filters, + and # included. Without them it may use every topic, or none as a viewer.

    \b
    Example:
      gatepost token create --role operator --expires 30d --publish 'ward/#'
      gatepost token create --device plug-3
      gatepost token create --kiosk --name 'Board ward 7'
    """
    if not kiosk and (role is None) is (device is None):
        raise typer.BadParameter("a token is made with --role, with --device, or with --kiosk")
    body: dict[str, Any] = {"role": role, "device": device, "name": name, "expires": expires}
    body |= {"publish": publish, "subscribe": subscribe, "kiosk": kiosk}
    made: Any = connected(socket, config).request(
        ApiCall("POST", "/api/v1/tokens", body={key: value for key, value in body.items() if value})
    )
    if json:
        say_json(made)
        return
    say_as_is(made["token"])
    until = f"until {made['expires']}" if made["expires"] else "until it is revoked"
    typer.echo(f"{_role(made)} {made['name']}, {until}; it is not shown again", err=True)


@token_verb.command("list")
def every(socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """List the tokens; their secrets are not kept.

    \b
    Example:
      gatepost token list
    """
    found = connected(socket, config).tokens()
    if json:
        say_json(found)
        return
    if not found["tokens"]:
        say("no tokens: `gatepost token create --role viewer` makes one")
        return
    columns = ["ID", "NAME", "ROLE", "CREATED", "EXPIRES", "LAST USE", "PUBLISH", "SUBSCRIBE"]
    rows = [
        [
            each["id"],
            each["name"],
            _role(each),
            _day(each["created"]),
            _day(each["expires"]) or "never",
            _day(each["used"]) or "never",
            " ".join(each["publish"]),
            " ".join(each["subscribe"]),
        ]
        for each in found["tokens"]
    ]
    table(columns, rows, below=["SUBSCRIBE", "PUBLISH"])


@token_verb.command()
def revoke(
    ident: Annotated[str, typer.Argument(metavar="ID", help="As `gatepost token list` shows it.")],
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Revoke a token.

    Sessions that were opened with it end, too, and the connection of its device.

    \b
    Example:
      gatepost token revoke 3f9a0c52d1e7
    """
    was = connected(socket, config).revoke_token(ident)
    if json:
        say_json(was)
    else:
        say(f"revoked: {_role(was)} {was['name']}")


@token_verb.command()
def sessions(socket: Socket = None, config: Config = None, json: Json = False) -> None:
    """List who is signed in with a browser.

    \b
    Example:
      gatepost token sessions
    """
    found = connected(socket, config).sessions()
    if json:
        say_json(found)
        return
    if not found["sessions"]:
        say("nobody is signed in")
        return
    rows = [
        [each["id"], each["name"], each["role"], each["address"], _day(each["opened"]), _day(each["seen"])]
        for each in found["sessions"]
    ]
    table(["ID", "NAME", "ROLE", "ADDRESS", "SINCE", "LAST USE"], rows)


@token_verb.command("end-session")
def end_session(
    ident: Annotated[str, typer.Argument(metavar="ID", help="As `gatepost token sessions` shows it.")],
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """End a session of the web page; what it follows ends too.

    \b
    Example:
      gatepost token end-session 5be1c0ffee21
    """
    was = connected(socket, config).end_session(ident)
    if json:
        say_json(was)
    else:
        say(f"ended: {was['id']}")


@token_verb.command()
def browser(
    role: Annotated[ApiRole, RoleOption] = "operator",
    kiosk: Kiosk = False,
    name: Annotated[str | None, typer.Option("--name", help="Of the board, with --kiosk.")] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a login code for the web page.

    It is good once, for five minutes.

    With --kiosk a board on a wall signs in with it, and stays signed in over restarts until its token is revoked.

    \b
    Example:
      gatepost token browser --role viewer
      gatepost token browser --kiosk --name 'Board ward 7'
    """
    body: dict[str, Any] = {"kiosk": True, "name": name} if kiosk else {"role": role}
    made: Any = connected(socket, config).request(ApiCall("POST", "/api/v1/session/code", body=body))
    if json:
        say_json(made)
        return
    say_as_is(made["code"])
    typer.echo(f"signs in as {_role(made)}, once, within {made['seconds'] / 60:g} minutes", err=True)


def _role(entry: dict[str, Any]) -> str:
    """A board on a wall is a viewer that stays signed in; it is called a board everywhere."""
    return "board" if entry.get("kiosk") else str(entry["role"])


def _day(moment: str | None) -> str:
    """2026-11-20 10:30 of an RFC 3339 time."""
    return "" if moment is None else moment[:16].replace("T", " ")
