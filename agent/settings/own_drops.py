"""Drops that the agent writes itself, in its state directory; files of users are never written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from gatepost.agent.core.atomic_file import sync_directory, write_atomic
from gatepost.agent.core.named_files import read_regular

HEADER = """\
# Written by the gatepost agent, which will write it again: do not edit.
# It is merged after your own files. To undo what stands here, use the agent, or delete this file.
"""

_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


def write_drop(path: Path, settings: dict[str, Any]) -> None:
    """Writes it as YAML that `load` reads back the same, atomically, mode 0600; raises OSError.

    `settings` is plain data as a person would write it: durations as `30s`, None to remove a key.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(path, render(settings).encode(), 0o600)


def read_drop(path: Path) -> dict[str, Any]:
    """What `write_drop` wrote; empty when it is not there. Raises OSError, ValueError when it is no such file."""
    import yaml

    try:
        found = yaml.safe_load(read_regular(path))
    except FileNotFoundError:
        return {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML") from error
    if not isinstance(found, dict | None):
        raise ValueError(f"{path} does not hold settings")
    return found or {}


def remove_drop(path: Path) -> None:
    """Removes it durably; nothing happens when it is not there."""
    if path.exists():
        path.unlink()
        sync_directory(path.parent)


def render(settings: dict[str, Any]) -> str:
    """The text of a drop of the agent's own."""
    return HEADER + as_yaml(settings)


def as_yaml(settings: dict[str, Any]) -> str:
    """As a person would write it; every string that a reader could take for something else is in quotes."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        bare = _BARE.fullmatch(value) and value.lower() not in _WORDS
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if bare else '"')

    Dumper.add_representer(str, text)
    text_of: str = yaml.dump(settings, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return text_of
