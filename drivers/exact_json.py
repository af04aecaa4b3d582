"""JSON reader: orjson, but a number that it would round or refuse keeps its digits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

LEAST, MOST = -(1 << 63), (1 << 64) - 1  # of integers
LARGE = float(1 << 63)  # from here on orjson may have read an integer beyond them as a float
_LONGEST = 20  # characters of an integer that may fit
_HUGE = float("inf")


class OversizeNumber:
    """A JSON number that neither 64 bits nor a double holds, as it was written."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def load_json(data: bytes | str) -> Any:
    """What JSON says; a number that neither 64 bits nor a double holds is an OversizeNumber. Raises ValueError."""
    try:
        found = orjson.loads(data)
    except ValueError:
        return _exact(data)
    return _exact(data) if _is_large(found) else found


def _is_large(found: Any) -> bool:
    """Whether it holds a number that orjson may have rounded."""
    rest: list[Iterable[Any]] = [found.values() if found.__class__ is dict else (found,)]
    for values in rest:  # which grows meanwhile
        for value in values:
            kind = value.__class__
            if kind is float:
                if not -LARGE < value < LARGE:
                    return True
            elif kind is dict:
                rest.append(value.values())
            elif kind is list:
                rest.append(value)
    return False


def _exact(data: bytes | str) -> Any:
    import json  # slower, and exact: for what is hardly ever sent

    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        found = json.loads(text, parse_int=_integer, parse_float=_decimal, parse_constant=_no_constant)
        orjson.dumps(found, default=repr)  # what it does not write is refused here: lone surrogates, deep nesting
    except (TypeError, RecursionError):
        raise ValueError("nested too deeply, or no Unicode") from None
    return found


def _integer(text: str) -> int | OversizeNumber:
    found = int(text) if len(text) <= _LONGEST else MOST + 1
    return found if LEAST <= found <= MOST else OversizeNumber(text)


def _decimal(text: str) -> float | OversizeNumber:
    found = float(text)
    return found if -_HUGE < found < _HUGE else OversizeNumber(text)


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
