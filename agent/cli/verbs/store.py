"""`gatepost store`: check and repair the database while no agent runs on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatepost.agent.cli import default_config
from gatepost.agent.cli.support.agent_access import Config, Json, load_settings, new
from gatepost.agent.cli.support.formatting import count
from gatepost.agent.cli.support.output import say, say_json
from gatepost.agent.core.errors import SettingsWrong, StoreError
from gatepost.agent.process.exits import ExitCode

if TYPE_CHECKING:
    from gatepost.agent.store.damage.salvage import SalvageReport

Named = Annotated[
    Path | None, typer.Argument(metavar="[PATH]", readable=False, help="The database; default: that of the settings.")
]

store_verb = new(no_args_is_help=True)


@store_verb.callback()
def store() -> None:
    """Check or repair the database of an agent that is stopped.

    \b
    Example:
      gatepost store check --config /etc/gatepost/gatepost.yaml
    """


@store_verb.command()
def check(path: Named = None, config: Config = None, json: Json = False) -> None:
    """Read everything and verify every checksum; changes nothing. Exit code 1 when it is damaged.

    \b
    Example:
      gatepost store check /var/lib/gatepost/gatepost.db
    """
    from gatepost.agent.store.damage.salvage import check as look

    report = _work(look, path, config, json)
    if not json:
        say("healthy" if report.healthy else "damaged: `gatepost store repair` saves what can be read")
    if not report.healthy:
        raise typer.Exit(ExitCode.FAILED)


@store_verb.command()
def repair(path: Named = None, config: Config = None, json: Json = False) -> None:
    """Save what can be read of a damaged database into a new one.

    The damaged file is set aside; a healthy one is left alone.

    \b
    Example:
      gatepost store repair --config /etc/gatepost/gatepost.yaml
    """
    from gatepost.agent.store.damage.salvage import repair as mend

    report = _work(mend, path, config, json)
    if json:
        return
    if report.healthy:
        say("healthy: nothing to repair")
    else:
        say(f"rebuilt with {count(report.rows, 'row')}; the damaged file is now {report.aside}")
        if report.lost:
            say(f"{count(report.lost, 'row')} that a broker was still owed could not be read")


def _work(do: Callable[[Path], SalvageReport], path: Path | None, config: Path | None, json: bool) -> SalvageReport:
    from gatepost.agent.store.exclusive_access import exclusive_access
    from gatepost.agent.store.schema import is_log

    database = path or _of_settings(config or default_config())
    with exclusive_access(database):
        if not is_log(database):
            raise StoreError(f"{database} is no Gatepost database", "name the database, or the settings with --config")
        report = do(database)
    if json:
        say_json(asdict(report))
    else:
        for problem in report.problems:
            say(f"problem: {problem}")
        say(f"{report.path}: {count(report.rows, 'row')}, {count(report.damaged)} damaged")
    return report


def _of_settings(config: Path) -> Path:
    loaded: Any = load_settings(config)
    if loaded.unreadable:
        raise SettingsWrong(loaded.unreadable, "use sudo, or name the database")
    if loaded.settings is None and not loaded.files:
        raise SettingsWrong(f"there are no settings at {config}", "name the database, or the settings with --config")
    from gatepost.agent.store.schema import DATABASE

    return Path(loaded.state_dir) / DATABASE
