"""Problems of the settings and their places, as data, so that command line, log and API say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "null": "nothing",
    "array": "a list",
    "object": "a section of keys",
    "datetime": "a time such as 2026-11-20T10:30:00Z",
}
_TYPES = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
_EXPECTED = re.compile(r"(Expected `[^`]*`)((?: [^,`]*)?)(?:, got (`[a-z]+`))?")


def in_words(text: str) -> str:
    """Expected `bool`, got `str` -> Expected true or false, found text. Other texts stay as they are."""

    def told(match: re.Match[str]) -> str:
        found = f", found {_names(match[3])}" if match[3] else ""
        return _names(match[1]) + match[2].replace(">=", "of at least").replace("<=", "of at most") + found

    return _EXPECTED.sub(told, text, count=1)


def _names(text: str) -> str:
    return _TYPES.sub(lambda match: " or ".join(_WORDS.get(name, name) for name in match[1].split(" | ")), text)


ERROR: Literal["error"] = "error"
WARNING: Literal["warning"] = "warning"

Path = tuple[str, ...]


class Origin(NamedTuple):
    """Place of a value: a file with line and column (1-based), or, with line 0, whatever else gave it."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


DEFAULT = Origin("default")
QUOTED = 60  # letters of a value in a message


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake. `code` is stable; `message` never holds a secret; an `error` keeps the settings from being used."""

    severity: Literal["error", "warning"]
    file: str
    line: int
    column: int
    key: str
    code: str
    message: str
    hint: str = ""

    @property
    def origin(self) -> Origin:
        return Origin(self.file, self.line, self.column)

    def __str__(self) -> str:
        """`file:line:column: key: what; hint`, a warning marked as such."""
        return self._said("warning" if self.severity == WARNING else "")

    def as_log(self) -> str:
        """The same for a log, whose lines say the level themselves."""
        return self._said("")

    def _said(self, mark: str) -> str:
        parts = [part for part in (str(self.origin), self.key, mark, self.message) if part]
        return ": ".join(parts) + (f"; {self.hint}" if self.hint else "")


class ProblemReport:
    """Collects problems, each once, and no more than a person would ever read."""

    LIMIT = 1000

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._seen: set[Problem] = set()

    @property
    def full(self) -> bool:
        return len(self.problems) >= self.LIMIT

    def error(self, origin: Origin, path: Path, code: str, message: str, hint: str = "") -> None:
        self._add(ERROR, origin, path, code, message, hint)

    def warn(self, origin: Origin, path: Path, code: str, message: str, hint: str = "") -> None:
        self._add(WARNING, origin, path, code, message, hint)

    def _add(
        self, severity: Literal["error", "warning"], origin: Origin, path: Path, code: str, message: str, hint: str
    ) -> None:
        problem = Problem(
            severity=severity,
            file=origin.file,
            line=origin.line,
            column=origin.column,
            key=dotted(path),
            code=code,
            message=message,
            hint=hint,
        )
        if problem not in self._seen and not self.full:
            self._seen.add(problem)
            self.problems.append(problem)


def told_problems(problems: Sequence[Mapping[str, str]], most: int = 3) -> str:
    """In one line, as `brokers.a: what; what`; a problem of no key in particular has no place."""
    return "; ".join(f"{one['where']}: {one['message']}".removeprefix(": ") for one in problems[:most])


def dotted(path: Path) -> str:
    """("brokers", "a", "routes", "0") -> "brokers.a.routes.0"."""
    return ".".join(path)


def closest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or ''; case, hyphens and underscores do not count."""
    import difflib

    folded = {fold(name): name for name in known}
    if fold(word) in folded:
        return folded[fold(word)]
    matches = difflib.get_close_matches(fold(word), folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else ""


def suggestion(word: str, known: Iterable[str], otherwise: str) -> str:
    """Hint that asks for the one that was probably meant; `otherwise` where nothing is like it."""
    near = closest(word, known)
    return f"did you mean {near}?" if near else otherwise


def meant(word: str, known: Iterable[str]) -> list[str]:
    """All that were perhaps meant: those that the word is the beginning or a part of, else the closest one."""
    names = list(known)
    part = fold(word)
    if len(part) >= 3 and part not in map(fold, names):
        for found in ([name for name in names if fold(name).startswith(part)], [n for n in names if part in fold(n)]):
            if found:
                return found[:4]
    near = closest(word, names)
    return [near] if near else []


def perhaps(word: str, known: Iterable[str]) -> str:
    """Hint that asks for what was perhaps meant; '' where nothing is like it."""
    near = meant(word, known)
    return f"did you mean {listed(near)}?" if near else ""


def fold(word: str) -> str:
    """`Commit-Interval`, `commitInterval`, `COMMIT_INTERVAL` -> `commitinterval`."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def quoted(text: str) -> str:
    """A value in a message: short, printable."""
    return repr(text if len(text) <= QUOTED else text[: QUOTED - 3] + "...")


def listed(words: Iterable[object]) -> str:
    """`a, b or c`."""
    items = [str(word) for word in words]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} or {items[-1]}" if items else "nothing"
