"""Durations, sizes and rates as people write them, to seconds, bytes and events per second, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

DURATIONS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
SIZES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
LONGEST = 40  # characters
RATES = {"s": 1.0, "m": 60.0, "h": 3600.0}

DURATION_PATTERN = r"^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$"
SIZE_PATTERN = r"^(0|[0-9]+(\.[0-9]+)?([kK]?B|[MGT]B|[KMGT]iB))$"
RATE_PATTERN = r"^(0|[0-9]+(\.[0-9]+)?/(s|m|h))$"

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_WORDS = {
    "duration": {
        "millisecond": "ms", "msec": "ms", "second": "s", "sec": "s", "minute": "m", "min": "m",
        "hour": "h", "hr": "h", "day": "d",
    },
    "size": {"byte": "B", "k": "kB", "m": "MB", "g": "GB", "t": "TB", "ki": "KiB", "mi": "MiB", "gi": "GiB"},
    "rate": {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h"},
}  # fmt: skip
_EXAMPLES = {"duration": "500ms, 30s, 5m, 2h, 7d", "size": "512KiB, 64MB, 2GB", "rate": "20/s, 5/m"}


class WrongUnit(ValueError):
    """Not a spelling of the unit; `hint` says how to write it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class QuantityKind(NamedTuple):
    """One kind of quantity: how to read it, how to show it, what its spelling looks like to an editor."""

    parse: Callable[[str], float]
    show: Callable[[float], str]
    pattern: str
    examples: str


def parse_duration(text: str) -> float:
    """`500ms`, `30s`, `1h30m`, `0` -> seconds; raises WrongUnit."""
    if len(text) <= LONGEST and re.fullmatch(DURATION_PATTERN, text):
        total = sum(float(number) * DURATIONS[unit] for number, unit in _PART.findall(text))
        if math.isfinite(total):
            return round(total, 6)
    raise _wrong("duration", text, "s")


def parse_size(text: str) -> int:
    """`64MB`, `2GB`, `512KiB`, `0` -> bytes; raises WrongUnit."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)", text)
    if match and re.fullmatch(SIZE_PATTERN, text) and len(text) < 30:
        unit = "kB" if match[2] == "KB" else match[2]
        return round(float(match[1]) * SIZES[unit or "B"])
    raise _wrong("size", text, "B")


def parse_rate(text: str) -> float:
    """`20/s`, `5/m`, `0` -> events per second; raises WrongUnit."""
    if re.fullmatch(RATE_PATTERN, text):
        number, _, unit = text.partition("/")
        rate = float(number) / RATES[unit or "s"]
        if math.isfinite(rate):
            return rate
    raise _wrong("rate", text, "/s")


def show_duration(seconds: float) -> str:
    """Seconds -> the spelling with the largest units that gives them exactly (to the microsecond)."""
    if seconds == 0:
        return "0s"
    if 1 <= seconds < 60:
        return f"{_number(round(seconds, 6))}s"
    left = round(seconds * 1_000_000)
    parts = []
    for unit, micros in (("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000)):
        count, left = divmod(left, micros)
        if count:
            parts.append(f"{count}{unit}")
    if left:
        parts.append(f"{_number(left / 1000)}ms")
    return "".join(parts)


def show_size(count: float) -> str:
    """Bytes -> the spelling with the largest unit that gives them exactly, whole if there is one."""
    for decimals in (1, 10):
        for unit in ("TB", "TiB", "GB", "GiB", "MB", "MiB", "kB", "KiB"):
            if count >= SIZES[unit] and (count * decimals) % SIZES[unit] == 0:
                return f"{_number(count / SIZES[unit])}{unit}"
    return f"{int(count)}B"


def show_rate(rate: float) -> str:
    """Events per second -> a spelling; a rate that is no round number per second is shown per minute or hour."""
    for unit, seconds in RATES.items():
        number = rate * seconds
        if abs(number - round(number, 3)) < 1e-9:
            return f"{_number(round(number, 3))}/{unit}"
    return f"{_number(rate)}/s"


UNITS = {
    "duration": QuantityKind(parse_duration, show_duration, DURATION_PATTERN, _EXAMPLES["duration"]),
    "size": QuantityKind(parse_size, show_size, SIZE_PATTERN, _EXAMPLES["size"]),
    "rate": QuantityKind(parse_rate, show_rate, RATE_PATTERN, _EXAMPLES["rate"]),
}


def _number(value: float) -> str:
    """No exponent, so that what is shown can be read again."""
    text = f"{value:.9f}".rstrip("0").rstrip(".")
    return text or "0"


def _wrong(kind: str, text: str, usual: str) -> WrongUnit:
    if len(text) > LONGEST:  # in which patterns would look for ever, or keep hundreds of megabytes
        return WrongUnit(f"{_clip(text)} is not a {kind}", f"write it like {_EXAMPLES[kind]}")
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return WrongUnit(f"{text} has no unit", f"write {text}{usual} if that is meant (units: {_EXAMPLES[kind]})")
    if kind != "rate" and re.fullmatch(r"[0-9]+(:[0-9]+)+", text):
        more = ", 1h30m" if kind == "duration" else ""
        return WrongUnit(f"{text} is not a {kind}", f"write it with units: {_EXAMPLES[kind]}{more}")
    if text.startswith("-"):
        return WrongUnit(f"a {kind} cannot be negative", f"write it like {_EXAMPLES[kind]}")
    spelling = _respell(kind, text)
    return WrongUnit(f"{_clip(text)} is not a {kind}", f"write {spelling or 'it like ' + _EXAMPLES[kind]}")


def _respell(kind: str, text: str) -> str:
    """The right spelling of what was probably meant, or ''."""
    match = re.fullmatch(r"\s*([0-9]+(?:[.,][0-9]+)?)\s*(/|per)?\s*([A-Za-z]+?)\s*", text)
    if not match or bool(match[2]) != (kind == "rate"):
        return ""
    number, word = match[1].replace(",", "."), match[3]
    table: dict[str, str] = {unit.lower(): unit for unit in (DURATIONS if kind == "duration" else SIZES)}
    if kind == "rate":
        table = {unit: unit for unit in RATES}
    lowered = word.lower()
    words = _WORDS[kind]
    unit = table.get(lowered) or words.get(lowered) or words.get(lowered.rstrip("s")) or table.get(lowered.rstrip("s"))
    return f"{number}{'/' if kind == 'rate' else ''}{unit}" if unit else ""


def _clip(text: str) -> str:
    return repr(text if len(text) <= LONGEST else text[: LONGEST - 3] + "...")
