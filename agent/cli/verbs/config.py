"""`gatepost config`: the effective settings, each key with where it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, Socket, connected, load_settings
from gatepost.agent.cli.support.output import complain, say, say_json, screen, table
from gatepost.agent.core.errors import NotFound
from gatepost.agent.process.exits import ExitCode


def config_verb(
    key: Annotated[
        str | None, typer.Argument(help="Only this key and those below it, such as brokers.hospital; default: all.")
    ] = None,
    running: Annotated[
        bool, typer.Option("--running", help="Ask the agent for the settings in force instead of reading the files.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of the settings, for editors.")
    ] = False,
    socket: Socket = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print the effective settings, each with its origin.

    That is file, line and column, or `default`. Secrets and patients are hidden. Reads the files; `--running` (or
    `--socket`) asks the agent. Into a file or a pipe, key, value and origin are separated by tabs.

    \b
    Example:
      gatepost config --config /etc/gatepost/gatepost.yaml
      gatepost config devices.oximeter-1
      gatepost config --schema > gatepost.schema.json
    """
    if schema:
        from gatepost.agent.settings.schema import schema as json_schema
        from gatepost.drivers.driver import Registry

        say_json(json_schema(Registry.installed()))
        return
    if running or socket is not None:
        lines = connected(socket, config).settings()["settings"]
    else:
        from gatepost.agent.settings.redacted_view import shown

        loaded = load_settings(config or default_config())
        if loaded.settings is None:
            if json:
                say_json({"settings": [], "problems": msgspec.to_builtins(loaded.errors)})
            for problem in [] if json else loaded.errors:
                say(str(problem))
            complain("the settings are invalid", "`gatepost config --running` shows what the agent runs with")
            raise typer.Exit(ExitCode.SETTINGS)
        lines = shown(loaded.settings, loaded.origins)
    if key is not None:
        lines = [line for line in lines if f"{line['key']}.".startswith(f"{key}.")]
        if not lines:
            raise NotFound(f"there is no setting {key}", "`gatepost config` lists them")
    if json:
        say_json({"settings": lines})
    else:
        _print(lines, (config or default_config()).absolute().parent)


def _print(lines: list[dict[str, str]], directory: Path) -> None:
    """On a terminal, files beside the settings are named from their directory."""
    beside = f"{directory}/" if screen() else "\0"
    values = ["" if line["value"] == "null" else line["value"] for line in lines]
    origins = [line["origin"].removeprefix(beside) for line in lines]
    rows = zip((line["key"] for line in lines), values, origins, strict=True)
    table(("key", "value", "from"), rows, below=("value", "from"), listing=True)
    if any(line["origin"].startswith(beside) for line in lines):
        say(f"files: in {directory}")
