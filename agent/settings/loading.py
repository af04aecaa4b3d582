"""Loader: files, own drops and environment to typed settings, each key with its origin, all problems at once."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from gatepost.agent.settings import model
from gatepost.agent.settings.model import GatewaySettings
from gatepost.agent.settings.problem import DEFAULT, ERROR, WARNING, Origin, Problem, ProblemReport
from gatepost.agent.settings.problem import Path as Key
from gatepost.agent.settings.watch import Signature, signature
from gatepost.agent.settings.yaml.nodes import MapEntry, MapNode, ScalarNode, is_null, merge

if TYPE_CHECKING:
    from gatepost.drivers.driver import Registry

DROPS = "conf.d"
SUFFIX = ".yaml"
FLEET_DROP = "40-fleet.yaml"  # of desired state, among the agent's own: over users' files, below what a person sets
MAY_NOT_READ = "use sudo, or check its permissions"
HOST_NAME = Origin("host name")


class DropEdit:
    """Edit of one drop, tried without writing it: `change` gets the settings below it and gives its new content.

    `content` is what it gave: plain data as a person would write it; empty = the drop goes.
    """

    def __init__(self, path: Path, change: Callable[[MapNode], dict[str, Any]]) -> None:
        self.path = path
        self.content: dict[str, Any] = {}
        self._change = change

    def text(self, below: MapNode) -> str:
        """The drop as a file, empty when it goes. Raises what `change` raises."""
        from gatepost.agent.settings.own_drops import render

        self.content = self._change(below)
        return render(self.content) if self.content else ""


def gateway_id() -> str:
    """The host name with everything outside [A-Za-z0-9_.-] replaced; `gateway` when nothing is left."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", socket.gethostname()).strip("-.")[:64].strip("-.") or "gateway"


def state_directory(environ: Mapping[str, str]) -> tuple[Path, str]:
    """Without `gateway.state_dir`: what systemd gives, else the usual place; and who says so."""
    given = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if given:
        return Path(given), "environment variable STATE_DIRECTORY"
    return Path(GatewaySettings().state_dir), "default"


class LoadedSettings(msgspec.Struct, kw_only=True):
    """What was read. `settings` is None when there are errors; problems are in the order of files and lines."""

    settings: model.Settings | None
    problems: list[Problem]
    origins: dict[tuple[str, ...], Origin]
    files: list[Path]
    watched: list[Path]  # files and directories whose change may change the settings
    signature: Signature  # how they looked just before they were read
    state_dir: Path  # as far as it is known, also with errors
    notes: list[str] = []

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == ERROR]

    @property
    def unreadable(self) -> str:
        """What this user may not read, as a sentence; "" = all of it can be read."""
        found = (problem for problem in self.errors if problem.code == "unreadable")
        return next((f"{problem.file} {problem.message}" for problem in found), "")

    @property
    def warnings(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == WARNING]

    def effective(self) -> list[tuple[str, str, str]]:
        """(dotted key, value, origin) of every setting, defaults too; secrets as references or `***`."""
        from gatepost.agent.settings.effective import effective

        return effective(self.settings, self.origins) if self.settings else []

    @property
    def untried(self) -> int:
        """How many files, credentials and variables with secrets and certificates are named; none of them was read."""
        from gatepost.agent.settings.secret import references

        return references(self.settings) if self.settings else 0

    def check_secrets(self, environ: Mapping[str, str]) -> list[Problem]:
        """Secrets and certificates that cannot be read now, with the place that names them."""
        from gatepost.agent.settings.secret import check_secrets

        return check_secrets(self.settings, environ, self.origins) if self.settings else []


class SettingsLoader(NamedTuple):
    """Loader of one agent's settings: the same files, environment and drivers each time."""

    config: Path
    env: Mapping[str, str]
    registry: Registry
    own_drops: Path

    def load(self, edit: DropEdit | None = None) -> LoadedSettings:
        """Blocks; raises nothing but what the edit raises."""
        return load(self.config, self.env, self.registry, self.own_drops, edit)


