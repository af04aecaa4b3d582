"""A drop with what a scan has found: its text, and how it gets into conf.d."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import load_settings
from gatepost.agent.cli.support.output import complain, say, say_as_is
from gatepost.agent.cli.support.scan_known_ports import ConfiguredDevices
from gatepost.agent.core.errors import GatepostError, SettingsWrong

DROPS = "conf.d"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class ScanDrop(NamedTuple):
    """`devices` by id, as they stand in the settings; `remarks` are for a person."""

    devices: dict[str, dict[str, Any]]
    remarks: list[str]

    @property
    def text(self) -> str:
        """Empty when there is nothing to configure."""
        from gatepost.agent.settings.own_drops import as_yaml

        if not self.devices:
            return ""
        return "".join(f"# {remark}\n" for remark in self.remarks) + as_yaml({"devices": self.devices})


def place(name: str, config: Path | None, known: ConfiguredDevices) -> Path:
    """Where `--write NAME` goes; raises GatepostError before anything is scanned for nothing."""
    main = config or default_config()
    name = name.removesuffix(".yaml")
    if not _NAME.fullmatch(name):
        raise GatepostError(f"--write: {name!r} is not a valid name", "letters, digits, _ . -, such as new-devices")
    if known.broken:
        raise SettingsWrong(f"the settings {main} are invalid", "`gatepost check` explains it; nothing was written")
    if not main.exists() and not (main.parent / DROPS).is_dir():
        raise GatepostError(f"there are no settings at {main}", "name them with --config")
    path = main.parent / DROPS / f"{name}.yaml"
    if os.path.lexists(path):
        raise _there(path)
    return path


def write(drop: ScanDrop, path: Path) -> None:
    """A new file, 0640, of the group of its directory, so that the agent can read it; never over another one."""
    from gatepost.agent.core.atomic_file import sync_directory

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o750, exist_ok=True)
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(drop.text.encode())
                with contextlib.suppress(PermissionError):
                    os.fchown(stream.fileno(), -1, path.parent.stat().st_gid)
                os.fchmod(stream.fileno(), 0o640)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(beside, path)  # whole or not at all, and not where something else is
        finally:
            beside.unlink()
        sync_directory(path.parent)
    except FileExistsError:
        raise _there(path) from None
    except OSError as error:
        hint = "use sudo" if isinstance(error, PermissionError) else ""
        raise GatepostError(f"{path}: {error.strerror}", hint) from error


def effect(known: ConfiguredDevices) -> str:
    """How a new drop comes to count."""
    if known.agent:
        return "the agent takes it over within seconds, at once with `gatepost reload`; `gatepost devices` shows it"
    return "it takes effect when the agent is started; test it with `gatepost check`"


def finish(
    drop: ScanDrop, path: Path | None, known: ConfiguredDevices, config: Path | None, json: bool
) -> dict[str, Any]:
    """Write it or show it; what is to be told of that in JSON."""
    if path is None:
        if drop.devices and not json:
            say("\nA drop for conf.d (`--write NAME` puts it there):\n")
            say_as_is(drop.text.rstrip())
        return {"drop": drop.text}
    if not drop.devices:
        if not json:
            complain("no new device with a driver was found: nothing is written")
        return {"drop": "", "written": None}
    write(drop, path)
    if not json:
        say(f"\n{path} is written: {', '.join(drop.devices)}")
        say(effect(known))
    for problem in load_settings(config or default_config()).problems:
        if Path(problem.file) == path:
            complain(str(problem), "edit the file, then run `gatepost check`")
    return {"drop": drop.text, "written": str(path), "effect": effect(known)}


def _there(path: Path) -> GatepostError:
    return GatepostError(f"{path} already exists", "choose another name for --write")
