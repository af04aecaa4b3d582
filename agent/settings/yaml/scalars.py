"""Scalar checker: one value against its type, with its unit, range and pattern, and what YAML makes of it."""

from __future__ import annotations

import math
import re
from typing import Any

from msgspec import inspect as types

from gatepost.agent.settings.problem import Path, ProblemReport, closest, listed, quoted
from gatepost.agent.settings.units import UNITS, WrongUnit
from gatepost.agent.settings.yaml.nodes import HALF, ScalarNode

WRONG: Any = object()

_TRUE = frozenset(("yes", "on", "y", "1", "true", "enable", "enabled"))
_FALSE = frozenset(("no", "off", "n", "0", "false", "disable", "disabled"))


class ScalarChecker:
    """Checks scalars; what is wrong goes to the report, never with the value of a secret in it."""

    KINDS = (types.StrType, types.IntType, types.FloatType, types.BoolType, types.LiteralType, types.EnumType)

    def __init__(self, report: ProblemReport) -> None:
        self._report = report

    def check(self, node: ScalarNode, kind: types.Type, path: Path, extra: dict[str, Any], secret: bool) -> Any:
        if isinstance(kind, types.StrType):
            return self._text(node, kind, path, secret)
        if isinstance(kind, types.BoolType):
            return self._bool(node, path)
        if isinstance(kind, (types.LiteralType, types.EnumType)):
            values = kind.values if isinstance(kind, types.LiteralType) else [item.value for item in kind.cls]
            return self._choice(node, tuple(values), path, extra.get("spellings"))
        assert isinstance(kind, (types.IntType, types.FloatType))
        return self._number(node, kind, path, extra)

    @staticmethod
    def shape(kind: types.Type, extra: dict[str, Any]) -> str:
        if "unit" in extra:
            return f"a {extra['unit']}"
        if isinstance(kind, types.LiteralType):
            return listed(kind.values)
        names: dict[type, str] = {
            types.StrType: "text",
            types.IntType: "a whole number",
            types.FloatType: "a number",
            types.BoolType: "true or false",
        }
        return names.get(type(kind), "a value")

    def plain(self, node: ScalarNode, path: Path) -> Any:
        """A value whose type nobody declared."""
        if node.trap in ("octal", "grouped"):
            return self._ambiguous(node, path)
        self._warn_trap(node, path)
        value = node.value
        if isinstance(value, float) and not math.isfinite(value):
            return self._wrong(node, path, "out-of-range", f"{node.text} is too large", "")
        return value

    def _text(self, node: ScalarNode, kind: types.StrType, path: Path, secret: bool) -> Any:
        text, shown = node.text, "the value" if secret else quoted(node.text)
        value = node.value
        if not node.loose:
            if isinstance(value, bool):
                hint = f'if the word {text} is meant, put it in quotes: "{text}"'
                return self._wrong(node, path, "wrong-type", f"expected text, found {text}", hint)
            if isinstance(value, float) or (isinstance(value, int) and str(value) != text):
                hint = "put it in quotes" if secret else f'put it in quotes: "{text}"'
                return self._wrong(node, path, "wrong-type", "expected text, found a number", hint)
            self._warn_trap(node, path, secret)
        if "\0" in text:
            return self._wrong(node, path, "bad-value", "text with a NUL character", "remove it")
        if HALF.search(text):  # of an environment variable
            return self._wrong(node, path, "bad-value", "text that is not UTF-8", "write it in UTF-8")
        if kind.pattern and not matches(kind.pattern, text):
            return self._wrong(node, path, "bad-pattern", f"{shown} has not the right form", _form(kind.pattern))
        if kind.min_length is not None and len(text) < kind.min_length:
            return self._wrong(node, path, "out-of-range", f"shorter than {kind.min_length} characters", "")
        if kind.max_length is not None and len(text) > kind.max_length:
            return self._wrong(node, path, "out-of-range", f"longer than {kind.max_length} characters", "")
        return text

    def _bool(self, node: ScalarNode, path: Path) -> Any:
        value = node.value
        if isinstance(value, bool):
            return value
        word = node.text.lower()
        if node.loose and word in ("true", "false"):
            return word == "true"
        meant = "true" if word in _TRUE else "false" if word in _FALSE else ""
        hint = f"write {meant}" if meant else "write true or false"
        hint += " without quotes" if not node.plain and word in ("true", "false") else ""
        return self._wrong(node, path, "not-a-bool", f"expected true or false, found {quoted(node.text)}", hint)

    def _choice(self, node: ScalarNode, values: tuple[Any, ...], path: Path, spellings: dict[str, str] | None) -> Any:
        """`spellings`: what else may be written for a value; case does not count then."""
        for value in values:
            if str(value) == node.text:
                if isinstance(value, int) and not node.plain:
                    message = f"expected a number, found {quoted(node.text)}"
                    return self._wrong(node, path, "wrong-type", message, "remove the quotes")
                return value
        others = spellings or {}
        folded = {str(value).casefold(): value for value in values} | others if spellings is not None else {}
        if node.text.casefold() in folded:
            return folded[node.text.casefold()]
        near = closest(node.text, (*map(str, values), *others))
        letters = [value for value in values if isinstance(value, str) and len(value) == 1]
        near = near or next((letter for letter in letters if node.text[:1].upper() == letter), "")
        if isinstance(node.value, bool) or node.trap == "word":
            near = "none" if "none" in values and node.text.lower() in _FALSE else near
        hint = f"did you mean {near}?" if near else ""
        message = f"expected {listed((*others, *values))}, found {quoted(node.text)}"
        return self._wrong(node, path, "bad-choice", message, hint)

    def _number(
        self, node: ScalarNode, kind: types.IntType | types.FloatType, path: Path, extra: dict[str, Any]
    ) -> Any:
        unit = extra.get("unit")
        value = node.value
        bare = unit is None or (extra.get("bare") and isinstance(value, (int, float)))
        if not bare:
            try:
                value = UNITS[str(unit)].parse(node.text)
            except WrongUnit as error:
                return self._wrong(node, path, f"bad-{unit}", str(error), error.hint)
        elif node.trap in ("octal", "grouped", "sexagesimal"):
            return self._ambiguous(node, path)
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            return self._no_number(node, kind, path)
        elif isinstance(kind, types.IntType) and isinstance(value, float):
            message = f"expected a whole number, found {node.text}"
            return self._wrong(node, path, "wrong-type", message, f"write {int(value)}" if value.is_integer() else "")
        assert isinstance(value, (int, float))
        if not math.isfinite(value):
            return self._wrong(node, path, "out-of-range", f"{quoted(node.text)} is too large", "")
        outside = _outside(value, kind, UNITS[str(unit)].show if unit else str)
        if outside:
            return self._wrong(node, path, "out-of-range", f"{quoted(node.text)} is out of range", outside)
        return value

    def _no_number(self, node: ScalarNode, kind: types.IntType | types.FloatType, path: Path) -> Any:
        hint = ""
        if not node.plain and isinstance(ScalarNode(node.text, node.origin).value, (int, float)):
            hint = "remove the quotes"
        elif re.fullmatch(r"[-+]?\.(inf|nan)", node.text, re.IGNORECASE):
            hint = "only finite numbers"
        elif match := re.fullmatch(r"([0-9]+),([0-9]+)", node.text):
            hint = f"write {match[1]}.{match[2]}"
        message = f"expected {self.shape(kind, {})}, found {quoted(node.text)}"
        return self._wrong(node, path, "wrong-type", message, hint)

    def _ambiguous(self, node: ScalarNode, path: Path) -> Any:
        text = node.text
        if node.trap == "octal":
            digits = text.lstrip("+-0") or "0"
            octal = f" and {int(text, 8)} to others" if not re.search("[89]", text) and len(text) < 40 else ""
            message = f"{text} is {digits} to some YAML readers{octal}"
            hint = f'write {digits}, or "{text}" if it is a text'
        elif node.trap == "sexagesimal":
            message = f"{text} is a number in base 60 to some YAML readers"
            hint = f'write the plain number, or "{text}" if it is a text'
        else:
            message = f"{text} is a number to some YAML readers and a text to others"
            hint = f'write {text.replace("_", "")}, or "{text}" if it is a text'
        return self._wrong(node, path, "ambiguous-number", message, hint)

    def _warn_trap(self, node: ScalarNode, path: Path, secret: bool = False) -> None:
        if not node.trap:
            return
        shown = "the value" if secret else node.text
        hint = "put it in quotes" if secret else f'here it is a text; put it in quotes: "{node.text}"'
        if node.trap == "word":
            message = f"{shown} is true or false to many YAML readers"
            self._report.warn(node.origin, path, "ambiguous-word", message, hint)
        else:
            message = f"{shown} is a number to many YAML readers"
            self._report.warn(node.origin, path, "ambiguous-number", message, hint)

    def _wrong(self, node: ScalarNode, path: Path, code: str, message: str, hint: str) -> Any:
        self._report.error(node.origin, path, code, message, hint)
        return WRONG


