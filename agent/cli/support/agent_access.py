"""Options that verbs share, and the way from them to the running agent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatepost.agent.cli import DEFAULT_CONFIG, default_config
from gatepost.agent.cli.support.output import complain
from gatepost.agent.core.errors import NotFound
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.process.exits import ExitCode
from gatepost.client import DEFAULT_SOCKET, TIMEOUT, GatewayClient

if TYPE_CHECKING:
    from gatepost.agent.settings import LoadedSettings
    from gatepost.agent.settings.model import DeviceSettings, Settings

AGENT = "gatepost-cli/1"
SOCKET_OVERRIDE = "GATEPOST_API__SOCKET"
COMPLETION_TIME = 0.5  # seconds

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Socket = Annotated[
    Path | None,
    typer.Option(
        "--socket",
        readable=False,
        help="The agent's socket; default: $GATEPOST_SOCKET, else api.socket of the settings.",
    ),
]
Config = Annotated[
    Path | None,
    # Whether it can be read is said by who reads it, with what to do.
    typer.Option(
        "--config", "-c", readable=False, help=f"The settings; default: $GATEPOST_CONFIG, else {DEFAULT_CONFIG}."
    ),
]


def new(**options: Any) -> typer.Typer:
    """The Typer application of one verb."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **options)


def connected(socket: Path | None, config: Path | None, timeout: float = TIMEOUT) -> GatewayClient:
    """A client for the agent that the options name; nothing is sent yet."""
    return GatewayClient(find_socket(socket, config), timeout, AGENT)


def find_socket(socket: Path | None, config: Path | None, quiet: bool = False) -> Path:
    """--socket, else --config, else $GATEPOST_SOCKET, else that of $GATEPOST_CONFIG or of the installed settings, else
    the installed default. `quiet`: the caller says itself what is wrong with the settings."""
    if socket is not None:
        return socket
    if config is not None:
        return socket_of(config, quiet)
    if named := os.environ.get("GATEPOST_SOCKET"):
        return Path(named)
    main = default_config()
    if os.environ.get("GATEPOST_CONFIG") or os.access(main, os.R_OK):
        return socket_of(main, quiet)
    return Path(DEFAULT_SOCKET)


def socket_of(config: Path, quiet: bool = False) -> Path:
    """api.socket of these settings; settings that do not hold are asked as far as they can be read."""
    loaded = load_settings(config)
    if loaded.settings is not None:
        return Path(loaded.settings.api.socket)
    found = _socket_in(loaded.files)
    if quiet:
        return found
    if loaded.unreadable:
        complain(f"{loaded.unreadable}; asking the agent at {found}", "use sudo, or name its socket with --socket")
    else:
        first, *more = loaded.errors
        place = f"{first.origin}{f' and {len(more)} more' if more else ''}"
        complain(f"the settings are invalid ({place}); asking the agent at {found}", "`gatepost check` explains it")
    return found


def load_settings(config: Path, own_drops: Path | None = None) -> LoadedSettings:
    """The settings as the agent would read them; `own_drops`: its own ones lie elsewhere."""
    from gatepost.agent.settings import load
    from gatepost.drivers.driver import Registry

    return load(config, os.environ, Registry.installed(), own_drops)


def valid_settings(config: Path) -> Settings:
    """The settings where they hold; else ends with what to do. For verbs that need no agent."""
    settings = load_settings(config).settings
    if settings is None:
        complain("the settings are invalid", "`gatepost check` names every problem")
        raise typer.Exit(ExitCode.SETTINGS)
    return settings


def configured_device(settings: Settings, name: str) -> DeviceSettings:
    """Raises NotFound."""
    if name not in settings.devices:
        from gatepost.agent.settings.problem import perhaps

        hint = perhaps(name, settings.devices) or "`gatepost config` shows them"
        raise NotFound(f"there is no device {name} in the settings", hint)
    return settings.devices[name]


def _socket_in(files: Sequence[Path]) -> Path:
    """api.socket by itself: of the environment, else of the last of the files that says it."""
    named = [text for name, text in os.environ.items() if name.upper() == SOCKET_OVERRIDE and text]
    said = (text for text in (*named, *map(_said, reversed(files))) if text)
    return Path(next(said, DEFAULT_SOCKET))


def _said(file: Path) -> str | None:
    import yaml

    try:
        return str(yaml.safe_load(read_regular(file).decode("utf-8"))["api"]["socket"] or "")
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError, RecursionError):
        return None


def device_names(incomplete: str) -> list[str]:
    """For an argument or option that takes a device."""
    return _names(incomplete, "devices", "id")


def broker_names(incomplete: str) -> list[str]:
    """For an argument or option that takes a broker."""
    return _names(incomplete, "brokers", "name")


def _names(incomplete: str, what: str, key: str) -> list[str]:
    """Nothing where no agent answers in time: who completes must never wait for it."""
    try:
        client: Any = connected(None, None, COMPLETION_TIME)
        answer = getattr(client, what)()
        return [each[key] for each in answer[what] if str(each[key]).startswith(incomplete)]
    except Exception:
        return []


OfDevice = Annotated[
    str | None, typer.Option("--device", "-d", help="Only of this device.", autocompletion=device_names)
]
