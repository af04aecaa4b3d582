"""Restoration of a backup: unpacked and checked beside what is there, which is then set aside, never overwritten."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gatepost.agent.backup.archive import BackupManifest, BackupMember, files_below, unpack
from gatepost.agent.backup.creation import AS_ROOT, BEFORE, FOLDERS
from gatepost.agent.core.atomic_file import sync_directory
from gatepost.agent.core.errors import BackupWrong, GatepostError, StateDirInUse
from gatepost.agent.process import state_dir_lock
from gatepost.agent.settings import LoadedSettings
from gatepost.agent.settings.last_good import FILE as LAST_GOOD
from gatepost.agent.settings.own_drops import as_yaml
from gatepost.agent.settings.problem import Problem
from gatepost.agent.store.damage.salvage import check, readings_only_in
from gatepost.agent.store.schema import DATABASE

HINTS = {
    errno.EPERM: AS_ROOT,
    errno.EACCES: AS_ROOT,
    errno.ENOENT: "check the path",
    errno.EINVAL: "take the file that `gatepost backup` wrote",
    errno.ENOSPC: "make room: it needs as much as the backup holds",
}
ID_DROP = Path("conf.d", "99-gateway-id.yaml")  # after the others: what it says holds
Load = Callable[[Path, Path | None], LoadedSettings]  # of a main file, and of a folder of own drops


class RestoredGateway(msgspec.Struct):
    """What was restored; `aside` is where that went which was there before, `outside` what is missing here."""

    gateway: str
    created: str
    config: str
    state_dir: str
    readings: int
    outside: list[str]
    aside: list[str]
    missing: int  # readings set aside that the backup has not
    problems: list[Problem]


def restore_backup(
    file: Path,
    config: Path,
    load: Load,
    gateway: str | None = None,
    unit: Path | None = None,
    may_replace: Callable[[Path], bool] = lambda state_dir: False,
) -> RestoredGateway:
    """`gateway`: another id for this box; `unit`: the folder of the service's drop-ins. Nothing is replaced before
    everything is checked. `may_replace` is asked before data go aside in a state directory that the settings of this
    box do not name. Raises GatepostError."""
    try:
        return _restore(file, config.absolute(), load, gateway, unit, may_replace)
    except StateDirInUse as error:
        raise GatepostError(error.message, "stop the agent first: `systemctl stop gatepost`") from error
    except OSError as error:
        hint = HINTS.get(error.errno or 0, "")
        raise GatepostError(f"{error.filename or file}: {error.strerror or error}", hint) from error


def _restore(
    file: Path, config: Path, load: Load, gateway: str | None, unit: Path | None, may_replace: Callable[[Path], bool]
) -> RestoredGateway:
    usual = load(config, None).state_dir
    own = usual.absolute() if config.exists() else None
    usual.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=usual) as name:
        scratch = Path(name)
        manifest = unpack(file, scratch)
        main = scratch / "settings" / config.name
        with contextlib.suppress(FileNotFoundError):
            (main.parent / Path(manifest.config).name).rename(main)
        found = load(main, scratch / "state" / "conf.d")
        wanted = gateway or manifest.gateway
        if found.settings is None or found.settings.gateway.id != wanted:
            _keep_id(scratch, wanted)
        database = scratch / "state" / DATABASE
        readings = _check(database) if database.exists() else 0
        state_dir = found.state_dir.absolute()
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with state_dir_lock.take(state_dir):
            if state_dir != own and (state_dir / DATABASE).exists() and not may_replace(state_dir):
                message = f"{state_dir} holds the data of a gateway that {config} does not name; nothing was replaced"
                raise GatepostError(message, "--yes sets them aside and restores there")
            places = {"settings": config.parent, "state": state_dir} | ({"unit": unit} if unit else {})
            aside = _replace(scratch, places, config, manifest)
    return RestoredGateway(
        gateway=wanted,
        created=manifest.created,
        config=str(config),
        state_dir=str(state_dir),
        readings=readings,
        outside=[path for path in manifest.outside if not Path(path).exists()],
        aside=[str(path) for path in aside],
        missing=sum(readings_only_in(path / DATABASE, state_dir / DATABASE) for path in aside),
        problems=load(config, None).problems,
    )


def _check(database: Path) -> int:
    """How many rows it holds."""
    report = check(database)
    if not report.healthy:
        raise BackupWrong(f"the database in the backup is damaged: {report.problems[0]}", "take an older backup")
    return report.rows


def _keep_id(scratch: Path, gateway: str) -> None:
    """Settings that leave the id to the host name, or say another one, get it from a drop."""
    drop = scratch / "settings" / ID_DROP
    drop.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    drop.write_text(f"# Written by `gatepost restore`.\n{as_yaml({'gateway': {'id': gateway}})}", "utf-8")
    (scratch / "state" / LAST_GOOD).unlink(missing_ok=True)  # it has the other one


def _replace(scratch: Path, places: dict[str, Path], config: Path, manifest: BackupManifest) -> list[Path]:
    """Everything that is there goes aside, everything new into its place; after an error all is as it was."""
    before = _unused(f"{BEFORE}{datetime.now(UTC):%Y%m%dT%H%M%SZ}", places.values())
    done: list[tuple[Path, Path]] = []
    aside = set[Path]()
    try:
        for kind, place in places.items():
            for path in _replaced(kind, place, config):
                target = place / before / path.relative_to(place)
                _folder(target.parent, place, private=True)
                _move(path, target, done)
                aside.add(place / before)
        for kind, place in places.items():
            source = scratch / kind
            for path in list(files_below(source)) if source.is_dir() else ():
                target = place / path.relative_to(source)
                _folder(target.parent, place, private=kind == "state" or "secrets" in target.parts)
                _move(path, target, done)
        _give_owners(manifest, places, config)
    except BaseException:
        for source, target in reversed(done):
            shutil.move(target, source)
        raise
    for folder in {target.parent for _, target in done}:
        sync_directory(folder)
    return sorted(aside)


def _replaced(kind: str, place: Path, config: Path) -> Iterator[Path]:
    """Files that a backup of this box would hold, and the log with what belongs to it."""
    if kind == "settings":
        yield from [config] if config.exists() else []
        for name in FOLDERS:
            yield from list(files_below(place / name)) if (place / name).is_dir() else []
    elif place.is_dir():
        for path in list(files_below(place)):
            first = path.relative_to(place).parts[0]
            if first != state_dir_lock.NAME and not first.startswith(BEFORE):
                yield path


def _unused(name: str, places: Collection[Path]) -> str:
    """The name, numbered where one of the places has it: of two restorations in one second."""
    numbered = (name, *(f"{name}-{number}" for number in range(2, 1000)))
    return next(each for each in numbered if not any(os.path.lexists(place / each) for place in places))


def _move(source: Path, target: Path, done: list[tuple[Path, Path]]) -> None:
    if target.exists():
        raise FileExistsError(17, "is there already", str(target))
    shutil.move(source, target)
    done.append((source, target))


def _folder(path: Path, top: Path, private: bool) -> None:
    """With the owner of `top`, for its group too unless it is private."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700)
        if top.exists() and each != top:
            _chown(each, top.stat().st_uid, top.stat().st_gid)
        each.chmod(0o700 if private else 0o750)


