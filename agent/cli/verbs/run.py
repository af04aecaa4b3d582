"""`gatepost run`, the agent itself in the foreground, and `gatepost demo`, which shows it at work."""

from __future__ import annotations

from typing import Annotated

import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config


def run_verb(config: Config = None) -> None:
    """Run the agent in the foreground, until SIGTERM or Ctrl-C.

    SIGHUP reads the settings again. conf.d/*.yaml beside the settings is merged after them. This is what the
    systemd service starts.

    \b
    Example:
      gatepost run --config ~/trial/gatepost.yaml
    """
    from gatepost.agent.main import run_agent
    from gatepost.agent.process.signals import ProcessSignals

    raise typer.Exit(run_agent(config or default_config(), ProcessSignals()))


def demo_verb(
    seconds: Annotated[float | None, typer.Option("--seconds", min=1, help="End after this many seconds.")] = None,
    away: Annotated[
        float, typer.Option("--away", min=0, help="Stop the broker now and then for this many seconds; 0 = never.")
    ] = 8.0,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print lines instead of the live table, also in a terminal.")
    ] = False,
) -> None:
    """Show Gatepost at work, with simulated devices and a broker.

    The agent is the real one; nothing leaves this machine.

    \b
    Example:
      gatepost demo --seconds 60
    """
    from gatepost.agent.demo.runner import run as show

    show(seconds, away, plain)
