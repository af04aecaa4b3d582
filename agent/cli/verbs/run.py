"""`gatepost run`: the agent itself, in the foreground."""

from __future__ import annotations

import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, new

verb = new()


@verb.command()
def run(config: Config = None) -> None:
    """Run the agent in the foreground, until SIGTERM or Ctrl-C.

    SIGHUP reads the settings again. conf.d/*.yaml beside the settings is merged after them. This is what the
    systemd service starts.

    \b
    Example:
      gatepost run --config ~/trial/gatepost.yaml
    """
    from gatepost.agent.main import run_agent

    raise typer.Exit(run_agent(config or default_config()))
