"""`gatepost export --stick`: what a broker is owed, onto a stick."""

from __future__ import annotations

from pathlib import Path

import msgspec
import typer

from gatepost.agent.cli.support.formatting import count, size
from gatepost.agent.cli.support.output import complain, say, say_json
from gatepost.agent.cli.support.progress_line import counting, progress
from gatepost.agent.core.errors import StickWrong
from gatepost.agent.core.named_files import read_given
from gatepost.agent.process.exits import ExitCode
from gatepost.client import GatewayClient

LARGEST_KEY = 4096  # octets of its file
NO_MORE = "there is no room for more: send what is on it, and run this again"
TWICE = "sent from here too, before the receipt came: {}; both have the same ids"
FULL = "there is no room on the stick: free some, or take another one"


def export_stick(
    client: GatewayClient,
    stick: Path,
    broker: str | None,
    receiver: str | None,
    oldest_first: bool,
    most: int | None,
    json: bool,
) -> None:
    """Ends with a sentence; exit code 1 when something on the stick was damaged."""
    from gatepost.agent.stick.folder import StickFolder
    from gatepost.agent.stick.outbound import Outbound

    folder = StickFolder(stick)
    public = None if receiver is None else _public(receiver)
    name = broker or _only_broker(client)
    with progress("writing") as tell:
        outbound = Outbound(client, folder, public, oldest_first, most, counting("writing", tell))
        try:
            done = outbound.run(name)
        except OSError as error:
            raise StickWrong(
                f"the stick cannot be written: {error.strerror or error}",
                "what is written by now counts: run it again, with the same stick or a larger one, to go on",
            ) from error
    if json:
        say_json(msgspec.to_builtins(done))
    else:
        if done.delivered:
            say(f"receipts: {count(done.delivered, 'reading')} delivered elsewhere")
        if done.twice:
            say(TWICE.format(count(done.twice, "reading")))
        if done.gone:
            say(f"on the stick, and not owed any more (delivered since, or dropped): {count(done.gone, 'reading')}")
        if done.there:
            say(f"on the stick already: {count(done.there, 'reading')}")
        written = f"{count(done.readings, 'reading')} in {count(done.parcels, 'parcel')}, {size(done.octets)}"
        say(f"written for {done.broker}: {written}")
        if not done.complete:
            say(NO_MORE if done.there + done.readings else FULL)
        if done.left_out:
            say(f"left out, since no message can be made of them: {count(done.left_out, 'row')}")
        if done.there + done.readings:
            say("unmount the stick before you pull it out; where there is a network: gatepost import")
    for problem in done.problems:
        complain(problem)
    if done.problems:
        raise typer.Exit(ExitCode.FAILED)


def _only_broker(client: GatewayClient) -> str:
    names = [broker["name"] for broker in client.brokers_status()["brokers"]]
    if len(names) != 1:
        what = f"there are several brokers; name one of {', '.join(names)}" if names else "there is no broker"
        raise typer.BadParameter(what, param_hint="--broker")
    return names[0]


def _public(receiver: str) -> str:
    """The key itself, or of a file that holds it. Raises StickWrong, OSError."""
    from gatepost.agent.stick.encryption import PUBLIC, check_public

    text = receiver if receiver.startswith(PUBLIC) else read_given(receiver, LARGEST_KEY).decode("utf-8", "replace")
    return check_public(text.strip())
