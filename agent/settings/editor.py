"""Editor of brokers and devices: changes are kept in one drop of the agent's own, users' files are never written."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeVar

import msgspec

from gatepost.agent.core.errors import (
    BadInput,
    Conflict,
    GatepostError,
    InvalidSettings,
    NotFound,
    PreconditionFailed,
    SettingsWrong,
    StoreError,
)
from gatepost.agent.settings import secret_guard
from gatepost.agent.settings.effective import secret_options
from gatepost.agent.settings.loading import DropEdit, LoadedSettings, SettingsLoader
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.own_drops import read_drop, remove_drop, write_drop
from gatepost.agent.settings.secret import HIDDEN
from gatepost.agent.settings.watch import signature
from gatepost.agent.settings.yaml.nodes import MapNode, is_null

if TYPE_CHECKING:
    from gatepost.agent.settings.current import CurrentSettings
    from gatepost.agent.settings.problem import Problem

log = logging.getLogger(__name__)

Key = tuple[str, ...]

DROP = "60-api.yaml"
EARLIER_PATIENTS_DROP = "50-patients.yaml"  # where `assign_patient` kept them until November 2026,
EARLIER_PATIENTS_KEY = "patients"  # with a copy in the store
KINDS = {"brokers": "broker", "devices": "device"}
REQUIRED = {"brokers": "url", "devices": "driver"}

Section = Literal["brokers", "devices"]
T = TypeVar("T")


class KeyValueWriter(Protocol):
    async def put(self, key: str, value: Any, /) -> None: ...


class AppliesSettings(Protocol):
    @property
    def current(self) -> CurrentSettings: ...

    async def apply(self, loaded: LoadedSettings, reason: str, /) -> dict[str, Any]: ...

    async def reload(self, reason: str, /) -> dict[str, Any]: ...


class Preconditions(NamedTuple):
    """Preconditions of a change: `If-Match` and `If-None-Match` as sent; `new` = it must not exist yet."""

    match: str | None = None
    none_match: str | None = None
    new: bool = False
    source: str = "api"


class ChangeResult(NamedTuple):
    """`created`: it was not there before. `warnings`: what is odd about it, without secrets."""

    created: bool
    warnings: list[dict[str, str]]


class SettingsEditor:
    """Brokers and devices by name: read, change, validate, write, apply what was validated; or all as before."""

    def __init__(self, loader: SettingsLoader, applier: AppliesSettings) -> None:
        self._loader = loader
        self._applier = applier
        self._salt = os.urandom(16)  # a digest of settings must not let a password be guessed
        self.turn = asyncio.Lock()
        self.check_free: Callable[[str | None], None] = lambda _: None  # raises Conflict while this may not be changed
        self._changing: set[asyncio.Task[Any]] = set()

    @property
    def config(self) -> Path:
        """The main file of the settings."""
        return self._loader.config

    @property
    def path(self) -> Path:
        return self._loader.own_drops / DROP

    @property
    def current(self) -> Settings:
        return self._applier.current.settings

    async def load(self, edit: DropEdit | None = None) -> LoadedSettings:
        """The settings as their files are now, with the edit of a drop that is not written."""
        return await asyncio.to_thread(self._loader.load, edit)

    @property
    def _state_dir(self) -> Path:
        return self._loader.own_drops.parent

    def etag(self, section: Section, name: str) -> str | None:
        """Changes with every effective setting, secrets included; None when there is none of this name."""
        settings = getattr(self._applier.current.settings, section).get(name)
        if settings is None:
            return None
        return f'"{hashlib.blake2b(msgspec.json.encode(settings), digest_size=12, key=self._salt).hexdigest()}"'

    def origin(self, section: Section, name: str) -> str:
        """`files`: of users' files (or the environment), `api`: only of this drop, `override`: of both."""
        path = str(self.path)
        origins = self._applier.current.origins
        in_drop = {origin.file == path for key, origin in origins.items() if key[:2] == (section, name)}
        return "override" if len(in_drop) == 2 else "api" if in_drop == {True} else "files"

    async def put(self, section: Section, name: str, settings: Mapping[str, Any], terms: Preconditions) -> ChangeResult:
        """These and no other settings, `***` standing for what is there. Raises InvalidSettings, Conflict,
        PreconditionFailed, StoreError; then all is as it was."""
        return await self.shielded(self._put(section, name, settings, terms))

    async def remove(self, section: Section, name: str, terms: Preconditions) -> None:
        """Also what a user's file configures. Raises NotFound, Conflict, PreconditionFailed, StoreError."""
        await self.shielded(self._remove(section, name, terms))

    async def assign_patient(self, device: str, patient: str | None) -> None:
        """Whose readings the device takes from now on, None = nobody's. Raises SettingsWrong, StoreError."""
        await self.shielded(self._assign_patient(device, patient))

    async def adopt_patients(self, store: KeyValueWriter) -> None:
        """Move what earlier versions kept in a drop and a store key of its own; it counts until that is done."""
        earlier = self.path.with_name(EARLIER_PATIENTS_DROP)
        try:
            assigned = (await asyncio.to_thread(read_drop, earlier)).get("devices") or {}
            if assigned:
                drop = await self.read_drop()
                devices = drop.get("devices") or {}
                for name, entry in assigned.items():
                    mine = devices.get(name, {})
                    if mine is not None:
                        devices[name] = {**entry, **mine}
                await self._write({**drop, "devices": devices})
            await asyncio.to_thread(remove_drop, earlier)
            await store.put(EARLIER_PATIENTS_KEY, None)
        except (OSError, ValueError, GatepostError) as error:
            log.warning("%s could not be merged into %s: %s", earlier, DROP, error)

    # --- one at a time, and to the end even when the caller leaves

    async def shielded(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        self._changing.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._changing.discard(task)
        if not task.cancelled():
            task.exception()  # the caller has it, if it is still there

    async def _put(
        self, section: Section, name: str, settings: Mapping[str, Any], terms: Preconditions
    ) -> ChangeResult:
        async with self.turn:
            self.check_free(None)
            exists = self._check(section, name, terms)
            if settings.get(REQUIRED[section]) is None:
                where = f"{section}.{name}.{REQUIRED[section]}"
                hint = f"a {KINDS[section]} needs it"
                raise InvalidSettings([{"where": where, "message": "is missing", "hint": hint}])
            drop = await self.read_drop()
            mine = drop.get(section, {}).get(name) or {}
            wanted = copy.deepcopy(dict(settings))
            written = await self.guard_secrets({section: {name: wanted}})

            def change(below: MapNode) -> dict[str, Any]:
                entry = amended(wanted, mine, keys_below(below, section, name), (section, name))
                return _with(drop, section, name, entry)

            try:
                warnings = await self.change(drop, change, (section, name), terms.source)
            except BaseException:
                for file in written:
                    file.unlink(missing_ok=True)
                raise
            await self.remove_unused_secrets()
        return ChangeResult(not exists, warnings)

    async def guard_secrets(self, settings: Mapping[str, Any], write: bool = True) -> list[Path]:
        """Of brokers and devices as sent: where each secret may go is checked, then (`write`) those that were typed
        become files, which are given. Raises InvalidSettings, StoreError."""
        return await asyncio.to_thread(self._guard_secrets, settings, write)

    def _guard_secrets(self, settings: Mapping[str, Any], write: bool) -> list[Path]:
        current, registry = self.current, self._loader.registry
        own = self._state_dir / secret_guard.DIRECTORY
        allowed = [*current.api.secret_dirs, str(own)]

        @cache
        def named() -> secret_guard.NamedSecrets:
            """What a change of the agent's own has taken out still counts."""
            return secret_guard.NamedSecrets(current, self._loader.load(DropEdit(self.path, lambda _: {})).settings)

        entries = [
            (section, name, wanted)
            for section in KINDS
            for name, wanted in (settings.get(section) or {}).items()
            if isinstance(wanted, dict)
        ]
        guarded: list[tuple[dict[str, Any], set[str], str]] = []
        for section, name, wanted in entries:
            driver = wanted.get("driver")
            known = isinstance(driver, str) and driver in registry
            names = secret_options(registry.get(str(driver)).options_type) if known else set()
            old = getattr(current, section).get(name)
            secret_guard.check_secrets(wanted, old, names, f"{section}.{name}", allowed, named)
            guarded.append((wanted, names, f"{section}.{name}"))
        try:
            return [path for each in guarded if write for path in secret_guard.move_to_files(*each, self._state_dir)]
        except OSError as error:
            raise StoreError(f"{own} cannot be written: {error.strerror or error}") from error

    async def remove_unused_secrets(self) -> None:
        try:
            drop = await self.read_drop()
            await asyncio.to_thread(secret_guard.remove_unused, drop, self._state_dir)
        except (OSError, GatepostError) as error:
            log.warning("secrets that are not used any more could not be removed: %s", error)

    async def _remove(self, section: Section, name: str, terms: Preconditions) -> None:
        async with self.turn:
            self.check_free(None)
            if not self._check(section, name, terms):
                raise NotFound(f"there is no {KINDS[section]} {name!r}", f"`gatepost {section}` lists them")
            drop = await self.read_drop()

            def change(below: MapNode) -> dict[str, Any]:
                removed = _with(drop, section, name, None)
                if not keys_below(below, section, name):
                    del removed[section][name]
                return {part: entries for part, entries in removed.items() if entries}

            try:
                await self.change(drop, change, (section, name), terms.source)
            except InvalidSettings as error:
                raise Conflict(
                    f"{name} is still needed: {error.message}", "change that first", "still-needed"
                ) from None
            await self.remove_unused_secrets()

    async def _assign_patient(self, device: str, patient: str | None) -> None:
        async with self.turn:
            self._check_free_for_patient()
            drop = await self.read_drop()
            mine = drop.get("devices", {}).get(device) or {}
            changed = _with(drop, "devices", device, {**mine, "patient": patient})
            known = self._applier.current.settings.devices
            changed["devices"] = {  # nobody's reference is kept for a device that has gone from the settings
                name: entry
                for name, entry in changed["devices"].items()
                if name in known or entry is None or entry.keys() - {"patient"}
            }

            def check(settings: Settings) -> None:
                found = settings.devices.get(device)
                if found is None or found.patient != patient:
                    raise SettingsWrong("a setting in the environment or a later drop overrides it")

            try:
                await self.change(drop, lambda _: changed, ("devices", device), "assign_patient", check)
            except (Conflict, SettingsWrong) as error:
                message = f"The patient was not assigned: {error.message}"
                raise SettingsWrong(message, "`gatepost check` explains the settings.") from None

    def _check_free_for_patient(self) -> None:
        """Desired state on trial is another drop: it keeps nobody at a bed waiting."""
        try:
            self.check_free(DROP)
        except Conflict as error:
            raise SettingsWrong(f"The patient was not assigned: {error.message}", error.hint) from None

    def _check(self, section: Section, name: str, terms: Preconditions) -> bool:
        """Whether it exists; raises when that, or the state that it is in, is not as the caller thinks."""
        etag = self.etag(section, name)
        if terms.new and etag is not None:
            raise Conflict(f"the {KINDS[section]} {name!r} exists already", "change it with PUT", "exists")
        if terms.match is not None and not _named(terms.match, etag):
            raise PreconditionFailed(f"{name!r} was changed meanwhile", "read it again, then change it")
        if terms.none_match is not None and _named(terms.none_match, etag):
            raise PreconditionFailed(f"the {KINDS[section]} {name!r} exists already", "change it with If-Match")
        return etag is not None

    async def change(
        self,
        old: dict[str, Any],
        change: Callable[[MapNode], dict[str, Any]],
        about: tuple[str, ...],
        source: str,
        check: Callable[[Settings], None] = lambda _: None,
        begin: Callable[[Settings], Awaitable[None]] | None = None,
        path: Path | None = None,
    ) -> list[dict[str, str]]:
        """Validate in memory, write, apply what was validated; the warnings about it. `begin` is awaited
        with the new settings before anything is written; `path`: another drop of the agent's own."""
        path = path or self.path
        edit = DropEdit(path, change)
        loaded = await self.load(edit)
        if loaded.settings is None:
            raise await self._explained(loaded)
        check(loaded.settings)
        if begin is not None:
            await begin(loaded.settings)
        await self._write(edit.content, path)
        loaded.signature.update(signature([path.parent]))  # the watcher need not read what is applied here
        result = await self._applier.apply(loaded, source)
        where = ".".join(about)
        if not result["applied"]:
            await self._write(old, path)
            await self._applier.reload(source)
            texts = result["problems"] or ["the settings could not be applied"]
            raise InvalidSettings([{"where": where, "message": text, "hint": ""} for text in texts])
        return [problem_view(one) for one in loaded.warnings if not where or one.key.startswith(where + ".")]

    async def _explained(self, loaded: LoadedSettings) -> InvalidSettings | Conflict:
        """The fault of this change, or of files that had errors before it."""
        before = (await self.load()).errors
        known = {_identity(problem) for problem in before}
        wrong = [problem for problem in loaded.errors if _identity(problem) not in known]
        if wrong:
            return InvalidSettings([problem_view(problem) for problem in wrong])
        message = f"the settings files have errors, which must be corrected first: {before[0]}"
        return Conflict(message, "`gatepost check` explains them", "settings-wrong")

    async def read_drop(self) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(read_drop, self.path)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.path} cannot be read", "delete or repair it") from error

    async def _write(self, drop: dict[str, Any], path: Path | None = None) -> None:
        path = path or self.path
        try:
            if drop:
                await asyncio.to_thread(write_drop, path, drop)
            else:
                await asyncio.to_thread(remove_drop, path)
        except OSError as error:
            raise StoreError(f"{path} could not be written: {error.strerror or error}") from error


