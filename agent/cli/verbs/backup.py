"""`gatepost backup`: everything that makes this gateway, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatepost.agent.cli import DEFAULT_CONFIG, default_config
from gatepost.agent.cli.support.agent_access import Config, Json, load_settings, new
from gatepost.agent.cli.support.formatting import count, size
from gatepost.agent.cli.support.output import complain, say, say_json

verb = new()


@verb.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup, such as ward-7.tar.gz; a new file.")],
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
