"""Laboratory results of analysers: the names of analytes, and one result as a reading of the metric `laboratory`."""

from __future__ import annotations

import re
from typing import Any

from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, UNREAL, Reading

METRIC = "laboratory"
MAX_TEXT = 64  # characters of a result that is a word
CONTROL = "quality-control"
_NOTHING = re.compile(r"[-*. ]*")


def slug(*texts: str) -> str:
    """The first of these texts that has letters or digits as the name of a value: lower case letters, digits and
    underscores, beginning with a letter."""
    found = next(filter(None, map(name_part, texts)), "")[:60]
    return found if found[:1].isalpha() else f"code_{found or 'unnamed'}"


def name_part(text: str) -> str:
    """A text as a part of a name; empty where it has neither letters nor digits. `LYM%` and `LYM#` of a blood count are
    not the same."""
    text = text.replace("%", " percent ").replace("#", " count ") if len(text) > 1 else text
    return re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")


def abnormal_flag(sent: str) -> str:
    """The flag of an analyser's own mark, as it was sent: `H` -> `abnormal-h`; of a mere sign `abnormal-marked`."""
    return f"abnormal-{(name_part(sent) or 'marked').replace('_', '-')}"[:64]


def is_nothing(text: str) -> bool:
    """Whether a result is empty, or dashes and stars that stand for none."""
    return _NOTHING.fullmatch(text) is not None


def beyond_range(text: str) -> str:
    """Why a result such as `<5` is no number; empty for others."""
    return {"<": "under-range", ">": "over-range"}.get(text[:1], "")


def result_reading(
    name: str,
    value: float | int | None,
    text: str,
    unit: str,
    flags: tuple[str, ...] = (),
    why: str = "",
    time: str | None = None,
    bookmark: tuple[str, Any] | None = None,
) -> Reading:
    """One result under the name of its analyte. Where it is no number its text stands for it; `why` there is neither,
    or why the text is no number."""
    shown: Any = value
    if shown is None and 0 < len(text) <= MAX_TEXT and text.isprintable():
        shown = text
    if shown is None and not why:
        why = "not-measured"
    told = (*flags, f"{name}:{why}") if why else flags
    quality = BAD if shown is None or not UNREAL.isdisjoint(flags) else UNCERTAIN if why else GOOD
    values = {} if shown is None else {name: shown}
    units = {name: unit} if unit and value is not None else {}
    return Reading(METRIC, values, units, told, quality, time, bookmark=bookmark)