def keys_below(tree: MapNode, section: str, name: str) -> list[Key]:
    """The keys below `section.name` that have a value, without those two."""
    for part in (section, name):
        entry = tree.entries.get(part)
        if entry is None or not isinstance(entry.value, MapNode):
            return []
        tree = entry.value
    return sorted(_keys(tree, ()))


def _keys(tree: MapNode, path: Key) -> Iterator[Key]:
    for name, entry in tree.items():
        if not is_null(entry.value):
            yield (*path, name)
            if isinstance(entry.value, MapNode):
                yield from _keys(entry.value, (*path, name))


def amended(wanted: Mapping[str, Any], mine: Mapping[str, Any], below: list[Key], where: Key = ()) -> dict[str, Any]:
    """`wanted` as an entry of the own drop: `null` for every key that stands `below` and is not wanted.

    `***` keeps a value that is not shown: that of `mine`, which was here before, else the one below. Raises BadInput.
    """
    kept: set[Key] = set()
    settings = _unhidden(wanted, mine, set(below), (), kept, where)
    for key in below:
        if key not in kept:
            _remove(settings, key)
    return settings


def _unhidden(
    wanted: Mapping[str, Any], mine: Mapping[str, Any], below: set[Key], path: Key, kept: set[Key], where: Key
) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for name, value in wanted.items():
        key = (*path, name)
        old = mine.get(name)
        if isinstance(value, dict):
            settings[name] = _unhidden(value, old if isinstance(old, dict) else {}, below, key, kept, where)
        elif value != HIDDEN:
            settings[name] = value
        elif old is not None:
            settings[name] = old
        elif hidden := {lower for lower in below if lower[: len(key)] == key}:
            kept |= hidden
        else:
            raise BadInput(f"{'.'.join((*where, *key))}: {HIDDEN} stands for a stored value, and there is none")
    return settings


def _remove(settings: dict[str, Any], key: Key) -> None:
    for name in key:
        if name not in settings:
            settings[name] = None
            return
        inner = settings[name]
        if not isinstance(inner, dict):
            return
        settings = inner


def _with(drop: dict[str, Any], section: Section, name: str, settings: dict[str, Any] | None) -> dict[str, Any]:
    """A copy of the drop, empty sections left out."""
    changed = {part: dict(entries) for part, entries in drop.items() if entries}
    changed.setdefault(section, {})[name] = settings
    return changed


def _named(header: str, etag: str | None) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag is not None and ("*" in tags or etag in tags)


def _identity(problem: Problem) -> tuple[str, str, str]:
    return problem.key, problem.code, problem.message


def problem_view(problem: Problem) -> dict[str, str]:
    return {"where": problem.key, "message": problem.message, "hint": problem.hint}
