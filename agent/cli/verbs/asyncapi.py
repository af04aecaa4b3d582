"""`gatepost asyncapi`: the AsyncAPI 3.0 document of the configured brokers."""

from __future__ import annotations

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, valid_settings
from gatepost.agent.cli.support.output import say_as_is, say_json


def asyncapi_verb(config: Config = None, json: Json = False) -> None:
    """Print the AsyncAPI document of the configured brokers.

    Topics, payloads and both directions, as YAML or with --json as JSON. Reads the settings; needs no agent.

    \b
    Example:
      gatepost asyncapi > asyncapi.yaml
    """
    from yaml import SafeDumper, dump

    from gatepost.agent.uplink.asyncapi import document
    from gatepost.drivers.installed import version

    made = document(valid_settings(config or default_config()), version("gatepost") or "0")
    if json:
        say_json(made)
    else:
        dumper = type("PlainDumper", (SafeDumper,), {"ignore_aliases": lambda *_: True})
        say_as_is(dump(made, Dumper=dumper, sort_keys=False, allow_unicode=True, width=110).rstrip())