def load(
    path: Path, env: Mapping[str, str], registry: Registry, own_drops: Path | None = None, edit: DropEdit | None = None
) -> LoadedSettings:
    """Reads the main file, `conf.d/*.yaml` beside it, the agent's own drops, and the environment.

    `edit` stands for what its file holds. Raises nothing but what the edit raises.
    """
    from msgspec import inspect

    from gatepost.agent.settings.broker_environment import add_default_broker
    from gatepost.agent.settings.environment import override
    from gatepost.agent.settings.validator import SettingsValidator

    root = inspect.type_info(model.Settings)
    report = ProblemReport()
    reader = _SettingsReader(report, edit, lambda tree: override(tree, env, root, ProblemReport()))
    tree = reader.users_files(path)
    overridden = override(tree, env, root, ProblemReport())
    state_dir, said_by = _state_dir(overridden, env)
    tree = add_default_broker(tree, env, overridden)
    own = own_drops if own_drops is not None else state_dir / DROPS
    tree = reader.own_drops(own, tree, path.parent / DROPS)
    tree = override(tree, env, root, report)
    if not reader.files and not tree.entries and all(p.severity == WARNING for p in report.problems):
        hint = "copy the sample config/gatepost.yaml to this place, or name another with --config"
        report.error(Origin(str(path), 1, 1), (), "no-settings", "there are no settings", hint)
    reader.advert_formats(path.parent / DROPS)
    checker = SettingsValidator(report, root)
    values = checker.check(tree, root, ())
    checker.origins.pop((), None)
    _check_rules(tree, values, checker, registry, reader.whole)
    _fill(values, checker.origins, state_dir, said_by)
    settings = _convert(values, report, path) if not any(p.severity == ERROR for p in report.problems) else None
    order = {str(file): index for index, file in enumerate(reader.files)}
    return LoadedSettings(
        settings=settings,
        problems=sorted(report.problems, key=lambda one: (order.get(one.file, len(order)), one.line, one.column)),
        origins=checker.origins,
        files=reader.files,
        watched=reader.watched,
        signature=reader.signature,
        state_dir=state_dir,
        notes=reader.notes,
    )


def drops_in(directory: Path) -> list[Path]:
    """`*.yaml` in name order, without hidden files; editors' backups end in `~` or another suffix."""
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except OSError:
        return []
    return [directory / name for name in names if name.endswith(SUFFIX) and not name.startswith(".")]


