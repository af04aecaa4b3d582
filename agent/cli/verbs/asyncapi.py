"""`gatepost asyncapi`: the AsyncAPI 3.0 document of the configured brokers."""

from __future__ import annotations

import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, load_settings, new
from gatepost.agent.cli.support.output import complain, say_as_is, say_json
from gatepost.agent.process.exits import ExitCode

verb = new()


@verb.command("asyncapi")
def show(config: Config = None, json: Json = False) -> None:
    """Print the AsyncAPI document of the configured brokers.

    Topics, payloads and both directions, as YAML or with --json as JSON. Reads the settings; needs no agent.

    \b
    Example:
      gatepost asyncapi > asyncapi.yaml
    """
    from yaml import SafeDumper, dump

    from gatepost.agent.uplink.asyncapi import document
    from gatepost.drivers.installed import version

    settings = load_settings(config or default_config()).settings
    if settings is None:
        complain("the settings are invalid", "`gatepost check` names every problem")
        raise typer.Exit(ExitCode.SETTINGS)
    made = document(settings, version("gatepost") or "0")
    if json:
        say_json(made)
    else:
        dumper = type("PlainDumper", (SafeDumper,), {"ignore_aliases": lambda *_: True})
        say_as_is(dump(made, Dumper=dumper, sort_keys=False, allow_unicode=True, width=110).rstrip())
