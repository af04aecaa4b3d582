"""What verbs share: their options, and how they find the running agent."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli import DEFAULT_CONFIG
from agent.cli.show import complain
from agent.client import DEFAULT_SOCKET, TIMEOUT, GatewayClient

if TYPE_CHECKING:
    from agent.settings import Loaded

AGENT = "gatepost-cli/1"

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Socket = Annotated[
    Path | None,
    typer.Option("--socket", help="The agent's socket; default: $GATEPOST_SOCKET, else api.socket of the settings."),
]
Config = Annotated[
    Path | None, typer.Option("--config", "-c", help=f"The settings, default {DEFAULT_CONFIG}: they name the socket.")
]
Settings = Annotated[Path, typer.Option("--config", "-c", help="The settings.")]


def new(**options: Any) -> typer.Typer:
    """The Typer application of one verb."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options)


def connected(socket: Path | None, config: Path | None, timeout: float = TIMEOUT) -> GatewayClient:
    """A client for the agent that the options name; nothing is sent yet."""
    return GatewayClient(find_socket(socket, config), timeout, AGENT)


def find_socket(socket: Path | None, config: Path | None) -> Path:
    """--socket, else --config, else $GATEPOST_SOCKET, else the installed settings, else the installed default."""
    if socket is not None:
        return socket
    if config is not None:
        return socket_of(config)
    if named := os.environ.get("GATEPOST_SOCKET"):
        return Path(named)
    if os.access(DEFAULT_CONFIG, os.R_OK):
        return socket_of(DEFAULT_CONFIG)
    return Path(DEFAULT_SOCKET)


def socket_of(config: Path) -> Path:
    """api.socket of these settings; settings that do not hold are asked as far as they can be read."""
    loaded = load_settings(config)
    if loaded.settings is not None:
        return Path(loaded.settings.api.socket)
    found = _socket_in(config)
    complain(f"the settings {config} do not hold; asking the agent at {found}", "`gatepost check` says what is wrong")
    return found


def load_settings(config: Path) -> Loaded:
    """The settings as the agent would read them."""
    from agent.settings import load
    from drivers.driver import Registry

    return load(config, os.environ, Registry.installed())


def _socket_in(config: Path) -> Path:
    import yaml

    try:
        tree = yaml.safe_load(config.read_text("utf-8"))
        return Path(tree["api"]["socket"])
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        return Path(DEFAULT_SOCKET)
