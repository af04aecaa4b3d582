"""Archive of a backup: a gzipped tar of `settings/`, `state/` and `unit/`, with a manifest as its last member.

The manifest names every member with size, mode, owner and SHA-256: without it the archive is not complete.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from gatepost.agent.core.errors import BackupWrong
from gatepost.agent.core.named_files import open_given, open_regular

FORMAT = 1
MANIFEST = "manifest.json"
MAX_MANIFEST = 16_000_000  # octets
MAX_MEMBERS = 100_000
CHUNK = 1 << 20
_NAME = re.compile(r"(settings|state|unit)(/(?!\.{1,2}(/|$))[^/\0]+)+")


class BackupMember(msgspec.Struct, frozen=True):
    name: str
    size: int
    sha256: str
    mode: int
    user: str
    group: str


class BackupManifest(msgspec.Struct, frozen=True):
    """`config` and `state_dir`: where settings and state were; `outside`: files that settings name and that are not
    in the archive."""

    format: int
    gatepost: str
    gateway: str
    created: str
    config: str
    state_dir: str
    outside: list[str]
    members: list[BackupMember]


class ArchiveWriter:
    """Writes members one after the other, and what they were at the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self.members: list[BackupMember] = []
        self._tar = tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=1)  # noqa: SIM115

    def add(self, name: str, path: Path, like: os.stat_result | None = None) -> None:
        """`like`: whose mode and owner it gets, if not its own. A file that grows meanwhile is taken as it was."""
        with os.fdopen(open_regular(path), "rb") as file:
            info = self._tar.gettarinfo(arcname=name, fileobj=file)
            if like is not None:
                info.mode, info.uid, info.gid = stat.S_IMODE(like.st_mode), like.st_uid, like.st_gid
                info.uname, info.gname = _names(like)
            reader = _DigestReader(file)
            self._tar.addfile(info, reader)  # type: ignore[arg-type]
        self.members.append(
            BackupMember(name, info.size, reader.digest.hexdigest(), info.mode & 0o777, info.uname, info.gname)
        )

    def close(self, manifest: BackupManifest) -> None:
        text = msgspec.json.format(msgspec.json.encode(manifest))
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(text), 0o600
        self._tar.addfile(info, io.BytesIO(text))
        self._tar.close()


class _DigestReader:
    """Reads a file and digests what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def unpack(file: Path, folder: Path) -> BackupManifest:
    """All members below `folder`, 0600, each as the manifest says. Raises BackupWrong, OSError."""
    found: dict[str, tuple[int, str]] = {}
    manifest = None
    try:
        with open_given(file) as stream, tarfile.open(fileobj=stream, mode="r|gz") as tar:
            for info in tar:
                if manifest is not None or not info.isfile() or len(found) >= MAX_MEMBERS:
                    raise BackupWrong(f"{file} holds what no backup holds: {info.name!r}", "take another file")
                content = tar.extractfile(info)
                assert content is not None
                if info.name == MANIFEST:
                    manifest = _manifest(file, content.read(MAX_MANIFEST))
                    continue
                if not _NAME.fullmatch(info.name) or info.name in found:
                    raise BackupWrong(f"{file} holds what no backup holds: {info.name!r}", "take another file")
                found[info.name] = _extract(content, folder / info.name)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as error:
        raise BackupWrong(f"{file} is no backup, or was not copied to its end", "copy it again") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise BackupWrong(f"{file} was changed or not copied well: {error}", "copy it again") from error
    if manifest is None:
        raise BackupWrong(f"{file} is not complete: its end is missing", "copy it again")
    _compare(file, manifest, found)
    return manifest


def _manifest(file: Path, text: bytes) -> BackupManifest:
    try:
        version = msgspec.json.decode(text)["format"]
        if version != FORMAT:
            raise BackupWrong(
                f"{file} is a backup of format {version}, known here is {FORMAT}", "update gatepost first"
            )
        return msgspec.json.decode(text, type=BackupManifest)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise BackupWrong(f"{file} is no backup: its manifest cannot be read", "take another file") from error


def _compare(file: Path, manifest: BackupManifest, found: dict[str, tuple[int, str]]) -> None:
    said = {member.name: (member.size, member.sha256) for member in manifest.members}
    wrong = sorted(name for name in said.keys() | found.keys() if said.get(name) != found.get(name))
    if wrong:
        raise BackupWrong(f"{file}: {wrong[0]} is not as it was written", "copy it again, or take another backup")


def _extract(content: IO[bytes], path: Path) -> tuple[int, str]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while data := content.read(CHUNK):
            digest.update(data)
            size += len(data)
            out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return size, digest.hexdigest()


def files_below(folder: Path) -> Iterator[Path]:
    """Files at any depth, in order; not links, not hidden ones: those are being written. Raises OSError."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from files_below(path)
        elif path.is_file() and not path.is_symlink():
            yield path


def _names(status: os.stat_result) -> tuple[str, str]:
    import grp
    import pwd

    try:
        return pwd.getpwuid(status.st_uid).pw_name, grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        return "", ""
