"""Settings that are changed through the API: kept in one drop of the agent's own; users' files are never written."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec

from gatepost.agent.core.errors import BadInput, Conflict, NotFound, PreconditionFailed, SettingsWrong, StoreError
from gatepost.agent.settings.own_drops import read_drop, remove_drop, write_drop
from gatepost.agent.settings.redacted_view import HIDDEN

Key = tuple[str, ...]


def keys_of(origins: Mapping[Key, Any], section: str, name: str) -> list[Key]:
    """The keys below `section.name` that have a value."""
    return sorted(key[2:] for key in origins if key[:2] == (section, name) and len(key) > 2)


def over(wanted: Mapping[str, Any], mine: Mapping[str, Any], below: list[Key], where: Key = ()) -> dict[str, Any]:
    """`wanted` with `null` for every key that stands `below` and is not wanted.

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
    found: dict[str, Any] = {}
    for name, value in wanted.items():
        here = (*path, name)
        old = mine.get(name)
        if isinstance(value, dict):
            found[name] = _unhidden(value, old if isinstance(old, dict) else {}, below, here, kept, where)
        elif value != HIDDEN:
            found[name] = value
        elif old is not None:
            found[name] = old
        elif any(key[: len(here)] == here for key in below):
            kept.update(key for key in below if key[: len(here)] == here)
        else:
            raise BadInput(f"{'.'.join((*where, *here))}: there is no value that {HIDDEN} could stand for")
    return found


def _remove(settings: dict[str, Any], key: Key) -> None:
    for name in key:
        if name not in settings:
            settings[name] = None
            return
        inner = settings[name]
        if not isinstance(inner, dict):
            return
        settings = inner


if TYPE_CHECKING:
    from gatepost.agent.api.agent_interface import AgentInterface
    from gatepost.agent.settings import LoadedSettings, Problem

DROP = "60-api.yaml"
LISTS = {"brokers": "broker", "devices": "device"}
NEEDED = {"brokers": "url", "devices": "driver"}

Section = Literal["brokers", "devices"]
T = TypeVar("T")


class Preconditions(NamedTuple):
    """What must hold for a change: `If-Match` and `If-None-Match` as they were sent; `new` = it must not exist yet."""

    match: str | None = None
    none_match: str | None = None
    new: bool = False
    source: str = "api"


class ChangeResult(NamedTuple):
    """`created`: it was not there before. `warnings`: what is odd about it, without secrets."""

    created: bool
    warnings: list[dict[str, str]]


