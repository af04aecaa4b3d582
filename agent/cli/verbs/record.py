"""`gatepost record`: what a device of the running agent says and is told, into a file."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, device_names
from gatepost.agent.cli.support.output import complain, say, say_json
from gatepost.agent.cli.support.progress_line import progress, seconds_of
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.process.exits import ExitCode
from gatepost.client import GatewayError


def record_verb(
    device: Annotated[str, typer.Argument(help="`gatepost devices` lists them.", autocompletion=device_names)],
    file: Annotated[Path, typer.Argument(help="The file to write (JSON lines); it must not exist yet.")],
    duration: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long, such as 30s; default: until Ctrl-C.")
    ] = None,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Keep the raw bytes of a device, for replay.

    They are kept with their times, for `gatepost replay` or for a developer.

    The device goes on working as usual. The file holds what it measures, and no passwords or keys. When
    the device sends nothing in this time, no file is kept (exit code 1).

    \b
    Example:
      gatepost record oximeter-1 oximeter.rec --for 1m
    """
    seconds = None if duration is None else seconds_of(duration, math.inf)
    client = connected(socket, config)
    client.device(device)  # says so when there is none
    tally = {"heard": 0, "said": 0, "notes": 0, "octets": 0}
    try:
        with file.open("xb") as out:
            file.chmod(0o600)
            try:
                _record(client.raw(device), out, tally, seconds)
            finally:
                if not tally["heard"]:  # the next try may have the name
                    file.unlink()
    except FileExistsError:
        raise GatepostError(f"{file} already exists", "name another file") from None
    except OSError as error:
        raise GatepostError(f"{file}: {error.strerror}") from error
    silent = not tally["heard"]
    if json:
        say_json({"device": device, "file": None if silent else str(file), **tally})
    elif not silent:
        say(f"{file}: {tally['heard']} times heard ({tally['octets']} octets), {tally['said']} times said")
    if silent:
        do = f"nothing is kept; `gatepost devices {device}` shows how it is"
        complain(f"{device} said nothing in this time", do)
        raise typer.Exit(ExitCode.FAILED)


def _record(lines: Any, out: Any, tally: dict[str, int], seconds: float | None) -> None:
    """Until the time is over or Ctrl-C; every line is in the file when it is counted."""
    import signal

    end = None if seconds is None else time.monotonic() + seconds
    if seconds is not None:  # a silent device must not keep it waiting
        signal.signal(signal.SIGALRM, _over)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with progress("recording, Ctrl-C ends it") as tell:
            for line in lines:
                out.write(line)
                out.flush()
                _count(orjson.loads(line), tally)
                tell(f"recording: {tally['heard']} heard, {tally['said']} said")
                if end is not None and time.monotonic() >= end:
                    return
        raise GatewayError("agent-left", "the agent stopped")
    except (KeyboardInterrupt, _TimeIsOver):
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _TimeIsOver(Exception):
    """The duration has passed."""


def _over(number: int, frame: Any) -> None:
    raise _TimeIsOver


def _count(moment: dict[str, Any], tally: dict[str, int]) -> None:
    if "heard" in moment or "advert" in moment:
        tally["heard"] += 1
        tally["octets"] += len(moment.get("heard", "")) // 2
    elif "said" in moment:
        tally["said"] += 1
    elif "note" in moment:
        tally["notes"] += 1
