"""Support bundle of `gatepost doctor --bundle`: state of machine and agent, without secrets and patient data."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from gatepost.agent.cli.verbs.version import versions
from gatepost.agent.core.atomic_file import atomic_file
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.settings import LoadedSettings
from gatepost.agent.settings.model import SecretRef
from gatepost.agent.settings.redacted_view import shown
from gatepost.client import GatewayClient, GatewayError

HIDDEN = "***"
LOG_LINES = 1000
LOG_TIME = 5.0  # seconds
LARGEST = 2_000_000  # letters of the log
ASKED = ("status", "stats", "health_detailed", "settings", "brokers_status", "backlog", "gaps", "logs")
# Members of an answer whose value is nobody's business, whatever it is.
PRIVATE = {"patient", "patient_id", "token", "password", "secret", "passkey", "pin", "signature"}
PATTERNS = (
    (re.compile(r"\bgp_[A-Za-z0-9_-]+"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"://[^/\s@]+@"), f"://{HIDDEN}@"),
)
README = """A support bundle of Gatepost.

versions.json   of gatepost, Python and libraries
findings.json   what `gatepost doctor` found
settings.json   as the files say it, without secrets
agent/*.json    what the running agent says of itself, and the log that it keeps in memory
schema/*.sql    the tables that this version makes, and database.json the file it has
log.txt         the last lines of the journal, where there is one

It holds names, rooms and addresses of devices and brokers. It holds no readings, patients, passwords, keys or tokens.
"""


class PrivacyScrubber:
    """Hides what is known to be private wherever it stands as a word of its own, and what looks like a secret."""

    def __init__(self, private: Iterable[str]) -> None:
        words = sorted({word for word in private if word}, key=len, reverse=True)
        self._known = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)") if words else None

    def text(self, text: str) -> str:
        for pattern, instead in PATTERNS:
            text = pattern.sub(instead, text)
        return text if self._known is None else self._known.sub(HIDDEN, text)

    def json(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                str(key): HIDDEN if key in PRIVATE and isinstance(each, str) else self.json(each)
                for key, each in value.items()
            }
        return [self.json(each) for each in value] if isinstance(value, list | tuple) else value


def private_of(loaded: LoadedSettings | None) -> Iterator[str]:
    """Patients and the secrets that stand in the settings themselves."""
    if loaded is None or loaded.settings is None:
        return
    settings = loaded.settings
    for device in settings.devices.values():
        yield device.patient or ""
        yield from _plain(device.token)
        yield from (str(value) for name, value in device.options.items() if name.lower() in PRIVATE | {"key"})
    for broker in settings.brokers.values():
        yield from _plain(broker.password)
    yield from _plain(settings.commands.signing.key)


def _plain(secret: str | SecretRef | None) -> Iterator[str]:
    if isinstance(secret, str):
        yield secret


def pack(
    file: Path,
    client: GatewayClient | None,
    loaded: LoadedSettings | None,
    findings: list[dict[str, Any]],
    log: Callable[[], str],
) -> list[str]:
    """The names of what is in it now; raises GatepostError."""
    if file.exists():
        raise GatepostError(f"{file} already exists", "name another file")
    scrub = PrivacyScrubber(private_of(loaded))
    members = {"README.txt": README.encode()}
    members["versions.json"] = _json(versions())
    members["findings.json"] = _json(scrub.json(findings))
    for name in ASKED if client is not None else ():
        members[f"agent/{name}.json"] = _json(scrub.json(_asked(client, name)))
    for each in sorted(files("gatepost.agent.store").iterdir(), key=lambda path: path.name):
        if each.name.startswith("schema_"):
            members[f"schema/{each.name}"] = each.read_bytes()
    if loaded is not None and loaded.settings is not None:
        members["settings.json"] = _json(scrub.json(shown(loaded.settings, loaded.origins)))
    if loaded is not None:
        members["schema/database.json"] = _json(_database(Path(loaded.state_dir)))
    if text := scrub.text(log()[-LARGEST:]):
        members["log.txt"] = text.encode()
    _write(file, members)
    return list(members)


def journal() -> str:
    """The last lines of the service's log; nothing where there is no journal."""
    program = shutil.which("journalctl")
    if program is None:
        return ""
    command = [program, "--unit", "gatepost", "--lines", str(LOG_LINES), "--no-pager", "--output", "short-iso"]
    try:
        found = subprocess.run(command, capture_output=True, timeout=LOG_TIME, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.decode("utf-8", "replace") if found.returncode == 0 else ""


def _asked(client: Any, name: str) -> Any:
    try:
        return client.logs(limit=LOG_LINES) if name == "logs" else getattr(client, name)()
    except GatewayError as error:
        return {"error": {"key": error.key, "message": error.message}}


def _database(state_dir: Path) -> dict[str, Any]:
    """Sizes, and the version that the header of the file says (https://www.sqlite.org/fileformat.html)."""
    found: dict[str, Any] = {}
    with suppress(OSError):
        for path in sorted(state_dir.glob("gatepost.db*")):
            found[path.name] = {"octets": path.stat().st_size}
        header = read_regular(state_dir / "gatepost.db", 100)
        found["user_version"] = int.from_bytes(header[60:64])
        found["page_size"] = int.from_bytes(header[16:18])
    return found


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)


def _write(file: Path, members: Mapping[str, bytes]) -> None:
    try:
        with atomic_file(file) as part, tarfile.open(fileobj=part, mode="w:gz") as packed:
            for path, content in members.items():
                about = tarfile.TarInfo(f"gatepost-bundle/{path}")
                about.size, about.mode = len(content), 0o600
                packed.addfile(about, io.BytesIO(content))
    except OSError as error:
        raise GatepostError(f"{file}: {error.strerror or error}") from error
