"""Figures of the house: how large, how full and how tangled it may be, and how things are named."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.project.checkout import ROOT, modules, tree_of

LONGEST_FILE = 450  # lines
FULLEST_FOLDER = 30  # files
SAME_NAME = 8  # public class names that are defined twice: a protocol and what fulfils it
ONE_WORD = 0.25  # of the public class names

# Modules that import each other, by one of them, and why that is right.
RINGS = {
    "gatepost.agent.api.websocket.broadcaster": "a connection leaves its broadcaster, which holds it",
}

# Where these still stand; they only become fewer.
DOCSTRINGS: tuple[str, ...] = ()
BARE_CONSTANTS = ("agent/api",)
LONG_FILES: tuple[str, ...] = ()

MODULES = dict(modules())


def trees() -> dict[str, ast.Module]:
    return {name: tree_of(path) for name, path in MODULES.items()}


def place(name: str) -> str:
    return MODULES[name].relative_to(ROOT).as_posix()


def public_classes() -> Iterator[tuple[str, str]]:
    """Name, module."""
    for module, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name, module


def test_no_file_is_too_long() -> None:
    sizes = {place(name): len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert [(path, size) for path, size in sizes.items() if size > LONGEST_FILE and path not in LONG_FILES] == []


def test_no_folder_is_too_full() -> None:
    files = Counter(
        path.parent.relative_to(ROOT).as_posix()
        for package in ("agent", "drivers")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )
    assert [
        (folder, count) for folder, count in files.items() if count > FULLEST_FOLDER and folder != "agent/store/sql"
    ] == []


def test_a_name_is_defined_once() -> None:
    places = defaultdict(list)
    for name, module in public_classes():
        places[name].append(module)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert len(twice) <= SAME_NAME, twice


def test_a_module_binds_a_name_once() -> None:
    """A constant that is set again further down would change what stands above it."""
    twice = []
    for module, tree in trees().items():
        names = Counter(name for node in tree.body for name in bound(node) if name != "_")
        twice += [f"{place(module)}: {name}" for name, count in names.items() if count > 1]
    assert twice == []


def bound(node: ast.stmt) -> Iterator[str]:
    """What a statement of a module defines; further overloads and registered functions are left out."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.decorator_list:
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(each, ast.Name):
                    yield each.id


def test_names_of_classes_have_two_words() -> None:
    names = {name for name, _ in public_classes()}
    short = sorted(name for name in names if not re.search(r"[a-z0-9][A-Z]", name))
    assert len(short) / len(names) <= ONE_WORD, short


def test_docstrings_name_the_thing() -> None:
    riddles = [
        f"{place(name)}: {first}"
        for name, tree in trees().items()
        if re.match(r"(What|Whether|Where|Who|How)\b", first := (ast.get_docstring(tree) or "").partition("\n")[0])
        and not place(name).startswith(DOCSTRINGS)
    ]
    assert riddles == [], "say what the thing is, not a question: `Durable log of readings: ...`"


def test_every_module_has_a_docstring() -> None:
    assert [place(name) for name, tree in trees().items() if tree.body and not ast.get_docstring(tree)] == []


def test_constants_say_of_what() -> None:
    bare = [
        f"{place(name)}: {target.id}"
        for name, tree in trees().items()
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id in ("MOST", "FIRST", "PATIENCE")
        if not place(name).startswith(BARE_CONSTANTS)
    ]
    assert bare == []


def test_imports_make_no_rings() -> None:
    """At module level, those for type checkers only included."""
    graph = {name: set(imported(tree.body)) - {name} for name, tree in trees().items()}
    found = rings(graph)
    assert len(found) <= len(RINGS), found


def imported(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in MODULES:
                    yield full
                elif node.module in MODULES:
                    yield str(node.module)
        elif isinstance(node, ast.If | ast.Try):
            yield from imported(node.body)
            yield from imported(node.orelse)


def rings(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of modules each of which reaches all others of its set."""
    reach = {name: reachable(name, graph) for name in graph}
    out: list[set[str]] = []
    for name in graph:
        ring = {other for other in reach[name] if name in reach[other]}
        if len(ring) > 1 and ring not in out:
            out.append(ring)
    return out


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        todo += graph[todo.pop()] - seen
        seen.update(todo)
    return seen
