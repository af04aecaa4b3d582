"""Validation of desired settings: allowed keys, secrets, and the settings as they would be, without touching any."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gatepost.agent.core.errors import GatepostError, InvalidSettings
from gatepost.agent.fleet.record import problem
from gatepost.agent.settings import LoadedSettings, secret_guard
from gatepost.agent.settings.allowed_keys import Key, leaves, refused_keys
from gatepost.agent.settings.editor import SettingsEditor
from gatepost.agent.settings.effective import secret_options
from gatepost.agent.settings.loading import FLEET_DROP, DropEdit
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.own_drops import as_yaml
from gatepost.agent.settings.problem import Origin, Problem, ProblemReport
from gatepost.agent.settings.secret import HIDDEN
from gatepost.agent.settings.yaml.nodes import ListNode, MapNode, Node, is_null
from gatepost.drivers.driver import Registry

MAX_PROBLEMS = 20  # that are reported
NAMED = ("brokers", "devices")
BASE_INVALID = "without desired state the gateway's settings cannot be used, so its secrets cannot be told from others"

Problems = list[dict[str, str]]


class SettingsValidation:
    """Validation against the box as it is now."""

    def __init__(self, editor: SettingsEditor, registry: Registry, drop: Path) -> None:
        self._editor = editor
        self._registry = registry
        self._drop = drop

    async def problems(self, settings: Mapping[str, Any]) -> Problems:
        """Everything that speaks against them; empty = they can be tried."""
        found = self._by_themselves(settings) or await asyncio.to_thread(_lost_in_writing, settings)
        if not found:
            loaded = await self._load(copy.deepcopy(dict(settings)))
            wrong = [*loaded.errors, *(each for each in loaded.warnings if self._has_no_effect(each))]
            found = [problem(each.code, each.key, each.message, each.hint) for each in wrong]
            if loaded.settings is not None and not found:
                base = (await self._load({})).settings
                found = self._secrets(loaded.settings, base)
                if found and base is None:
                    found.insert(0, problem("base-invalid", "", BASE_INVALID, "`gatepost check` at the gateway"))
        return found[:MAX_PROBLEMS]

    def _has_no_effect(self, warning: Problem) -> bool:
        """What amends a device that is not there would be left out without a word."""
        return warning.code == "left-over" and warning.file == str(self._drop)

    def _by_themselves(self, settings: Mapping[str, Any]) -> Problems:
        current = self._editor.current
        hint = "fleet.allow of the gateway's own files says what may be set"
        found = [
            problem("not-allowed", ".".join(key), "desired state may not set this", hint)
            for key in refused_keys(settings, current.fleet.allow)
        ]
        found += [
            problem("hidden-value", ".".join(key), f"{HIDDEN} stands for no value here", "write the value")
            for key, value in leaves(settings)
            if _holds_hidden(value)
        ]
        return found

    async def _load(self, settings: dict[str, Any]) -> LoadedSettings:
        return await self._editor.load(DropEdit(self._drop, lambda _: settings))

    def _secrets(self, new: Settings, base: Settings | None) -> Problems:
        """A secret comes as a reference that may be named, and one of the box goes nowhere else than before; where
        its own settings cannot be loaded, every secret counts as new."""
        allowed, named = new.api.secret_dirs, partial(secret_guard.NamedSecrets, self._editor.current, base)
        found: Problems = []
        for section in NAMED:
            old_entries = {} if base is None else getattr(base, section)
            for name, entry in getattr(new, section).items():
                old = old_entries.get(name)
                if entry == old:
                    continue
                where = f"{section}.{name}"
                wanted, was = _shortened(entry), {} if old is None else _shortened(old)
                driver = str(wanted.get("driver"))
                names = secret_options(self._registry.get(driver).options_type) if driver in self._registry else set()
                found += _typed(wanted, was, names, where)
                try:
                    secret_guard.check_secrets(wanted, old, names, where, allowed, named)
                except InvalidSettings as error:
                    found += [{"key": "secret-not-allowed", **each} for each in error.problems]
        return found


def overridden(settings: Mapping[str, Any], origins: Mapping[Key, Origin], drop: Path) -> list[str]:
    """The keys of a document that something above it says otherwise: a person at the box, or the environment."""
    lost = []
    for key, value in leaves(settings):
        if value == {}:
            continue
        place = next((origins[key[:n]].file for n in range(len(key), 0, -1) if key[:n] in origins), None)
        there = any(each[: len(key)] == key for each in origins) if value is None else place != str(drop)
        if there:
            lost.append(".".join(key))
    return lost


def problems_of(error: GatepostError) -> Problems:
    """Of a change that could not be made."""
    listed = getattr(error, "problems", None) or [{"where": "", "message": error.message, "hint": error.hint}]
    return [{"key": error.kind, **each} for each in listed[:MAX_PROBLEMS]]


def _typed(wanted: dict[str, Any], was: Mapping[str, Any], names: set[str], where: str) -> Problems:
    """Secrets in plain text that the document brings; those of the box become `***`, which the guard knows."""
    found = []
    for holder, before, keys in (
        (wanted, was, {"password", "token"}),
        (wanted.get("options") or {}, was.get("options") or {}, names),
    ):
        for key in keys & holder.keys():
            if not isinstance(holder[key], str):
                continue
            if holder[key] == before.get(key):
                holder[key] = HIDDEN
            else:
                hint = "name a credential of the gateway: {credential: NAME}"
                found.append(problem("plain-secret", f"{where}.{key}", "a secret in plain text", hint))
    return found


def _shortened(entry: msgspec.Struct) -> dict[str, Any]:
    """As plain data, without what is not set; references with the one place that they name."""
    plain: dict[str, Any] = _without_none(msgspec.to_builtins(entry))
    return plain


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return value


def _holds_hidden(value: Any) -> bool:
    return value == HIDDEN or (isinstance(value, list) and any(map(_holds_hidden, value)))


def _lost_in_writing(settings: Mapping[str, Any]) -> Problems:
    """Settings that would not be read back from the drop as they were sent."""
    from gatepost.agent.settings.yaml.reader import read_bytes

    report = ProblemReport()
    try:
        tree, whole = read_bytes(as_yaml(dict(settings)).encode(), FLEET_DROP, report)
    except (ValueError, RecursionError):  # surrogates; what YAML cannot say
        whole = False
    if whole and not any(each.severity == "error" for each in report.problems) and _same(tree, settings):
        return []
    return [problem("malformed", "", "these settings cannot be written as YAML", "")]


def _same(node: Node, value: Any) -> bool:
    if isinstance(value, Mapping):
        return (
            isinstance(node, MapNode)
            and node.entries.keys() == value.keys()
            and all(_same(node.entries[name].value, inner) for name, inner in value.items())
        )
    if isinstance(value, list):
        return isinstance(node, ListNode) and len(node.values) == len(value) and all(map(_same, node.values, value))
    if isinstance(node, (MapNode, ListNode)):
        return False
    return node.text == value if isinstance(value, str) else (value is None) == is_null(node)
