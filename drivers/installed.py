"""Entry points and versions of installed packages, read from their *.dist-info folders.

importlib.metadata does the same and more; it costs the agent 2.3 MiB (zipfile, email, csv, ...), so it is used only
where a place on the path is no folder. The first distribution of a name on the path counts, as there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_FOLDERS = (".dist-info", ".egg-info")


def entry_points(group: str, path: Sequence[str] | None = None) -> dict[str, Callable[[], Any]]:
    """The entry points of a group by name; calling one imports what it stands for, and raises what that raises."""
    places = _places(path)
    if places is None:
        from importlib.metadata import entry_points as every

        return {point.name: point.load for point in every(group=group)}
    found: dict[str, Callable[[], Any]] = {}
    for folder in _distributions(places):
        for name, target in _declared(folder / "entry_points.txt", group):
            found.setdefault(name, EntryPoint(target))
    return found


def installed_at() -> tuple[int, ...]:
    """Another value once something was installed or removed: when the folders of the path were last changed."""
    times = []
    for place in sys.path:
        try:
            times.append(Path(place or ".").stat().st_mtime_ns)
        except OSError:
            times.append(0)
    return tuple(times)


def version(distribution: str, path: Sequence[str] | None = None) -> str:
    """The installed version; empty when it is not installed."""
    wanted = _normal(distribution)
    for folder in _distributions(_places(path) or []):
        if _name(folder) == wanted:
            release = folder.name.partition("-")[2]
            return release.removesuffix(".dist-info") if folder.name.endswith(".dist-info") else _written(folder)
    return ""


def _places(path: Sequence[str] | None) -> list[Path] | None:
    """The folders of the path; None when there is something else on it, such as a zip file."""
    places = [Path(entry or ".") for entry in (sys.path if path is None else path)]
    if any(place.is_file() for place in places):
        return None
    return [place for place in places if place.is_dir()]


def _distributions(places: list[Path]) -> Iterator[Path]:
    seen = set()
    for place in places:
        try:
            folders = sorted(each for each in place.iterdir() if each.name.endswith(_FOLDERS) and each.is_dir())
        except OSError:  # what cannot be read has nothing to declare
            continue
        for folder in folders:
            name = _name(folder)
            if name not in seen:
                seen.add(name)
                yield folder


def _declared(file: Path, group: str) -> list[tuple[str, str]]:
    try:
        text = file.read_text("utf-8")
        if group not in text:  # nearly all of them
            return []
    except (OSError, ValueError):
        return []
    declared, section = [], ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and line[:1] not in ("", "#", ";"):
            name, equals, target = line.partition("=")
            if equals:
                declared.append((name.strip(), target.strip()))
    return declared


class EntryPoint:
    """An entry point, `module:attribute [extras]`; calling it imports what it stands for."""

    def __init__(self, target: str) -> None:
        module, _, attribute = target.partition("[")[0].strip().partition(":")
        self._module, self._attribute = module.strip(), attribute.strip()

    def __call__(self) -> Any:
        found: Any = import_module(self._module)
        for part in filter(None, self._attribute.split(".")):
            found = getattr(found, part)
        return found

    def literal(self, name: str) -> str | None:
        """A text that its class sets in one plain line, read in the source without importing it."""
        try:
            spec = find_spec(self._module)
            source = Path(spec.origin).read_text("utf-8") if spec is not None and spec.origin else ""
        except (ImportError, OSError, ValueError):
            return None
        _, _, rest = source.partition(f"\nclass {self._attribute}(")
        body = re.split(r"^\S", rest.partition("\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
        found = re.search(rf'^    {name} = "([^"\\]+)"$', body, re.MULTILINE)
        return found[1] if found else None


def _written(folder: Path) -> str:
    try:
        text = (folder / "PKG-INFO").read_text("utf-8")
    except (OSError, ValueError):
        return ""
    found = re.search(r"^Version: (.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def _name(folder: Path) -> str:
    return _normal(folder.name.removesuffix(".dist-info").removesuffix(".egg-info").partition("-")[0])


def _normal(name: str) -> str:
    """As PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()
