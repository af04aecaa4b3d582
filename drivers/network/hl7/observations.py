"""Observations of a message -> readings: grouped by what they measure; what is no value says why."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gatepost.drivers.laboratory import CONTROL, MAX_TEXT, abnormal_flag, slug
from gatepost.drivers.laboratory import METRIC as LABORATORY
from gatepost.drivers.network.hl7.codes import (
    MDC_SYSTEMS,
    NO_VALUE,
    identify,
    ucum,
)
from gatepost.drivers.network.hl7.message import Observation, ResultMessage
from gatepost.drivers.network.mdc_codes import MEANINGS, OTHER, Meaning
from gatepost.drivers.reading import BAD, GOOD, Reading, iso_time
from gatepost.drivers.value_groups import ValueGroup

ALARM_SYSTEM = "MDIL-ALERT"
CONTROL_ORDER = "LQC"


def readings_of(message: ResultMessage, names: Mapping[str, str]) -> list[Reading]:
    """`names`: what the user calls codes that the catalogue does not know."""
    groups: dict[tuple[Any, ...], ValueGroup] = {}
    alarms: list[Reading] = []
    for item in message.observations:
        if item.code[2] == ALARM_SYSTEM:
            alarms.append(_alarm(item, _time(item, message), _unreal(message, item)))
        elif item.kind in ("NM", "SN", "ST", ""):
            _add(groups, message, item, names)
    return [group.reading() for group in groups.values()] + alarms


def _unreal(message: ResultMessage, item: Observation) -> tuple[str, ...]:
    """Flags of what is no measurement of a patient."""
    found = []
    if "DEMO" in item.flags.upper():
        found.append("demo")
    if message.processing in ("T", "D"):
        found.append("test-data")
    if item.service == CONTROL_ORDER:
        found.append(CONTROL)
    return tuple(found)


def _add(
    groups: dict[tuple[Any, ...], ValueGroup], message: ResultMessage, item: Observation, names: Mapping[str, str]
) -> None:
    number, doubts = identify(item)
    meaning = _meaning(item, number, names)
    value = _number(item, meaning)
    if value is None and item.kind in ("ST", "") and meaning.metric != LABORATORY:
        return  # a node of the containment tree, or a text that is no measurement
    unreal = _unreal(message, item)
    time = _time(item, message)
    base = (meaning.metric, meaning.flags if meaning.metric != "pulse_oximetry" else (), time, unreal)
    channel = ""
    group = groups.get((*base, channel))
    if group is not None and meaning.value in group.names:
        channel = item.sub_id or str(sum(key[:-1] == base for key in groups) + 1)
        group = groups.get((*base, channel))
    if group is None:
        group = groups[(*base, channel)] = ValueGroup(meaning.metric, (*unreal, *meaning.flags), time)
        if channel:
            group.values["channel"] = channel[:64]
    elif meaning.value in group.names:
        return  # the same thing twice under one sub-id: the first counts
    text = _text(item) if meaning.metric == LABORATORY and value is None else ""
    doubt = next(iter(doubts), "")
    group.add(meaning.value, text or value, ucum(item.unit), doubt, meaning.flags)
    if value is None and not text:
        group.add(meaning.value, None, "", _why(item))
        return
    if meaning.metric == LABORATORY and item.flags and item.flags not in ("N", "DEMO"):
        group.flags[abnormal_flag(item.flags)] = None


def _meaning(item: Observation, number: int | None, names: Mapping[str, str]) -> Meaning:
    code, name, system = item.code
    if system not in MDC_SYSTEMS:
        return Meaning(LABORATORY, names.get(code) or slug(name or code), (), True)
    if number is not None and number in MEANINGS:
        return MEANINGS[number]
    own = names.get(code) or (names.get(str(number)) if number is not None else None)
    return Meaning(OTHER, own or (f"mdc_{number}" if number is not None else f"mdc_{slug(code)}"[:64]), (), True)


def _number(item: Observation, meaning: Meaning) -> float | None:
    return number_of(item.value, meaning.signed) if item.status != "X" else None


def number_of(text: str, signed: bool = True) -> float | None:
    """The number; None for none, for what stands for none, and for one below 0 where that cannot be."""
    try:
        value = float(text) if len(text) <= 32 and "_" not in text else math.nan
    except ValueError:
        return None
    if not math.isfinite(value) or value in NO_VALUE or (value < 0 and not signed):
        return None
    return int(value) if value.is_integer() and "." not in text and "e" not in text.lower() else value


def _text(item: Observation) -> str:
    """A result that is a word, such as "negative"."""
    return item.value if item.kind == "ST" and 0 < len(item.value) <= MAX_TEXT and item.value.isprintable() else ""


def _why(item: Observation) -> str:
    return "not-measured" if not item.value or item.status == "X" or number_of(item.value) is None else "invalid"


def _alarm(item: Observation, time: str | None, unreal: tuple[str, ...]) -> Reading:
    """An alarm as the monitor shows it; its text is not kept, as people type into some of them."""
    number = number_of(item.code[0])
    values = {} if number is None else {"alarm_priority": number}
    code = slug(item.code[1] or item.code[0]).replace("_", "-")[:60]
    flags = (*unreal, f"device-alarm:{code}")
    return Reading("device_alarm", values, {}, flags, BAD if unreal or not values else GOOD, time)


def _time(item: Observation, message: ResultMessage) -> str | None:
    time = item.time or message.time
    return None if time is None else iso_time(time.parts)
