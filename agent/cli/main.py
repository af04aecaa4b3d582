"""The verbs of `gatepost`: function `NAME_verb` of a file each, which is imported when the verb is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from gatepost.agent.cli.support.agent_access import new
from gatepost.agent.cli.support.output import complain
from gatepost.agent.core.errors import GatepostError, SettingsWrong
from gatepost.agent.process.exits import ExitCode
from gatepost.client import GatewayError

INTERRUPTED = 130  # as the shell says it

VERBS = (
    "run",
    "demo",
    "check",
    "config",
    "status",
    "devices",
    "brokers",
    "drivers",
    "formats",
    "routes",
    "asyncapi",
    "readings",
    "backlog",
    "send",
    "publish",
    "subscribe",
    "export",
    "import",
    "reload",
    "apply",
    "confirm",
    "logs",
    "doctor",
    "store",
    "backup",
    "restore",
    "scan",
    "simulate",
    "record",
    "replay",
    "token",
    "listener",
    "completion",
    "version",
)
# Verbs in the file of another one.
SHARED_FILES = {
    "completion": "version",
    "demo": "run",
    "import": "import_stick",
    "restore": "backup",
    "reload": "apply",
    "confirm": "apply",
}


def as_command(verb: typer.Typer | Callable[..., None]) -> Any:
    """Of the function that is a verb, or of a Typer application with actions below it."""
    if not isinstance(verb, typer.Typer):
        function, verb = verb, new()
        verb.command()(function)
    return typer.main.get_command(verb)


class _Verbs(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in VERBS:
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            ctx.fail(f"there is no verb {args[0]!r}" + (f"; did you mean {near[0]}?" if near else ""))
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"gatepost.agent.cli.verbs.{SHARED_FILES.get(cmd_name, cmd_name)}")
        command = as_command(getattr(module, f"{cmd_name}_verb"))
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Errors of the tree end with a sentence and an exit code, an impatient user or reader ends quietly."""
        try:
            return super().invoke(ctx)
        except SettingsWrong as error:
            complain(error.message, error.hint)
            code: int = ExitCode.SETTINGS
        except (GatewayError, GatepostError) as error:
            complain(error.message, error.hint)
            code = ExitCode.FAILED
        except BrokenPipeError:
            _silence()
            code = ExitCode.DONE
        except OSError as error:  # a file or folder that this user may not read, a full disk
            hint = "use sudo, or become the user gatepost" if isinstance(error, PermissionError) else ""
            complain(f"{error.filename or 'the system says'}: {error.strerror or error}", hint)
            code = ExitCode.FAILED
        except KeyboardInterrupt:
            code = INTERRUPTED
        raise typer.Exit(code)


root = typer.Typer(
    cls=_Verbs,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    epilog="`gatepost VERB --help` explains a verb, `gatepost --version` shows the version. Exit codes: 0 done, "
    "1 failed, 2 usage, 78 settings wrong.",
)


@root.callback()
def _root() -> None:
    """Edge gateway agent: reads medical and sensor devices, stores every reading, forwards it over MQTT."""


def gatepost(arguments: Sequence[str]) -> int:
    """Runs a verb; the exit code."""
    if "_GATEPOST_COMPLETE" in os.environ:  # a shell asks what may follow
        from typer._completion_classes import completion_init

        completion_init()
    try:
        root(args=list(arguments), prog_name="gatepost")
        code: Any = ExitCode.DONE
    except SystemExit as end:
        code = end.code
    try:
        if not sys.stdout.closed:  # a verb that wrote through a wrapper may have closed it when its reader left
            sys.stdout.flush()
    except BrokenPipeError:
        _silence()
    return code if isinstance(code, int) else ExitCode.DONE


def _silence() -> None:
    """Nobody reads on: what is still buffered must not fail at the end of the process."""
    if not sys.stdout.closed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
