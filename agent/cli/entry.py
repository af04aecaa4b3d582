"""The command `gatepost`. `run` starts without the libraries of the other verbs: the agent's memory counts."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from gatepost.agent.cli import default_config
from gatepost.agent.process.signals import ProcessSignals


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 done, 1 failed, 2 usage, 78 settings wrong."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:  # what everybody tries first
        words = ["version"]
    config = run_config(words)
    if config is not None:
        signals = ProcessSignals()
        gc.disable()  # what is imported stays: to look for garbage among it is a part of the start
        from gatepost.agent.core.lazy_modules import unavailable

        with unavailable("typing_extensions"):  # 0.6 MiB; msgspec finds what it needs of it in `typing` as well
            import msgspec  # noqa: F401
        from gatepost.agent.main import run_agent

        return run_agent(config, signals)
    from gatepost.agent.cli.main import gatepost

    return gatepost(words)


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
