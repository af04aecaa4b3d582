"""Changes of settings as a whole: what may be changed over the API, merged over the agent's own drop, tried or kept."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gatepost.agent.core.errors import BadInput, InvalidSettings, NotEditable
from gatepost.agent.settings.diff import changes
from gatepost.agent.settings.editor import KINDS, REQUIRED, Section, SettingsEditor, amended, keys_below, problem_view
from gatepost.agent.settings.effective import effective
from gatepost.agent.settings.loading import DropEdit
from gatepost.agent.settings.model import Name, Settings
from gatepost.agent.settings.own_drops import as_yaml
from gatepost.agent.settings.problem import ProblemReport
from gatepost.agent.settings.redacted_view import shown_drop
from gatepost.agent.settings.trial.trial import SettingsTrial
from gatepost.agent.settings.yaml.nodes import ListNode, MapNode, Node, ScalarNode

SECTIONS: tuple[Section, ...] = ("brokers", "devices")
# What no address, right or secret hangs on; brokers and devices are guarded entry by entry.
EDITABLE = (
    *("logging.level", "logging.format", "gateway.labels", "api.rate_limit", "api.default_broker"),
    *("store.commit_interval", "store.keep", "store.max_size", "store.reserve", "store.when_full"),
    *("commands.default_ttl", "commands.timeout", *SECTIONS),
)
SHORTEST, LONGEST = 10.0, 3600.0  # seconds that a change may be on trial


class WantedChange(NamedTuple):
    """`settings` as in a settings file, over the drop; a broker or device in it is taken whole, null removes it.
    `unset`: keys that leave the drop."""

    settings: Mapping[str, Any]
    unset: Sequence[str] = ()


class ChangePreview(NamedTuple):
    """`before` and `after`: the drop as text, secrets as references or `***`."""

    file: Path
    before: str
    after: str
    changed: list[str]
    problems: list[dict[str, str]]
    warnings: list[dict[str, str]]


class AppliedChange(NamedTuple):
    """`trial`: how long it is on trial, None = it is kept."""

    changed: list[str]
    warnings: list[dict[str, str]]
    trial: dict[str, Any] | None


def is_editable(key: str) -> bool:
    return any(key == name or key.startswith(name + ".") for name in EDITABLE)


class SettingsChanges:
    """Changes as a whole, by the editor of entries and the trial."""

    def __init__(self, editor: SettingsEditor, trial: SettingsTrial) -> None:
        self.trial = trial
        self._editor = editor

    async def preview(self, wanted: WantedChange) -> ChangePreview:
        """Nothing is written. Raises BadInput, NotEditable, StoreError."""
        self._check(wanted)
        async with self._editor.turn:
            drop = await self._editor.read_drop()
            edit = DropEdit(self._editor.path, lambda below: self._merged(drop, wanted, below))
            try:
                await self._editor.guard_secrets(wanted.settings, write=False)
                loaded = await self._editor.load(edit)
            except InvalidSettings as error:
                before = await asyncio.to_thread(_shown, drop)
                return ChangePreview(self._editor.path, before, "", [], error.problems, [])
            changed = [] if loaded.settings is None else changed_keys(self._editor.current, loaded.settings)
            problems = [problem_view(problem) for problem in loaded.errors]
            warnings = [problem_view(problem) for problem in loaded.warnings]
        before, after = [await asyncio.to_thread(_shown, each) for each in (drop, edit.content)]
        return ChangePreview(self._editor.path, before, after, changed, problems, warnings)

    async def tried(self, section: Section, name: str, entry: Mapping[str, Any]) -> Settings:
        """The settings with this broker or device as it would be, for a test: nothing is written or applied.

        Raises BadInput, InvalidSettings, StoreError.
        """
        wanted = WantedChange({section: {name: dict(entry)}})
        self._check(wanted)
        async with self._editor.turn:
            drop = await self._editor.read_drop()
            await self._editor.guard_secrets(wanted.settings, write=False)
            edit = DropEdit(self._editor.path, lambda below: self._merged(drop, wanted, below))
            loaded = await self._editor.load(edit)
        if loaded.settings is None:
            about = f"{section}.{name}"
            wrong = [problem for problem in loaded.errors if _below(problem.key, [about])] or loaded.errors
            raise InvalidSettings([problem_view(problem) for problem in wrong])
        return loaded.settings

    async def apply(self, wanted: WantedChange, within: float | None, source: str) -> AppliedChange:
        """Raises BadInput, NotEditable, InvalidSettings, Conflict, StoreError; then all is as it was."""
        self._check(wanted)
        if within is not None and not SHORTEST <= within <= LONGEST:
            raise BadInput("confirm: a change is on trial for 10s to 1h", "such as 2m; null = for good at once")
        return await self._editor.shielded(self._apply(wanted, within, source))

    async def _apply(self, wanted: WantedChange, within: float | None, source: str) -> AppliedChange:
        async with self._editor.turn:
            self.trial.check_free()
            drop = await self._editor.read_drop()
            settings = copy.deepcopy(dict(wanted.settings))
            written = await self._editor.guard_secrets(settings)
            changed: list[str] = []

            async def begin(settings: Settings) -> None:
                changed.extend(changed_keys(self._editor.current, settings))
                if within is not None:
                    await self.trial.begin(self._editor.path, changed, source, within)

            try:
                warnings = await self._editor.change(
                    drop,
                    lambda below: self._merged(drop, WantedChange(settings, wanted.unset), below),
                    (),
                    source,
                    begin=begin,
                )
            except BaseException:
                for file in written:
                    file.unlink(missing_ok=True)
                await self.trial.failed()
                raise
            if within is None:
                await self._editor.remove_unused_secrets()
                return AppliedChange(changed, warnings, None)
            return AppliedChange(changed, warnings, self.trial.started())

    def _check(self, wanted: WantedChange) -> None:
        if not wanted.settings and not wanted.unset:
            raise BadInput("settings: there is nothing to change", 'such as {"logging": {"level": "debug"}}')
        keys = [*dict.fromkeys([*_leaves(wanted.settings), *wanted.unset])]
        forbidden = [key for key in keys if not is_editable(key)]
        if forbidden:
            raise NotEditable(forbidden)
        for section in SECTIONS:
            entries = wanted.settings.get(section)
            if entries is not None and not isinstance(entries, Mapping):
                raise BadInput(f"{section}: must be a map of names", "name: {settings}")
            for name, entry in (entries or {}).items():
                if not is_name(name):  # before files are called by it
                    hint = "letters, digits, `_`, `.` and `-`, at most 64"
                    message = f"{name[:64]!r} is not a valid name"
                    raise InvalidSettings([{"where": section, "message": message, "hint": hint}])
                if entry is None:
                    continue
                if not isinstance(entry, Mapping):
                    raise BadInput(f"{section}.{name}: must be a map of settings", "null removes it")
                if entry.get(REQUIRED[section]) is None:
                    where = f"{section}.{name}.{REQUIRED[section]}"
                    kind, needed = KINDS[section], REQUIRED[section]
                    hint = f"apply takes a {kind} whole: write its {needed} and all else of it too"
                    raise InvalidSettings([{"where": where, "message": "is missing", "hint": hint}])

    @staticmethod
    def _merged(drop: Mapping[str, Any], wanted: WantedChange, below: MapNode) -> dict[str, Any]:
        merged = copy.deepcopy(dict(drop))
        for key in wanted.unset:
            _unset(merged, key.split("."))
        for section, value in wanted.settings.items():
            if section in SECTIONS:
                entries = merged.setdefault(section, {})
                for name, entry in value.items():
                    _put_entry(entries, section, name, entry, below)
            elif isinstance(value, Mapping):
                _merge(merged.setdefault(section, {}), value)
        return {section: value for section, value in merged.items() if value}


def is_name(text: str) -> bool:
    try:
        msgspec.convert(text, Name)
    except msgspec.ValidationError:
        return False
    return not text.endswith("\n")  # which `$` lets pass


def changed_keys(old: Settings, new: Settings) -> list[str]:
    """The keys whose values differ; a broker or device that comes or goes as `devices.scale-9 removed`, and where only
    a secret differs the part that it belongs to, as `brokers.lab changed`."""
    told = changes(old, new).keys()
    parts = {each: each.rsplit(" ", 1)[0] for each in told}
    whole = [part for each, part in parts.items() if each.endswith((" added", " removed"))]
    before = {key: value for key, value, _ in effective(old, {})}
    after = {key: value for key, value, _ in effective(new, {})}
    differing = [key for key in {**before, **after} if before.get(key) != after.get(key) and key not in SECTIONS]
    keys = [key for key in differing if not _below(key, whole)]
    return keys + [each for each, part in parts.items() if not any(_below(key, [part]) for key in keys)]


def _below(key: str, parts: Sequence[str]) -> bool:
    return any(key == part or key.startswith(part + ".") for part in parts)


def settings_of_yaml(data: bytes, name: str) -> dict[str, Any]:
    """A settings file as plain data, as YAML 1.2 has it. Raises InvalidSettings with every mistake and its line."""
    from gatepost.agent.settings.yaml.reader import read_bytes

    report = ProblemReport()
    tree, whole = read_bytes(data, name, report)
    errors = [problem for problem in report.problems if problem.severity == "error"]
    if errors or not whole:
        raise InvalidSettings([{"where": str(one.origin), "message": one.message, "hint": one.hint} for one in errors])
    plain: dict[str, Any] = _plain(tree)
    return plain


def _plain(node: Node) -> Any:
    match node:
        case MapNode():
            return {name: _plain(entry.value) for name, entry in node.items()}
        case ListNode():
            return [_plain(value) for value in node.values]
        case ScalarNode():
            return node.value


def _put_entry(entries: dict[str, Any], section: str, name: str, entry: Any, below: MapNode) -> None:
    lower = keys_below(below, section, name)
    if entry is not None:
        mine = entries.get(name)
        entries[name] = amended(entry, mine if isinstance(mine, dict) else {}, lower, (section, name))
    elif lower:
        entries[name] = None
    else:
        entries.pop(name, None)


def _merge(into: dict[str, Any], value: Mapping[str, Any]) -> None:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], inner)
        else:
            into[name] = copy.deepcopy(inner)


def _unset(drop: dict[str, Any], path: list[str]) -> None:
    """Takes a key out, and the maps that it leaves empty."""
    head, *rest = path
    if head in SECTIONS and rest:
        rest = [".".join(rest)]  # a name may hold dots
    if head not in drop:
        return
    if rest and isinstance(drop[head], dict):
        _unset(drop[head], rest)
        if drop[head]:
            return
    elif rest:
        return
    del drop[head]


def _leaves(settings: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, value in settings.items():
        here = (*path, str(name))
        if isinstance(value, Mapping) and value and here[0] not in SECTIONS and ".".join(here) not in EDITABLE:
            yield from _leaves(value, here)
        else:
            yield ".".join(here)


def _shown(drop: Mapping[str, Any]) -> str:
    return as_yaml(shown_drop(drop)) if drop else ""
