"""Creation of a backup: settings, unit, state, and a consistent copy of the log, beside a running agent or without."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from gatepost.agent.backup.archive import FORMAT, ArchiveWriter, BackupManifest, files_below
from gatepost.agent.core.atomic_file import sync_directory
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.process import state_dir_lock
from gatepost.agent.settings import LoadedSettings
from gatepost.agent.settings.last_good import LastGood
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.secret import files_named
from gatepost.agent.store.damage.salvage import copy_log
from gatepost.agent.store.schema import DATABASE

FOLDERS = ("conf.d", "secrets", "tls")  # beside the main file of the settings
UNIT = Path("/etc/systemd/system/gatepost.service.d")  # where `systemctl edit` keeps LoadCredential= and the like
BEFORE = "before-restore-"  # folders with what a restoration replaced
AS_ROOT = "use sudo: secrets are root's, the state is the service's"


def create_backup(file: Path, config: Path, loaded: LoadedSettings, unit: Path | None) -> BackupManifest:
    """`unit`: the folder of the service's drop-ins, where they belong to it. Raises GatepostError."""
    if loaded.unreadable:
        raise GatepostError(loaded.unreadable, "use sudo")
    settings = loaded.settings or LastGood(loaded.state_dir).read()
    if settings is None:
        raise GatepostError(f"there are no usable settings at {config}", "`gatepost check` says why; or use --config")
    if os.path.lexists(file):
        raise GatepostError(f"{file} already exists", "name another file")
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(prefix=".gatepost-", dir=file.parent) as scratch:
            manifest = _write(beside, Path(scratch), config, settings, loaded.state_dir, unit)
        beside.rename(file)
        sync_directory(file.parent)
    except OSError as error:
        hint = AS_ROOT if isinstance(error, PermissionError) else "is there a place for it, and space?"
        raise GatepostError(f"{error.filename or file}: {error.strerror or error}", hint) from error
    finally:
        beside.unlink(missing_ok=True)
    return manifest


def _write(
    beside: Path, scratch: Path, config: Path, settings: Settings, state_dir: Path, unit: Path | None
) -> BackupManifest:
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        archive = ArchiveWriter(stream)
        folder = config.absolute().parent
        named = set(files_named(settings))
        inside = {path for path in named if path.is_relative_to(folder) and ".." not in path.parts}
        for path in sorted({*_settings_files(config.absolute()), *inside}):
            archive.add(f"settings/{path.relative_to(folder)}", path)
        if unit is not None and unit.is_dir():
            for path in files_below(unit):
                archive.add(f"unit/{path.relative_to(unit)}", path)
        # The log before the rest: the audit log then holds at least what the log knows of it.
        database = state_dir / DATABASE
        if database.exists():
            copy = scratch / DATABASE
            copy_log(database, copy)
            archive.add(f"state/{DATABASE}", copy, database.stat())
            copy.unlink()
        for path in files_below(state_dir) if state_dir.is_dir() else ():
            if not _of_the_moment(path.relative_to(state_dir)):
                archive.add(f"state/{path.relative_to(state_dir)}", path)
        manifest = BackupManifest(
            format=FORMAT,
            gatepost=version("gatepost"),
            gateway=settings.gateway.id,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            config=str(config.absolute()),
            state_dir=str(state_dir.absolute()),
            outside=sorted(str(path) for path in named - inside if not path.is_relative_to(state_dir)),
            members=archive.members,
        )
        archive.close(manifest)
        stream.flush()
        os.fsync(stream.fileno())
    return manifest


def _settings_files(config: Path) -> Iterator[Path]:
    if config.is_file():
        yield config
    for name in FOLDERS:
        if (config.parent / name).is_dir():
            yield from files_below(config.parent / name)


def _of_the_moment(path: Path) -> bool:
    """The log itself, which was copied; what a repair or a restoration set aside; the lock of a running agent."""
    first = path.parts[0]
    return first.startswith((DATABASE, BEFORE)) or first == state_dir_lock.NAME
