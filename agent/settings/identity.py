"""Where the agent keeps its state, and what it calls itself, when nobody said so."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from agent.settings.model import Gateway


def gateway_id(host: str | None = None) -> str:
    """The host name with everything outside [A-Za-z0-9_.-] replaced; `gateway` when nothing is left."""
    name = socket.gethostname() if host is None else host
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:64].strip("-.") or "gateway"


def state_directory(environ: Mapping[str, str]) -> tuple[Path, str]:
    """Without `gateway.state_dir`: what systemd gives, else the usual place; and who says so."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given), "environment variable STATE_DIRECTORY"
    return Path(Gateway().state_dir), "default"