def matches(pattern: str, text: str) -> bool:
    """As JSON Schema means it: a closing $ is the end of the text, not a newline before it."""
    return bool(re.search(pattern, text)) and not (pattern.endswith("$") and text.endswith("\n"))


def _outside(value: float, kind: types.IntType | types.FloatType, show: Any) -> str:
    """The range in words when the value is outside, else ''."""
    above = (kind.ge is None or value >= kind.ge) and (kind.gt is None or value > kind.gt)
    below = (kind.le is None or value <= kind.le) and (kind.lt is None or value < kind.lt)
    if above and below:
        if kind.multiple_of and value % kind.multiple_of:
            return f"a multiple of {show(kind.multiple_of)}"
        return ""
    limits = (("at least", kind.ge), ("more than", kind.gt), ("at most", kind.le), ("less than", kind.lt))
    return " and ".join(f"{words} {show(limit)}" for words, limit in limits if limit is not None)


_FORMS = {
    r"^[A-Za-z0-9_.-]{1,64}$": "1 to 64 letters, digits, _ . -",
}


def _form(pattern: str) -> str:
    if pattern in _FORMS:
        return _FORMS[pattern]
    if pattern.startswith("^([0-9A-Fa-f]{2}(:"):
        return 'six octets in quotes: "AA:BB:CC:DD:EE:FF"'
    return f"it must match {pattern}"
