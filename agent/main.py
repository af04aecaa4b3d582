"""Run the agent in the foreground: settings, signals, exit codes."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import uvloop

from gatepost.agent.app import App
from gatepost.agent.core.errors import GatepostError, SettingsWrong
from gatepost.agent.process import state_dir_lock
from gatepost.agent.process.exits import ExitCode
from gatepost.agent.process.logs import AgentLogs
from gatepost.agent.process.signals import ProcessSignals
from gatepost.agent.settings import LoadedSettings, load
from gatepost.agent.settings.last_good import LastGood
from gatepost.agent.settings.loading import DROPS
from gatepost.agent.settings.model import Settings
from gatepost.agent.settings.trial.record import PENDING, revert_at_start
from gatepost.drivers.driver import Registry
from gatepost.drivers.installed import version

log = logging.getLogger("gatepost")

START_ENDS = 1.0  # seconds for a start that is ended by a signal
LEFT_BEHIND = 1.5  # seconds for threads after everything has ended


def run_agent(config: Path, signals: ProcessSignals) -> int:
    """`gatepost run`: the exit code. 78 when there are no usable settings, neither now nor from an earlier run."""
    env = dict(os.environ)
    os.umask(0o077)  # readings are nobody else's; the socket gets its own mode
    gc.freeze()  # modules and types are no garbage
    gc.set_threshold(20_000, 20, 50)  # readings are made and dropped by the thousand, and hardly ever in cycles
    gc.enable()
    logs = AgentLogs(sys.stderr, env)
    try:
        loaded = load(config, env, Registry.installed())
        if _undo_unconfirmed(loaded):
            loaded = load(config, env, Registry.installed())
        for problem in loaded.problems:
            log.log(logging.ERROR if problem in loaded.errors else logging.WARNING, "settings: %s", problem.as_log())
        settings = loaded.settings or _last_good(loaded)
        if settings is None:
            log.error("there are no usable settings; `gatepost check %s` explains them", config)
            return ExitCode.SETTINGS
        logs.apply(settings.logging.level, settings.logging.format)
        says = "gatepost %s starts: gateway %s, settings %s, data %s"
        log.info(says, version("gatepost"), settings.gateway.id, config.absolute(), loaded.state_dir)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code: int = ExitCode.FAILED
            try:
                code = runner.run(_live(lambda: App(loaded, settings, config, env, logs), signals))
            finally:
                _end_at_last(code)
        return code
    finally:
        logs.close()


def _undo_unconfirmed(loaded: LoadedSettings) -> bool:
    """A change of settings that was on trial when the agent ended is undone; whether there was one."""
    try:
        if not (loaded.state_dir / PENDING).exists():
            return False
    except OSError:  # a directory of another user; the start says so
        return False
    try:
        with state_dir_lock.take(loaded.state_dir):  # another agent that runs here knows its own trial
            return revert_at_start(loaded.state_dir, loaded.state_dir / DROPS) is not None
    except GatepostError:
        return False
    except OSError as error:
        log.error("a change of settings that was on trial cannot be undone: %s", error.strerror or error)
        return False


def _end_at_last(code: int) -> None:
    """Neither the loop's executor nor the interpreter waits for a thread that hangs in a share or a driver."""
    timer = threading.Timer(LEFT_BEHIND, os._exit, (int(code),))
    timer.daemon = True
    timer.start()


async def _live(make: Callable[[], App], signals: ProcessSignals) -> int:
    app, loop = make(), asyncio.get_running_loop()
    signals.hear(lambda number: loop.call_soon_threadsafe(app.take_signal, number))
    try:
        code = await _start(app)
        if code is None:
            await app.run()
    finally:
        await app.close()
        signals.ignore()
    return ExitCode.DONE if code is None else code


async def _start(app: App) -> int | None:
    """The exit code of a start that failed; a signal in the middle of it ends it."""
    starting, stopping = asyncio.ensure_future(app.start()), asyncio.ensure_future(app.run())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,), timeout=START_ENDS)
        return None
    try:
        starting.result()
    except SettingsWrong as error:
        log.error("%s; %s", error.message, error.hint)
        return ExitCode.SETTINGS
    except GatepostError as error:
        hint = f"; {error.hint}" if error.hint else ""
        log.error("the agent cannot start: %s%s", error.message, hint)
        return ExitCode.SETTINGS if error.kind == "store-newer" else ExitCode.FAILED  # starting again would not help
    except OSError as error:
        where = error.filename or app.state_dir
        kind = "state directory " if str(where) == str(app.state_dir) else ""
        hint = ""
        if isinstance(error, PermissionError):
            hint = "; run it as a user who may write there, or name another gateway.state_dir"
        log.error("the agent cannot start: %s%s: %s%s", kind, where, error.strerror or error, hint)
        return ExitCode.FAILED
    return None


def _last_good(loaded: LoadedSettings) -> Settings | None:
    settings = LastGood(loaded.state_dir).read()
    if settings is not None:
        log.error("the settings have errors: running with the ones that were applied last")
    return settings