class WrongSettings(SettingsWrong):
    """Settings that would not hold: `where` is the key of the first that is wrong, `problems` are all of them."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        first = problems[0]
        super().__init__(f"{first['where']}: {first['message']}" if first["where"] else first["message"], first["hint"])
        self.problems = problems

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "where": self.problems[0]["where"], "problems": self.problems}


class SettingsEditor:
    """Brokers and devices by name: read - change - validate with the real loader - write - apply; or all as before."""

    def __init__(self, app: AgentInterface) -> None:
        self._app = app
        self._salt = os.urandom(16)  # a digest of settings must not let a password be guessed
        self._turn = asyncio.Lock()
        self._changing: set[asyncio.Task[Any]] = set()

    @property
    def path(self) -> Path:
        return self._app.own_drops / DROP

    def etag(self, section: Section, name: str) -> str | None:
        """Changes with every effective setting, secrets included; None when there is none of this name."""
        found = getattr(self._app.settings, section).get(name)
        if found is None:
            return None
        return f'"{hashlib.blake2b(msgspec.json.encode(found), digest_size=12, key=self._salt).hexdigest()}"'

    def origin(self, section: Section, name: str) -> str:
        """`files`: of users' files (or the environment), `api`: only of this drop, `override`: of both."""
        path = str(self.path)
        mine = {origin.file == path for key, origin in self._app.origins.items() if key[:2] == (section, name)}
        return "override" if len(mine) == 2 else "api" if mine == {True} else "files"

    async def put(self, section: Section, name: str, settings: Mapping[str, Any], terms: Preconditions) -> ChangeResult:
        """These and no other settings, `***` standing for what is there. Raises WrongSettings, Conflict,
        PreconditionFailed, StoreError; then all is as it was."""
        return await self._whole(self._put(section, name, settings, terms))

    async def remove(self, section: Section, name: str, terms: Preconditions) -> None:
        """Also what a user's file configures. Raises NotFound, Conflict, PreconditionFailed, StoreError."""
        await self._whole(self._remove(section, name, terms))

    async def assign(self, device: str, patient: str | None) -> bool:
        """The patient of a device whose settings stand here; False = they do not, and nothing was done."""
        return await self._whole(self._assign(device, patient))

    # --- one at a time, and to the end even when the asker leaves

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        self._changing.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._changing.discard(task)
        if not task.cancelled():
            task.exception()  # the asker has it, if it is still there

    async def _put(
        self, section: Section, name: str, settings: Mapping[str, Any], terms: Preconditions
    ) -> ChangeResult:
        async with self._turn:
            there = self._check(section, name, terms)
            if settings.get(NEEDED[section]) is None:
                where = f"{section}.{name}.{NEEDED[section]}"
                raise WrongSettings([{"where": where, "message": "is missing", "hint": f"a {LISTS[section]} needs it"}])
            drop = await self._read()
            below = await asyncio.to_thread(self._load, {})
            mine = drop.get(section, {}).get(name) or {}
            merged = over(settings, mine, keys_of(below.origins, section, name), (section, name))
            warnings = await self._change(drop, _with(drop, section, name, merged), (section, name), terms)
        return ChangeResult(not there, warnings)

    async def _remove(self, section: Section, name: str, terms: Preconditions) -> None:
        async with self._turn:
            if not self._check(section, name, terms):
                raise NotFound(f"there is no {LISTS[section]} {name!r}", f"`gatepost {section}` lists them")
            drop = await self._read()
            below = await asyncio.to_thread(self._load, {})
            changed = _with(drop, section, name, None)
            if not keys_of(below.origins, section, name):
                del changed[section][name]
                changed = {part: entries for part, entries in changed.items() if entries}
            try:
                await self._change(drop, changed, (section, name), terms)
            except WrongSettings as error:
                raise Conflict(
                    f"{name} is still needed: {error.message}", "change that first", "still-needed"
                ) from None

    async def _assign(self, device: str, patient: str | None) -> bool:
        async with self._turn:
            drop = await self._read()
            mine = drop.get("devices", {}).get(device)
            if mine is None:
                return False
            changed = _with(drop, "devices", device, {**mine, "patient": patient})
            await self._change(drop, changed, ("devices", device), Preconditions(source="assign_patient"))
            return True

    def _check(self, section: Section, name: str, terms: Preconditions) -> bool:
        """Whether it exists; raises when that, or the state that it is in, is not as the asker thinks."""
        etag = self.etag(section, name)
        if terms.new and etag is not None:
            raise Conflict(f"the {LISTS[section]} {name!r} exists already", "change it with PUT", "exists")
        if terms.match is not None and not _named(terms.match, etag):
            raise PreconditionFailed(f"{name!r} was changed meanwhile", "read it again, then change it")
        if terms.none_match is not None and _named(terms.none_match, etag):
            raise PreconditionFailed(f"the {LISTS[section]} {name!r} exists already", "change it with If-Match")
        return etag is not None

    async def _change(
        self, old: dict[str, Any], new: dict[str, Any], about: tuple[str, str], terms: Preconditions
    ) -> list[dict[str, str]]:
        """Validate, write, apply; what is odd about it."""
        loaded = await asyncio.to_thread(self._load, new)
        if loaded.settings is None:
            before = {_same(problem) for problem in (await asyncio.to_thread(self._load, old)).errors}
            wrong = [problem for problem in loaded.errors if _same(problem) not in before]
            if not wrong:
                hint = "`gatepost check` explains them"
                raise Conflict("the settings files have errors, which come first", hint, "settings-wrong")
            raise WrongSettings([_told(problem) for problem in wrong])
        await self._write(new)
        result = await self._app.reload(terms.source)
        if not result["applied"]:
            await self._write(old)
            await self._app.reload(terms.source)
            where = ".".join(about)
            raise WrongSettings([{"where": where, "message": text, "hint": ""} for text in result["problems"] or ["?"]])
        return [_told(problem) for problem in loaded.warnings if problem.key.startswith(".".join(about) + ".")]

    def _load(self, drop: dict[str, Any]) -> LoadedSettings:
        """The settings with this content of the drop; blocks. Raises StoreError."""
        try:
            with tempfile.TemporaryDirectory(prefix=".try-", dir=self._app.own_drops.parent) as directory:
                trial = Path(directory)
                for file in self._app.own_drops.glob("*.yaml"):
                    if file.name != DROP:
                        shutil.copyfile(file, trial / file.name)
                if drop:
                    write_drop(trial / DROP, drop)
                return self._app.load_with(trial)
        except OSError as error:
            raise StoreError(f"settings could not be tried: {error.strerror or error}") from error

    async def _read(self) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(read_drop, self.path)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.path} cannot be read", "delete it, or bring it in order") from error

    async def _write(self, drop: dict[str, Any]) -> None:
        try:
            if drop:
                await asyncio.to_thread(write_drop, self.path, drop)
            else:
                await asyncio.to_thread(remove_drop, self.path)
        except OSError as error:
            raise StoreError(f"{self.path} could not be written: {error.strerror or error}") from error


def _with(drop: dict[str, Any], section: Section, name: str, settings: dict[str, Any] | None) -> dict[str, Any]:
    """A copy of the drop, empty sections left out."""
    changed = {part: dict(entries) for part, entries in drop.items() if entries}
    changed.setdefault(section, {})[name] = settings
    return changed


def _named(header: str, etag: str | None) -> bool:
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag is not None and ("*" in tags or etag in tags)


def _same(problem: Problem) -> tuple[str, str, str]:
    return problem.key, problem.code, problem.message


def _told(problem: Problem) -> dict[str, str]:
    return {"where": problem.key, "message": problem.message, "hint": problem.hint}
