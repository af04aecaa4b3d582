"""State file: the settings of groups of gateways, later groups over earlier ones, rendered whole for one gateway."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import orjson
import yaml
from msgspec import Meta

from gatepost.agent.core.named_files import read_given
from gatepost.agent.fleet.document import WrongDocument, check_size, read_document

SECRETS = ("password", "token", "secret", "passphrase", "pin")  # members that must not hold a plain text


class StateFileWrong(Exception):
    """The state file cannot be used, for a reason in words."""


class GatewayGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings for the gateways whose id matches one of `gateways` and that have all of `labels`."""

    settings: dict[str, Any]
    gateways: list[str] = msgspec.field(default_factory=lambda: ["*"])
    labels: dict[str, str] = {}


class ConfirmTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Time in which a gateway must be well again with new settings, or it goes back; `manual` also wants a person."""

    within: Annotated[str, Meta(pattern=r"^[1-9]\d{0,6}(s|m|h)$")] = "120s"
    manual: bool = False


class StateFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Groups in order: where two set the same, the later one counts."""

    groups: list[GatewayGroup]
    confirm: ConfirmTerms = ConfirmTerms()
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


def read_state(path: Path) -> StateFile:
    """Raises StateFileWrong."""
    try:
        state = msgspec.convert(yaml.safe_load(read_given(path)), StateFile)
        msgspec.json.encode(state)
    except OSError as error:
        raise StateFileWrong(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, TypeError) as error:
        raise StateFileWrong(f"{path}: {error}") from None
    for group in state.groups:
        for where in _plain_secrets(group.settings, "settings"):
            raise StateFileWrong(f"{path}: {where} is a secret in plain text; name a credential, a file or a variable")
    return state


def settings_of(state: StateFile, gateway: str, labels: dict[str, str]) -> dict[str, Any] | None:
    """The settings of all groups that the gateway is in, merged; None where it is in none."""
    groups = [group for group in state.groups if _holds(group, gateway, labels)]
    settings: dict[str, Any] = {}
    for group in groups:
        settings = _merged(settings, group.settings)
    return settings if groups else None


class Issue(NamedTuple):
    """Version, rollout and time that a document is issued with."""

    version: int
    rollout: str
    now: datetime


def document(state: StateFile, gateway: str, issue: Issue, settings: dict[str, Any]) -> dict[str, Any]:
    """The desired-state document of one gateway. StateFileWrong where no gateway would look at it."""
    whole = {
        "gateway_id": gateway,
        "version": issue.version,
        "issued_at": _timestamp(issue.now),
        "expires_at": None if state.expires_at is None else _timestamp(state.expires_at),
        "rollout": issue.rollout,
        "settings": settings,
        "confirm": msgspec.to_builtins(state.confirm),
    }
    try:
        payload = orjson.dumps(whole).decode()
        check_size(payload)
        _ = read_document(payload).within
    except WrongDocument as error:
        raise StateFileWrong(f"{gateway} would refuse it: {error}") from None
    return whole


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _holds(group: GatewayGroup, gateway: str, labels: dict[str, str]) -> bool:
    return any(fnmatchcase(gateway, each) for each in group.gateways) and group.labels.items() <= labels.items()


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Mappings member by member; everything else is replaced."""
    whole = dict(under)
    for key, value in over.items():
        old = whole.get(key)
        whole[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return whole


def _plain_secrets(value: Any, where: str) -> list[str]:
    if isinstance(value, list):
        return [each for item in value for each in _plain_secrets(item, where)]
    if not isinstance(value, dict):
        return []
    found = []
    for key, member in value.items():
        plain = isinstance(member, str) and str(key).lower() in SECRETS
        found += [f"{where}.{key}"] if plain else _plain_secrets(member, f"{where}.{key}")
    return found
