"""Alarms in messages of IHE PCD-04 (`ORU^R40`): observations that are facets of one alarm. The first is the event, with
its priority among its marks; the value that raised it, the phase and the state follow."""

from __future__ import annotations

import re
from itertools import pairwise

from gatepost.drivers.laboratory import slug
from gatepost.drivers.network.hl7.codes import MDC_SYSTEMS
from gatepost.drivers.network.hl7.message import Observation, ResultMessage
from gatepost.drivers.network.hl7.observations import time_of, unreal_flags
from gatepost.drivers.reading import BAD, GOOD, Reading

MESSAGE = "ORU^R40"
PRIORITIES = {"PL": 1, "PM": 2, "PH": 3}  # others say that there is none
ANY_ALARM = "MDC_EVT_ALARM"  # the value says which
OVER = frozenset({"inactive", "off"})
MOST_KNOWN = 256
# Older senders number the facets differently; all agree in the names.
_PHASE = re.compile(r"EV(EN)?T_PHASE$")
_STATE = re.compile(r"(^|_)AL(ARM|ERT)_STATE$")
_PRIORITY = re.compile(r"AL(ARM|ERT)_PRIORITY$")
_EVENT = re.compile(r"MDCX?_EVT_\w+")


class Hl7Alarms:
    """Tells an alarm when it begins and when its priority changes; that it goes on, or is over, is no reading. Its text
    is not kept, as people type into some of them."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], int | None] = {}  # the priority of those that are on

    def readings(self, message: ResultMessage) -> list[Reading]:
        if message.message != MESSAGE:
            return []
        starts = [at for at, item in enumerate(message.observations) if _event_of(item)]
        bounds = pairwise([*starts, len(message.observations)])
        unreal = unreal_flags(message)
        found = [self._alarm(message, message.observations[at:end], unreal) for at, end in bounds]
        return [reading for reading in found if reading is not None]

    def _alarm(self, message: ResultMessage, facets: list[Observation], unreal: tuple[str, ...]) -> Reading | None:
        phase = _facet(facets, _PHASE).lower()
        if not phase:
            return None  # the sender says that it is there
        name = _event_of(facets[0])
        source = next((item.code[1] for item in facets[1:] if item.kind == "NM"), "")
        words = re.sub(r"^mdcx?_evt_", "", slug(name)), re.sub(r"^mdc_", "", slug(source)) if source else ""
        code = "-".join(filter(None, words)).replace("_", "-")[:60]
        marks = [*re.split(r"[^A-Z]+", facets[0].flags.upper()), _facet(facets, _PRIORITY).upper()]
        priority = next((PRIORITIES[mark] for mark in marks if mark in PRIORITIES), None)
        key = (message.location, code)
        if phase != "tpoint":  # without a duration
            if phase == "end" or _facet(facets, _STATE).lower() in OVER:
                self._known.pop(key, None)
                return None
            if phase != "start" and key in self._known and self._known[key] == priority:
                return None
            self._known[key] = priority
            if len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]
        values: dict[str, float | str] = {} if priority is None else {"alarm_priority": priority}
        quality = BAD if unreal or not values else GOOD
        time = time_of(facets[0], message)
        return Reading("device_alarm", values, {}, (*unreal, f"device-alarm:{code}"), quality, time)


def _event_of(item: Observation) -> str:
    """The name of an event, empty where the observation is none."""
    if item.code[2] not in MDC_SYSTEMS or not _EVENT.fullmatch(item.code[1]):
        return ""
    told = _EVENT.search(item.value) if item.code[1] == ANY_ALARM and item.kind in ("CWE", "CE", "CNE") else None
    return told[0] if told else item.code[1]


def _facet(facets: list[Observation], name: re.Pattern[str]) -> str:
    return next((item.value for item in facets if name.search(item.code[1] or item.code[0])), "")
