"""`gatepost backup`, everything that makes this gateway in one file, and `gatepost restore`, which puts it back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gatepost.agent.cli import DEFAULT_CONFIG, default_config
from gatepost.agent.cli.support.agent_access import Config, Json, load_settings
from gatepost.agent.cli.support.formatting import count, size
from gatepost.agent.cli.support.output import complain, say, say_json


def backup_verb(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", readable=False, help="The backup, such as ward-7.tar.gz; a new file.")
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Write settings, secrets, data and tokens into one file.

    The agent may run meanwhile.

    The file is as secret as what it holds: mode 0600. `gatepost restore` reads it.

    \b
    Example:
      gatepost backup /media/stick/ward-7.tar.gz
    """
    from gatepost.agent.backup.creation import UNIT, create_backup

    main = config or default_config()
    manifest = create_backup(file, main, load_settings(main), UNIT if main == DEFAULT_CONFIG else None)
    if json:
        say_json(
            {
                "file": str(file),
                "bytes": file.stat().st_size,
                "gateway": manifest.gateway,
                "created": manifest.created,
                "files": len(manifest.members),
                "outside": manifest.outside,
            }
        )
        return
    say(f"{file}: gateway {manifest.gateway}, {count(len(manifest.members), 'file')}, {size(file.stat().st_size)}")
    for path in manifest.outside:
        complain(f"not in it, though the settings name it: {path}", "keep a copy of it yourself")


def restore_verb(
    file: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="The backup.")],
    gateway: Annotated[
        str | None, typer.Option("--gateway-id", metavar="ID", help="Another id for this box; default: as it was.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also over data of a gateway that the settings of this box do not name.")
    ] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Replace settings and data of this box by a backup.

    No agent may run meanwhile.

    The backup is unpacked and checked first. What was here is set aside, not deleted. Readings keep their ids.

    The data go to the gateway.state_dir of the settings in the backup. Where that holds data already, and --config does
    not exist or names another one, it asks first; without a terminal --yes is required.

    \b
    Example:
      gatepost restore /media/stick/ward-7.tar.gz
    """
    from gatepost.agent.backup.creation import UNIT
    from gatepost.agent.backup.restoration import restore_backup

    main = config or default_config()
    unit = UNIT if main == DEFAULT_CONFIG else None
    done = restore_backup(file, main, load_settings, gateway, unit, lambda found: yes or _agreed(found))
    if json:
        say_json({**msgspec.structs.asdict(done), "problems": [str(problem) for problem in done.problems]})
        return
    say(f"gateway {done.gateway} as of {done.created}: {count(done.readings, 'stored row')}")
    say(f"settings in {Path(done.config).parent}, data in {done.state_dir}")
    for path in done.aside:
        say(f"what was there before: {path}; remove it when you are sure")
    if done.missing:
        missing = f"{count(done.missing, 'reading')} that the backup does not have"
        say(f"{missing}: only in what was there before, and sent to no broker from now on")
    for path in done.outside:
        complain(f"the settings name {path}, which was not in the backup", "put it there")
    for problem in done.problems:
        complain(str(problem))


def _agreed(state_dir: Path) -> bool:
    """Asked on a terminal only."""
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"{state_dir} holds the data of a gateway. Set them aside and restore there?", err=True)
