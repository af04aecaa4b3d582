"""Observations of a message -> readings: grouped by what they measure; what is no value says why."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gatepost.drivers.laboratory import CONTROL, MAX_TEXT, abnormal_flag, beyond_range, is_nothing, slug
from gatepost.drivers.laboratory import METRIC as LABORATORY
from gatepost.drivers.network.hl7.codes import (
    BESIDE_VITAL_LOINC,
    LOINC_SYSTEMS,
    MDC_SYSTEMS,
    NO_VALUE,
    VITAL_LOINC,
    identify,
    mdc_of,
    ucum,
)
from gatepost.drivers.network.hl7.message import Observation, ResultMessage
from gatepost.drivers.network.mdc_codes import MEANINGS, OTHER, Meaning
from gatepost.drivers.reading import BAD, GOOD, Reading, iso_time
from gatepost.drivers.value_groups import ValueGroup

ALARM_SYSTEM = "MDIL-ALERT"
CONTROL_MARKS = frozenset({"1", "2"})  # MSH-16 of chemistry analysers: a calibration, a control
CONTROL_ORDERS = frozenset({"LQC", "CAL", "PRF"})  # controls, calibrations, samples of a proficiency test
NO_RESULT = frozenset("DINOWX")  # status (table 0085): deleted, pending, not asked for, ordered, wrong, none
# Marks of OBX-8 as IHE PCD-01 has them: why there is no value, or what to think of it.
NO_VALUE_MARKS = {"INV": "invalid", "NAV": "unavailable"}
DOUBT_MARKS = {"QUES": "questionable", "CAL": "calibrating"}
UNREAL_MARKS = {"DEMO": "demo", "TEST": "test-data"}
ORDINARY_MARKS = frozenset({"", "N", "0", *DOUBT_MARKS, *UNREAL_MARKS})
# Of a blood count: of the person, not of the blood; and a free text, in which people write names.
OF_A_PERSON = frozenset({"age", "remark"})
OF_A_PICTURE = re.compile(r"histogram|scattergram|\bline\b", re.IGNORECASE)  # where it begins, how long it is
# Of a waveform or of another observation, no measurements themselves.
ATTRIBUTES = ("MDC_ATTR_", "MDC_EVT_")
MAX_PLACES = 256
_NUMBER = re.compile(r"[-+]?([0-9.]+([eE][-+]?[0-9]+)?|inf|infinity|nan)", re.IGNORECASE)
Places = dict[tuple[Any, ...], str]


def readings_of(message: ResultMessage, names: Mapping[str, str], places: Places) -> list[Reading]:
    """`names`: what the user calls codes that the catalogue does not know; `places`: where each value was found first,
    kept from message to message, so that one from elsewhere has a channel also where it comes alone."""
    groups = _Groups(_vital_signs(message))
    alarms: list[Reading] = []
    whole = unreal_flags(message)
    for item in message.observations:
        if item.code[2] == ALARM_SYSTEM:
            alarms.append(_alarm(item, time_of(item, message), whole))
        elif item.code[1].startswith(ATTRIBUTES):
            continue
        elif item.kind in ("NM", "SN", "ST", "") or _is_number_all_the_same(item):
            _add(groups, message, item, names, places)
    return [group.reading() for group in groups.of.values()] + alarms


def _is_number_all_the_same(item: Observation) -> bool:
    """Older blood counts call their results codes, a blood gas analyser formatted texts."""
    return bool(item.unit[0]) if item.kind == "IS" else item.kind == "FT" and number_of(item.value) is not None


class _Groups:
    """Groups by what their values have in common and by channel; `counts`: the channels of each."""

    def __init__(self, vital_signs: Mapping[str, Meaning]) -> None:
        self.vital_signs = vital_signs  # by LOINC code
        self.of: dict[tuple[Any, ...], ValueGroup] = {}
        self.counts: Counter[tuple[Any, ...]] = Counter()

    def add(self, base: tuple[Any, ...], channel: str, group: ValueGroup) -> ValueGroup:
        self.of[*base, channel] = group
        self.counts[base] += 1
        return group


def _marks(item: Observation) -> set[str]:
    return set(re.split(r"[^A-Z]+", item.flags.upper()))


def unreal_flags(message: ResultMessage, *items: Observation) -> tuple[str, ...]:
    """Flags of what is no measurement of a patient: of these observations, or of the whole message, its alarms too."""
    marks = set().union(*map(_marks, items or message.observations))
    found = [flag for mark, flag in UNREAL_MARKS.items() if mark in marks]
    if message.processing in ("T", "D") and "test-data" not in found:
        found.append("test-data")
    control = message.processing == "Q" or message.application_ack in CONTROL_MARKS
    if control or any(item.service in CONTROL_ORDERS for item in items):
        found.append(CONTROL)
    return tuple(found)


def _place(item: Observation, number: int | None) -> str:
    """Where in the monitor it was measured: a sub-id of parts (MDS.VMD.channel), without the code that some repeat at
    its end. Empty where the sub-id is but a number, which may be another one in the next message."""
    place, dot, last = item.sub_id.rpartition(".")
    if not dot:
        return ""
    code = mdc_of(last)
    return place if place and code is not None and (code == number or code in MEANINGS) else item.sub_id


def _add(groups: _Groups, message: ResultMessage, item: Observation, names: Mapping[str, str], places: Places) -> None:
    number, doubts = identify(item)
    vital = groups.vital_signs.get(item.code[0]) if item.code[2] in LOINC_SYSTEMS else None
    meaning = vital or _meaning(item, number, names)
    value = _number(item, meaning)
    laboratory = meaning.metric == LABORATORY
    text_only = item.kind in ("ST", "IS") and not laboratory
    if (value is None and (not item.kind or text_only)) or (text_only and not item.code[2] and not item.unit[0]):
        return  # a node of the containment tree, or a text that is no measurement: the number of a patient, of a bed
    if laboratory and (slug(item.code[1], item.code[0]) in OF_A_PERSON or OF_A_PICTURE.search(item.code[1])):
        return
    unreal = unreal_flags(message, item)
    time = time_of(item, message)
    own = meaning.value if laboratory else ""  # an analyte's flags are its own
    base = (meaning.metric, own, meaning.flags if meaning.metric != "pulse_oximetry" else (), time, unreal)
    place = _place(item, number)
    known = (message.location, meaning.metric, meaning.value, meaning.flags)
    if place and known not in places and len(places) < MAX_PLACES:
        places[known] = place
    channel = "" if places.get(known, place) == place else place
    group = groups.of.get((*base, channel))
    if group is not None and meaning.value in group.names and not place:
        channel = item.sub_id or str(groups.counts[base] + 1)
        group = groups.of.get((*base, channel))
    if group is None:
        group = groups.add(base, channel, ValueGroup(meaning.metric, (*unreal, *meaning.flags), time))
        if channel:
            group.values["channel"] = (item.sub_id or channel)[:64]
    elif meaning.value in group.names:
        return  # the same thing twice under one sub-id: the first counts
    text = _text(item) if laboratory and value is None else ""
    doubts += tuple(word for mark, word in DOUBT_MARKS.items() if mark in _marks(item))
    doubt = next(filter(None, (*doubts, beyond_range(text))), "")
    group.add(meaning.value, text or value, "" if text else ucum(item.unit), doubt, meaning.flags)
    if value is None and not text:
        group.add(meaning.value, None, "", _why(item))
        return
    if laboratory:
        marks = (mark for mark in item.flags.split("~") if mark.upper() not in ORDINARY_MARKS)
        group.flags |= dict.fromkeys(map(abnormal_flag, marks))


def _vital_signs(message: ResultMessage) -> Mapping[str, Meaning]:
    """The LOINC codes that are vital signs in this message."""
    certain = any(item.code[0] in VITAL_LOINC for item in message.observations)
    return {**VITAL_LOINC, **BESIDE_VITAL_LOINC} if certain else {}


def _meaning(item: Observation, number: int | None, names: Mapping[str, str]) -> Meaning:
    code, name, system = item.code
    beside = item.sub_id if re.search("[A-Za-z]", item.sub_id) else ""  # as chemistry analysers name: `|2|TBil|`
    if number is not None and number in MEANINGS and system in MDC_SYSTEMS:
        return MEANINGS[number]
    if system not in MDC_SYSTEMS or (not system and (number is None or (beside and not name))):
        known = names.get(code) or slug(name, "" if code.isdigit() else code, beside, code)
        return Meaning(LABORATORY, known, (), True)
    own = names.get(code) or (names.get(str(number)) if number is not None else None)
    own = own or (slug(name) if name and not system else None)
    text = f"mdc_{slug(code).removeprefix('mdc_')}"[:64] if number is None else f"mdc_{number}"
    return Meaning(OTHER, own or text, (), True)


def _number(item: Observation, meaning: Meaning) -> float | None:
    none = item.status in NO_RESULT or not _marks(item).isdisjoint(NO_VALUE_MARKS)
    return None if none else number_of(item.value, meaning.signed)


def number_of(text: str, signed: bool = True) -> float | None:
    """The number; None for none, for what stands for none, and for one below 0 where that cannot be."""
    try:
        value = float(text) if len(text) <= 32 and "_" not in text else math.nan
    except ValueError:
        return None
    if not math.isfinite(value) or value in NO_VALUE or (value < 0 and not signed):
        return None
    return value if "." in text or "e" in text.lower() else int(text)


def _text(item: Observation) -> str:
    """A result that is a word, such as "negative", or what some send as a number: `<5`, `11,49`."""
    told = item.kind in ("NM", "ST", "SN") and item.status not in NO_RESULT and not is_nothing(item.value)
    if not told or not 0 < len(item.value) <= MAX_TEXT or not item.value.isprintable():
        return ""
    return "" if _NUMBER.fullmatch(item.value) else item.value


def _why(item: Observation) -> str:
    for mark, word in NO_VALUE_MARKS.items():
        if mark in _marks(item):
            return word
    return "not-measured" if item.status in NO_RESULT or number_of(item.value) is None else "invalid"


def _alarm(item: Observation, time: str | None, unreal: tuple[str, ...]) -> Reading:
    """An alarm as the monitor shows it; its text is not kept, as people type into some of them."""
    number = number_of(item.code[0])
    values = {} if number is None else {"alarm_priority": number}
    code = slug(item.code[1], item.code[0]).replace("_", "-")[:60]
    flags = (*unreal, f"device-alarm:{code}")
    return Reading("device_alarm", values, {}, flags, BAD if unreal or not values else GOOD, time)


def time_of(item: Observation, message: ResultMessage) -> str | None:
    time = item.time or item.ordered or message.time
    return None if time is None else iso_time(time.parts)