def _give_owners(manifest: BackupManifest, places: dict[str, Path], config: Path) -> None:
    """Modes and owners as they were; names that this box does not know become the owner of the folder."""
    members = {member.name: member for member in manifest.members}
    for name, member in members.items():
        kind, _, rest = name.partition("/")
        if kind not in places:
            continue
        place = places[kind]
        path = config if name == f"settings/{Path(manifest.config).name}" else place / rest
        if path.exists():
            _chown(path, *_owner(member, place))
            path.chmod(member.mode)
    if (database := members.get(f"state/{DATABASE}")) is not None:  # the directory may be new
        _chown(places["state"], *_owner(database, places["state"]))
    drop = config.parent / ID_DROP
    if drop.exists() and f"settings/{ID_DROP}" not in members:
        _chown(drop, *_owner(None, config.parent))
        drop.chmod(0o640)


def _owner(member: BackupMember | None, place: Path) -> tuple[int, int]:
    with contextlib.suppress(KeyError):
        if member is not None:
            return pwd.getpwnam(member.user).pw_uid, grp.getgrnam(member.group).gr_gid
    status = place.stat()
    return status.st_uid, status.st_gid


def _chown(path: Path, user: int, group: int) -> None:
    """Only root can give files away; anybody else keeps what he made."""
    if os.geteuid() == 0:
        os.chown(path, user, group)
