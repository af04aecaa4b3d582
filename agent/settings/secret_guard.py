"""Guard of secrets in changes through the API: they stay with the address that they were given for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gatepost.agent.core.atomic_file import write_atomic
from gatepost.agent.core.errors import BadInput, InvalidSettings
from gatepost.agent.settings.model import BrokerSettings, DeviceSettings, SecretRef, Settings
from gatepost.agent.settings.secret import HIDDEN, files_named, files_of_port, is_reference, secrets_of

DIRECTORY = "secrets"  # in the state directory
TLS_FILES = ("ca", "cert", "key")
PLACE = ("driver", "port", "address", "name", "adapter")  # what says where the secrets of a device's options go
STAYS = (("token",), ("patient",))  # are sent nowhere: a device's token is compared
WHERE_FILES = "api.secret_dirs says in which directories files may lie"

Entry = BrokerSettings | DeviceSettings
_Problem = dict[str, str]


class NamedSecrets:
    """References that settings name, with the entries that they are for; None = for no broker and no device."""

    def __init__(self, *every: Settings | None) -> None:
        self._holders: dict[tuple[str, str], list[Entry | None]] = {}
        for settings in filter(None, every):
            for (section, name, *_), secret in secrets_of(settings):
                if isinstance(secret, SecretRef):
                    entries = getattr(settings, section) if section in ("brokers", "devices") else {}
                    self._holders.setdefault(_identity(_plain(secret)), []).append(entries.get(name))
            for file in files_named(settings):  # private keys too
                self._holders.setdefault(("file", os.path.realpath(file)), [None])

    def is_for_another(self, reference: Mapping[str, Any], place: _Place) -> bool:
        """Whether it was given for something that is not at this place."""
        holders = self._holders.get(_identity(reference), [])
        return any(holder is None or not place >= _Place(_plain(holder)) for holder in holders)


def check_secrets(
    wanted: Mapping[str, Any],
    old: Entry | None,
    secret_names: set[str],
    where: str,
    allowed: Sequence[str],
    named: Callable[[], NamedSecrets],
) -> None:
    """`wanted` is an entry as sent, `old` the one in force, `allowed` are `api.secret_dirs` and the agent's own.

    Raises BadInput: there is no secret to keep. Raises InvalidSettings: a secret that would go to another address than
    the one it was given for, a file or variable that the files do not allow.
    """
    problems: list[_Problem] = []
    place = _Place(wanted)
    same = old is not None and place >= _Place(_plain(old))
    for path in _hidden(wanted):
        if path in STAYS:
            continue
        if _value(old, path) is None:
            raise BadInput(f"{'.'.join((where, *path))}: {HIDDEN} stands for a stored value, and there is none")
        if not same:
            what = "this secret was given for another address and is not sent to the new one"
            problems.append(_problem(where, path, what, "give the secret again"))
    for holder, name, path in _secrets(wanted, secret_names):
        value = _shortened(holder.get(name))
        if isinstance(value, float | list) or (isinstance(value, dict) and not is_reference(value)):
            what = "a secret is a text, or names one place where it is"
            problems.append(_problem(where, path, what, "such as {credential: NAME}"))
        elif isinstance(value, dict) and HIDDEN not in value.values():
            kept = old is not None and value == _value(old, path)
            if not kept and not _may_name(value, allowed):
                what = "a change through the API may not name this file or variable"
                problems.append(_problem(where, path, what, WHERE_FILES))
            elif path not in STAYS and (not same if kept else named().is_for_another(value, place)):
                what = "this secret was given for another address and is not sent to the new one"
                problems.append(_problem(where, path, what, "give the secret again"))
    tls = wanted.get("tls")
    tls = tls if isinstance(tls, Mapping) else {}
    for name in TLS_FILES:
        path = ("tls", name)
        value = tls.get(name)
        if value is not None and value != HIDDEN and value != _value(old, path) and not _inside(str(value), allowed):
            what = "a change through the API may not name this file"
            problems.append(_problem(where, path, what, WHERE_FILES))
    port = wanted.get("port")
    for file in files_of_port(port if isinstance(port, str) else None):
        if file not in files_of_port(_value(old, ("port",))) and not _inside(file, allowed):
            what = f"a change through the API may not name the file {file}"
            problems.append(_problem(where, ("port",), what, WHERE_FILES))
    if problems:
        raise InvalidSettings(problems)


def move_to_files(wanted: MutableMapping[str, Any], secret_names: set[str], where: str, state_dir: Path) -> list[Path]:
    """Each secret that was typed becomes a file of mode 0600, and `wanted` names it. Raises OSError."""
    written: list[Path] = []
    for holder, name, path in list(_secrets(wanted, secret_names)):
        value = holder.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value and value != HIDDEN and _is_secret(path, secret_names):
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
        for name, value in list(options.items()):
            if _is_secret(("options", name), secret_names) or is_reference(_shortened(value)):
                yield options, name, ("options", name)


def _is_secret(path: tuple[str, ...], secret_names: set[str]) -> bool:
    return len(path) == 1 or path[1] in secret_names


def _hidden(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where `***` stands for what is there."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _hidden(value, (*path, name))
        elif value == HIDDEN:
            yield (*path, name)


def _shortened(value: Any) -> Any:
    """A map without its empty members: `{file: ..., env: null}` is a reference as the loader has it."""
    if isinstance(value, Mapping):
        return {name: inner for name, inner in value.items() if inner is not None}
    return value


def _identity(reference: Mapping[str, Any]) -> tuple[str, str]:
    ((place, text),) = _shortened(reference).items()
    return (place, os.path.realpath(text)) if place == "file" else (place, text)


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


def _endpoint(url: str) -> tuple[str, str, int | None, str]:
    """A proxy may have another broker behind each path."""
    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port, f"{parts.path.rstrip('/')}?{parts.query}"
    except ValueError:
        return "", url, None, ""


def _plain(old: Entry | SecretRef | None) -> Mapping[str, Any]:
    plain: Mapping[str, Any] = {} if old is None else msgspec.to_builtins(old)
    return plain


def _value(old: Entry | None, path: tuple[str, ...]) -> Any:
    found: Any = _plain(old)
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return _shortened(found)


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
