"""`gatepost import`: readings of another gateway, carried here on a stick, go upstream through a broker of this one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, broker_names, connected, new
from gatepost.agent.cli.support.export_stick import LARGEST_KEY, TWICE
from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import complain, say, say_as_is, say_json
from gatepost.agent.cli.support.progress_line import counting, progress
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.named_files import read_given
from gatepost.agent.process.exits import ExitCode

if TYPE_CHECKING:
    from gatepost.agent.stick.inbound import StickImport

TIME = 60.0  # seconds: the broker acknowledges every message of a request

import_verb = new(no_args_is_help=True)


@import_verb.command("import", no_args_is_help=True)
def import_(
    stick: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Where the stick is mounted.")] = None,
    broker: Annotated[
        str | None,
        typer.Option(
            "--broker",
            "-b",
            help="Through which broker; default: the one of the same name as at home, or the only one.",
            autocompletion=broker_names,
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The private key, where the readings are encrypted.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Check whether the copy is complete; send nothing.")] = False,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", metavar="FILE", help="Write a new private key there, and print its public key."),
    ] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Send the readings of another gateway from a stick.

    `gatepost export --stick` has written them there. They keep their ids, and go as that gateway would have sent them.
    It leaves a receipt on the stick: at the first gateway, `gatepost import` or `gatepost export --stick` marks the
    readings as delivered.

    Running it again is harmless: what was sent is not sent twice. Exit code 1 when something on the stick is damaged or
    missing.

    \b
    Example:
      gatepost import /media/stick --broker hospital
    """
    if new_key is not None:
        _make_key(new_key, json)
    if stick is None:
        if new_key is None:
            raise typer.BadParameter("name the folder where the stick is mounted", param_hint="DIR")
        return
    if not any(stick.iterdir()):
        raise GatepostError(f"{stick} is empty", "is the stick mounted there?")
    from gatepost.agent.stick.folder import StickFolder
    from gatepost.agent.stick.inbound import Inbound

    private = None if key is None else read_given(key, LARGEST_KEY).decode("utf-8", "replace")
    client = connected(socket, config, TIME)
    with progress("sending") as tell:
        inbound = Inbound(client, StickFolder(stick), broker, private, counting("sending", tell))
        done = inbound.check() if check else inbound.run()
    if json:
        say_json(msgspec.to_builtins(done))
    else:
        _say(done, check)
    for problem in done.problems:
        complain(problem)
    if done.problems:
        raise typer.Exit(ExitCode.FAILED)


def _say(done: StickImport, check: bool) -> None:
    if done.delivered:
        say(f"receipts: {count(done.delivered, 'reading')} of this gateway delivered elsewhere")
    if done.twice:
        say(TWICE.format(count(done.twice, "reading")))
    word = "whole" if check else "sent"
    say(f"{word}: {count(done.readings, 'reading')} in {count(done.parcels, 'parcel')}")
    if done.refused:
        say(f"refused by the broker for good: {count(done.refused, 'reading')}; at home they become dead letters")
    if done.before:
        say(f"sent before: {count(done.before, 'parcel')}")
    if done.own:
        say(f"of this gateway itself, which sends them when it can: {count(done.own, 'parcel')}")
    for export in done.unfinished:
        say(f"export {export} was not completed: the stick was pulled out, more may be at home")


def _make_key(file: Path, json: bool) -> None:
    from gatepost.agent.stick.encryption import new_key, public_of

    private = new_key()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(f"{private}\n")
    public = public_of(private)
    if json:
        say_json({"file": str(file), "public": public})
    else:
        say_as_is(public)
