"""YAML reader: one file to a tree with positions, and everything that is wrong with it as YAML. Never raises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatepost.agent.core.named_files import read_regular
from gatepost.agent.settings.problem import Origin, ProblemReport, quoted
from gatepost.agent.settings.yaml.builder import YamlBuilder
from gatepost.agent.settings.yaml.nodes import MapNode, ScalarNode

if TYPE_CHECKING:
    from yaml import MarkedYAMLError

MAX_BYTES = 500_000
MAX_RETRIES = 20

_SPEECH = (
    ("mapping values are not allowed here", "a second ': ' on the line, or a wrong indentation",
     "put the value in quotes, or check the spaces before the key"),
    ("could not find expected ':'", "a key without ':'", "write `key: value`, with a space after the colon"),
    ("expected <block end>", "the indentation does not fit the lines above",
     "keys of one section start in the same column"),
    ("expected ',' or '}'", "a { is not closed", "close it with }, separate its parts with commas"),
    ("expected ',' or ']'", "a [ is not closed", "close it with ], separate its parts with commas"),
    ("unexpected end of stream", "a quote is not closed", "close it with the same quote"),
    ("unknown escape character", "a backslash in double quotes that YAML does not know",
     "use single quotes, or write the backslash twice"),
    ("that cannot start any token", "a character that cannot start a value", "put the value in quotes"),
    ("version 1.* is required", "a YAML version other than 1.x", "remove the %YAML line"),
)  # fmt: skip
_LOCAL = ("mapping values are not allowed here", "that cannot start any token", "unknown escape character")


def read_file(path: Path, report: ProblemReport) -> tuple[MapNode, bool]:
    """The tree of the file and whether all of it could be read."""
    top = Origin(str(path), 1, 1)
    try:
        if not path.is_file():
            report.error(top, (), "unreadable", "is not a file", "settings are files that end in .yaml")
            return MapNode({}, top), False
        data = read_regular(path, MAX_BYTES + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        report.error(top, (), "unreadable", message, "use sudo, or check its permissions")
        return MapNode({}, top), False
    return read_bytes(data, str(path), report)


def read_bytes(data: bytes, name: str, report: ProblemReport) -> tuple[MapNode, bool]:
    """As `read_file`, of what the file holds."""
    top = Origin(name, 1, 1)
    if len(data) > MAX_BYTES:
        report.error(top, (), "too-big", f"is larger than {MAX_BYTES} bytes", "settings are a few kilobytes")
        return MapNode({}, top), False
    before = len(report.problems)
    text = _decode(data, name, report)
    whole = len(report.problems) == before
    for _ in range(MAX_RETRIES):
        builder = YamlBuilder(name, report)
        wrong = _parse(text, builder)
        if wrong is None:
            root = builder.root
            break
        whole = False
        line, local = _explain(wrong, text, name, report)
        root = builder.partial()
        if not local:
            break
        text = _without(text, line)
    if isinstance(root, MapNode):
        return root, whole and builder.whole
    if root is not None and not (isinstance(root, ScalarNode) and root.null):
        message = "a settings file holds `section: ...` keys, not " + (
            "one value" if isinstance(root, ScalarNode) else "a list"
        )
        report.error(root.origin, (), "wrong-type", message, "start with a section such as `devices:`")
        whole = False
    return MapNode({}, top), whole


def _parse(text: str, builder: YamlBuilder) -> MarkedYAMLError | None:
    import yaml

    try:
        events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
        for event in events:
            if not builder.take(event):
                break
    except yaml.MarkedYAMLError as error:
        return error
    except Exception as error:  # such as an escape beyond Unicode: nothing in a file may stop the agent
        import yaml.error

        mark = yaml.error.Mark(builder.name, 0, max(builder.last.line - 1, 0), max(builder.last.column - 1, 0), None, 0)
        return yaml.MarkedYAMLError(problem=str(error).splitlines()[0][:80], problem_mark=mark)
    return None


def _decode(data: bytes, name: str, report: ProblemReport) -> str:
    import codecs

    from yaml.reader import Reader

    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        report.error(Origin(name, 1, 1), (), "not-utf-8", "is saved as UTF-16", "save it as UTF-8")
        return ""
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = data.decode("utf-8", "replace")
        origin = _origin(name, data[: error.start].decode("utf-8", "replace"))
        report.error(origin, (), "not-utf-8", f"octet 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")
    odd = Reader.NON_PRINTABLE.search(text)
    if odd:
        origin = _origin(name, text[: odd.start()])
        message = f"a control character, U+{ord(odd[0]):04X}"
        report.error(origin, (), "control-character", message, "delete it")
        text = Reader.NON_PRINTABLE.sub("_", text)
    return text


def _origin(name: str, before: str) -> Origin:
    lines = _lines(before)
    return Origin(name, len(lines), len(lines[-1]) + 1)


def _lines(text: str) -> list[str]:
    """Lines as YAML counts them."""
    for mark in ("\r\n", "\r", "\x85", "\u2028", "\u2029"):
        text = text.replace(mark, "\n")
    return text.split("\n")


def _without(text: str, line: int) -> str:
    lines = _lines(text)
    lines[line] = ""
    return "\n".join(lines)


def _explain(error: MarkedYAMLError, text: str, name: str, report: ProblemReport) -> tuple[int, bool]:
    """Reports it; gives the line (from 0) and whether the rest of the file can be read without that line."""
    lines = _lines(text)
    mark = error.problem_mark or error.context_mark
    line = min(mark.line, len(lines) - 1) if mark else 0
    column = min(mark.column, len(lines[line])) if mark else 0
    indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    if "\t" in indent or lines[line][column : column + 1] == "\t":
        at = indent.find("\t") if "\t" in indent else column
        origin = Origin(name, line + 1, at + 1)
        report.error(origin, (), "tab", "a tab in the indentation", "indent with spaces")
        return line, True
    problem = error.problem or "cannot be read as YAML"
    opened = error.context_mark
    speech = [(message, hint) for sign, message, hint in _SPEECH if sign in problem]
    message, hint = speech[0] if speech else (f"cannot be read as YAML: {problem}", "compare it with the sample")
    if "cannot start any token" in problem:
        message = f"{quoted(lines[line][column : column + 1])} cannot start a value"
    origin = Origin(name, line + 1, column + 1)
    if opened and "not closed" in message and opened.line < len(lines):
        origin = Origin(name, opened.line + 1, opened.column + 1)
    elif opened and "indentation" in message and opened.line != line:
        message += f" (the section starts at line {opened.line + 1})"
    report.error(origin, (), "yaml", message, hint)
    return line, any(sign in problem for sign in _LOCAL) and bool(lines[line].strip())
