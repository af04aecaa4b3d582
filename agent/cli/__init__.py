"""The command line. Nothing is imported here: `gatepost run` must not pay for the other verbs."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_CONFIG = Path("/etc/gatepost/gatepost.yaml")


def default_config() -> Path:
    """The settings where no --config names them: $GATEPOST_CONFIG, else the installed ones."""
    return Path(os.environ.get("GATEPOST_CONFIG") or DEFAULT_CONFIG)