class _SettingsReader:
    """Merges files one after the other and remembers what was looked at."""

    def __init__(self, report: ProblemReport, edit: DropEdit | None, overridden: Callable[[MapNode], MapNode]) -> None:
        self.report = report
        self._edit = edit
        self._overridden = overridden
        self.files: list[Path] = []
        self.watched: list[Path] = []
        self.signature: Signature = {}
        self.notes: list[str] = []
        self.whole = True

    def users_files(self, path: Path) -> MapNode:
        self._watch(path, path.parent / DROPS)
        tree = MapNode({}, Origin(str(path), 1, 1))
        drops = self._drops(path.parent / DROPS)
        if _is_there(path):
            tree = self._merge(tree, path)
        elif drops:
            self.notes.append(f"{path} does not exist; only {path.parent / DROPS} is used")
        for drop in drops:
            tree = self._merge(tree, drop)
        return tree

    def advert_formats(self, drops: Path) -> None:
        """The user's own formats count from now on, as far as they hold."""
        from gatepost.agent.settings.advert_formats import FOLDER, load_formats

        folder = drops / FOLDER
        self._watch(folder)
        files = drops_in(folder)
        if not files:
            catalogue = sys.modules.get("gatepost.drivers.ble.adverts.table.catalogue")
            if catalogue is not None:  # there may have been some before
                catalogue.use_formats(())
            return
        from gatepost.drivers.ble.adverts.table.catalogue import use_formats

        self.files += files
        use_formats(load_formats(files, self.report))

    def own_drops(self, directory: Path, tree: MapNode, users: Path) -> MapNode:
        if directory.absolute() == users.absolute():
            return tree
        self._watch(directory)
        for drop in self._drops(directory, own=True):
            above, report = self._read(drop, tree)
            self._left_over(above, tree)
            entry = _section(above, "gateway").pop("state_dir", None)
            if entry is not None:
                hint = "set it in your own files or in the environment"
                message = "a drop in the state directory cannot say where the state directory is"
                self.report.error(entry.key, ("gateway", "state_dir"), "own-state-dir", message, hint)
            trust = above.entries.pop("fleet", None)
            if trust is not None:
                message = "a drop in the state directory cannot say which fleet is trusted"
                self.report.error(trust.key, ("fleet",), "own-fleet", message, "set it in your own files")
            self._without_fleet(drop, above, tree)
            tree = merge(tree, above, report)
        return tree

    def _without_fleet(self, drop: Path, above: MapNode, tree: MapNode) -> None:
        if drop.name != FLEET_DROP or not above.entries:
            return
        broker = _section(self._overridden(tree), "fleet").get("broker")
        if broker is None or is_null(broker.value):
            message = "no broker carries a fleet, and what it has set still counts"
            hint = f"delete {drop}, if it should not"
            self.report.warn(Origin(str(drop), 1, 1), ("fleet", "broker"), "fleet-left", message, hint)

    def _watch(self, *paths: Path) -> None:
        self.watched += paths
        self.signature.update(signature(paths))

    def _left_over(self, above: MapNode, tree: MapNode) -> None:
        """Takes out what only amends a broker or a device that the user has removed since."""
        for section, needed in (("brokers", "url"), ("devices", "driver")):
            below, mine = _section(tree, section), _section(above, section)
            for name, entry in list(mine.items()):
                there = name in below and not is_null(below[name].value)
                if not there and isinstance(entry.value, MapNode) and needed not in entry.value.entries:
                    del mine[name]
                    message = "your settings no longer have it, so this entry of the agent's own drop has no effect"
                    self.report.warn(entry.key, (section, name), "left-over", message, "delete it here")

    def _drops(self, directory: Path, own: bool = False) -> list[Path]:
        edited = [self._edit.path] if self._edit and self._edit.path.parent.absolute() == directory.absolute() else []
        try:
            list(directory.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return edited
        except OSError as error:
            origin = Origin(str(directory), 1, 1)
            message = f"cannot be read: {error.strerror or error}"
            if own:  # a person who checks settings may not see the agent's state
                self.report.warn(origin, (), "unreadable", message, "the agent's own drops are left out here")
            else:
                self.report.error(origin, (), "unreadable", message, MAY_NOT_READ)
                self.whole = False
            return []
        return sorted({directory / file.name for file in (*drops_in(directory), *edited)})

    def _merge(self, tree: MapNode, path: Path) -> MapNode:
        return merge(tree, *self._read(path, tree))

    def _read(self, path: Path, below: MapNode) -> tuple[MapNode, ProblemReport]:
        """The tree, and the report for how it lies over others: one that nobody reads where a part of it is missing."""
        from gatepost.agent.settings.yaml.reader import read_bytes, read_file

        if self._edit is not None and path.absolute() == self._edit.path.absolute():
            text = self._edit.text(self._overridden(below))
            if not text:
                return MapNode({}, Origin(str(path), 1, 1)), self.report
            tree, whole = read_bytes(text.encode(), str(path), self.report)
        else:
            tree, whole = read_file(path, self.report)
        self.files.append(path)
        self.whole = self.whole and whole
        return tree, self.report if whole else ProblemReport()


def _is_there(path: Path) -> bool:
    """A file that may not be looked at is there: reading it says why not."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _state_dir(tree: MapNode, env: Mapping[str, str]) -> tuple[Path, str]:
    entry = _section(tree, "gateway").get("state_dir")
    if entry and isinstance(entry.value, ScalarNode) and not is_null(entry.value) and "\0" not in entry.value.text:
        return Path(entry.value.text), ""
    return state_directory(env)


def _check_rules(tree: MapNode, values: dict[str, Any], checker: Any, registry: Registry, whole: bool) -> None:
    from gatepost.agent.settings.rules import base
    from gatepost.agent.settings.rules.api import check_api
    from gatepost.agent.settings.rules.brokers import check_brokers
    from gatepost.agent.settings.rules.devices import check_devices
    from gatepost.agent.settings.rules.fleet import check_fleet
    from gatepost.agent.settings.rules.formats import check_format
    from gatepost.agent.settings.rules.listener import check_listener

    judge = base.RuleContext(values, checker, registry, whole)
    check_brokers(judge)
    check_devices(judge, _options(tree, "devices"))
    options = _options(tree, "brokers")
    for name in judge.section("brokers"):
        check_format(judge, ("brokers", name), options.get(name))
    base.check_routes(judge)
    base.check_commands(judge)
    check_listener(judge)
    check_fleet(judge)
    check_api(judge)
    base.check_secrets_written(judge)
    base.check_paths(judge)
    base.check_socket(judge)


def _section(tree: MapNode, name: str) -> dict[str, MapEntry]:
    entry = tree.entries.get(name)
    return entry.value.entries if entry and isinstance(entry.value, MapNode) else {}


def _options(tree: MapNode, section: str) -> dict[str, MapNode]:
    """The options of each device or broker as they are written."""
    found = {}
    for name, device in _section(tree, section).items():
        options = device.value.entries.get("options") if isinstance(device.value, MapNode) else None
        if options and isinstance(options.value, MapNode):
            found[name] = options.value
    return found


def _fill(values: dict[str, Any], origins: dict[Key, Origin], state_dir: Path, said_by: str) -> None:
    gateway = values.setdefault("gateway", {})
    if "id" not in gateway:
        gateway["id"] = gateway_id()
        origins[("gateway", "id")] = HOST_NAME
    if said_by and said_by != DEFAULT.file:
        gateway["state_dir"] = str(state_dir)
        origins[("gateway", "state_dir")] = Origin(said_by)


def _convert(values: dict[str, Any], report: ProblemReport, path: Path) -> model.Settings | None:
    try:
        return msgspec.convert(values, model.Settings)
    except msgspec.ValidationError as error:  # a rule of the types that the checker does not know
        report.error(Origin(str(path), 1, 1), (), "settings-wrong", str(error), "")
        return None
