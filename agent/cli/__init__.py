"""The command `gatepost`. `run` starts without the libraries of the other verbs: the agent's memory counts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

DEFAULT_CONFIG = Path("/etc/gatepost/gatepost.yaml")


def default_config() -> Path:
    """The settings where no --config names them: $GATEPOST_CONFIG, else the installed ones."""
    return Path(os.environ.get("GATEPOST_CONFIG") or DEFAULT_CONFIG)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 usage, 78 settings wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    config = run_config(given)
    if config is not None:
        from agent.app import main as run

        return run(config)
    from agent.cli.verbs import gatepost

    return gatepost(given)


def run_config(arguments: Sequence[str]) -> Path | None:
    """The settings of a plain `run [--config PATH]`; None for everything else, which the whole command line judges."""
    match arguments:
        case ["run"]:
            return default_config()
        case ["run", "--config" | "-c", path] if not path.startswith("-"):
            return Path(path)
        case ["run", option] if option.startswith("--config=") and option != "--config=":
            return Path(option.removeprefix("--config="))
    return None
