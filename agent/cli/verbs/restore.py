"""`gatepost restore`: a backup takes the place of what is here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gatepost.agent.cli import DEFAULT_CONFIG, default_config
from gatepost.agent.cli.support.agent_access import Config, Json, load_settings, new
from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import complain, say, say_json

verb = new()


@verb.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `gatepost backup` wrote.")],
    gateway: Annotated[
        str | None, typer.Option("--gateway-id", metavar="ID", help="Another id for this box; default: as it was.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Put a backup in the place of settings and data here.

    No agent may run meanwhile.

    The backup is unpacked and checked first. What was here is set aside, not deleted. Readings keep their ids.

    \b
    Example:
      gatepost restore /media/stick/ward-7.tar.gz
    """
    from gatepost.agent.backup.creation import UNIT
    from gatepost.agent.backup.restoration import restore_backup

    main = config or default_config()
    done = restore_backup(file, main, load_settings, gateway, UNIT if main == DEFAULT_CONFIG else None)
    if json:
        say_json({**msgspec.structs.asdict(done), "problems": [str(problem) for problem in done.problems]})
        return
    say(f"gateway {done.gateway} as of {done.created}: {count(done.readings, 'stored row')}")
    say(f"settings in {Path(done.config).parent}, data in {done.state_dir}")
    for path in done.aside:
        say(f"what was there before: {path}; remove it when you are sure")
    for path in done.outside:
        complain(f"the settings name {path}, which was not in the backup", "put it there")
    for problem in done.problems:
        complain(str(problem))
