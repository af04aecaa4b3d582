"""`gatepost demo`."""

from __future__ import annotations

from typing import Annotated

import typer

from gatepost.agent.cli.support.agent_access import new

verb = new()


@verb.command("demo")
def demo(
    seconds: Annotated[float | None, typer.Option("--seconds", min=1, help="End by itself after so long.")] = None,
    away: Annotated[
        float, typer.Option("--away", min=0, help="The broker goes away now and then for so many seconds; 0 = never.")
    ] = 8.0,
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a picture, also in a terminal.")] = False,
) -> None:
    """Show Gatepost at work, with simulated devices and a broker.

    The agent is the real one; nothing leaves this machine.

    \b
    Example:
      gatepost demo --seconds 60
    """
    from gatepost.agent.demo.runner import run

    run(seconds, away, plain)
