"""Guard of secrets in changes through the API: they stay with the address that they were given for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gatepost.agent.core.atomic_file import write_atomic
from gatepost.agent.core.errors import InvalidSettings
from gatepost.agent.settings.model import BrokerSettings, DeviceSettings
from gatepost.agent.settings.redacted_view import HIDDEN
from gatepost.agent.settings.secret import is_reference

DIRECTORY = "secrets"  # in the state directory
TLS_FILES = ("ca", "cert", "key")
PLACE = ("driver", "port", "address", "name", "adapter")  # what says where the secrets of a device's options go

Entry = BrokerSettings | DeviceSettings
_Problem = dict[str, str]


def check_secrets(
    wanted: Mapping[str, Any], old: Entry | None, secret_names: set[str], where: str, allowed: Sequence[str]
) -> None:
    """`wanted` is an entry as sent, `old` the one in force, `allowed` are `api.secret_dirs` and the agent's own.

    Raises InvalidSettings: a kept secret that would go to another address, a file or variable that the files do not
    allow.
    """
    problems: list[_Problem] = []
    same = old is not None and _Place(wanted) >= _Place(_plain(old))
    for holder, name, path in _secrets(wanted, secret_names):
        value, before = holder.get(name), _value(old, path)
        kept = value == HIDDEN or (is_reference(value) and value == before)
        if kept and not same and old is not None and path != ("token",):
            what = "this secret was given for another address and is not sent to the new one"
            problems.append(_problem(where, path, what, "give the secret again"))
        elif isinstance(value, dict) and is_reference(value) and not kept and not _may_name(value, allowed):
            what = "a change through the API may not name this file or variable"
            problems.append(_problem(where, path, what, "api.secret_dirs says in which directories files may lie"))
    tls = wanted.get("tls")
    tls = tls if isinstance(tls, Mapping) else {}
    for name in TLS_FILES:
        path = ("tls", name)
        value = tls.get(name)
        if isinstance(value, str) and value != _value(old, path) and not _inside(value, allowed):
            what = "a change through the API may not name this file"
            problems.append(_problem(where, path, what, "api.secret_dirs says in which directories files may lie"))
    if problems:
        raise InvalidSettings(problems)


def move_to_files(wanted: MutableMapping[str, Any], secret_names: set[str], where: str, state_dir: Path) -> list[Path]:
    """Each secret that was typed becomes a file of mode 0600, and `wanted` names it. Raises OSError."""
    written: list[Path] = []
    for holder, name, path in list(_secrets(wanted, secret_names)):
        value = holder.get(name)
        if isinstance(value, str) and value and value != HIDDEN:
            directory = state_dir / DIRECTORY
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = directory / f"{where}.{'.'.join(path)}.{secrets.token_hex(4)}"
            write_atomic(file, value.encode(), 0o600)
            written.append(file)
            holder[name] = {"file": str(file)}
    return written


def remove_unused(drop: Mapping[str, Any], state_dir: Path) -> None:
    """Files of secrets that the drop names no more. Raises OSError."""
    used = set(_files(drop))
    directory = state_dir / DIRECTORY
    if directory.is_dir():
        for file in directory.iterdir():
            if str(file) not in used:
                file.unlink()


def _files(tree: Mapping[str, Any]) -> Iterator[str]:
    for value in tree.values():
        if is_reference(value) and "file" in value:
            yield value["file"]
        elif isinstance(value, Mapping):
            yield from _files(value)


def _secrets(
    entry: Mapping[str, Any], secret_names: set[str]
) -> Iterator[tuple[MutableMapping[str, Any], str, tuple[str, ...]]]:
    """Where secrets stand in an entry as sent: what holds each, its name there, its path."""
    for name in ("password", "token"):
        if name in entry:
            yield entry, name, (name,)  # type: ignore[misc]
    options = entry.get("options")
    if isinstance(options, MutableMapping):
        for name in [name for name in options if name in secret_names or is_reference(options[name])]:
            yield options, name, ("options", name)


class _Place:
    """Where secrets of an entry go. `a >= b`: those given for b may go to a."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        failover = entry.get("failover")
        urls = [entry.get("url"), *(failover if isinstance(failover, list) else [])]
        self.endpoints = {_endpoint(url) for url in urls if isinstance(url, str)}
        tls = entry.get("tls")
        tls = tls if isinstance(tls, Mapping) else {}
        self.verified, self.ca = tls.get("verify", True) is not False, tls.get("ca")
        driver = entry.get("driver", entry.get("type"))
        self.device = [driver, *(entry.get(key) for key in PLACE[1:])]

    def __ge__(self, old: _Place) -> bool:
        trust = self.verified >= old.verified and (self.ca == old.ca or not old.verified)
        return self.endpoints <= old.endpoints and trust and self.device == old.device


def _endpoint(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", url, None


def _plain(old: Entry | None) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = {} if old is None else msgspec.to_builtins(old)
    return plain


def _value(old: Entry | None, path: tuple[str, ...]) -> Any:
    found: Any = _plain(old)
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, dict):  # a reference without its empty members
        return {name: value for name, value in found.items() if value is not None}
    return found


def _may_name(reference: Mapping[str, Any], allowed: Sequence[str]) -> bool:
    if "credential" in reference:
        return True
    return "file" in reference and _inside(reference["file"], allowed)


def _inside(path: str, allowed: Sequence[str]) -> bool:
    """Symbolic links included: what counts is where the file lies."""
    try:
        real = os.path.realpath(path)
        return path.startswith("/") and any(
            os.path.commonpath((real, root)) == root for root in map(os.path.realpath, allowed)
        )
    except (OSError, ValueError):
        return False


def _problem(where: str, path: tuple[str, ...], message: str, hint: str) -> _Problem:
    return {"where": ".".join((where, *path)), "message": message, "hint": hint}
