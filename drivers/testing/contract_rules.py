"""Rules for the readings of every driver and for the memory of its decoder. Part of driver_kit.py."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec

from gatepost.drivers.options import METRIC_PATTERN
from gatepost.drivers.reading import BAD, GOOD, UNCERTAIN, Reading, Reply, Waveform
from gatepost.drivers.waveforms import LOST, MAX_SAMPLES

FLAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./ -]{0,63}(:[a-z0-9][a-z0-9-]{0,63})?")
NUMBERED = re.compile(r"_[0-9]+$")  # a device with several of one kind
ALWAYS = {"channel", LOST}  # values that drivers/waveforms.py adds


class BrokenPromise(AssertionError):
    """A promise that a driver does not keep; the text says which, for which driver, and how to see it again."""


def complaint(item: object, value_names: Collection[str] = ()) -> str:
    """What is wrong with one thing that a decoder gave; empty when nothing is. `value_names`: those that its values may
    have, empty = any."""
    if isinstance(item, Reply):
        return _of_reply(item)
    if not isinstance(item, Reading):
        return f"is a {type(item).__name__}, and neither a Reading nor a Reply"
    return _of_names(item, value_names) or _of_values(item) or _of_flags(item) or _of_waveform(item) or _of_record(item)


def _of_reply(reply: Reply) -> str:
    if not reply.kind or not isinstance(reply.kind, str):
        return "is a Reply without a `kind`"
    return "" if _is_json(reply.fields) else "is a Reply whose `fields` are no JSON"


def _of_names(reading: Reading, value_names: Collection[str]) -> str:
    if not re.fullmatch(METRIC_PATTERN, reading.metric):
        return f"has the metric {reading.metric!r}: 1 to 64 letters, digits, _ . -"
    known = {*value_names, *ALWAYS}
    strange = [name for name in reading.values if not known & {name, NUMBERED.sub("", name)}] if value_names else []
    if strange:
        return f"has the values {sorted(strange)}, which `value_names` does not know"
    if not reading.units.keys() <= reading.values.keys():
        return f"has units of values that are not there: {sorted(reading.units.keys() - reading.values.keys())}"
    if not all(isinstance(unit, str) and unit for unit in reading.units.values()):
        return "has an empty unit; leave it out"
    return ""


def _of_values(reading: Reading) -> str:
    for name, value in reading.values.items():
        if not isinstance(name, str) or not name:
            return f"has a value without a name: {name!r}"
        if value is None:
            return f"has None for {name!r}: leave it out, and say why in the flags as {name}:<why>"
        if not _is_json(value):
            return f"has a value of {name!r} that JSON cannot carry ({type(value).__name__}, or not finite)"
    return ""


def _of_flags(reading: Reading) -> str:
    if reading.quality not in (GOOD, UNCERTAIN, BAD):
        return f"has the quality {reading.quality!r}"
    if not isinstance(reading.flags, tuple):
        return "has flags that are no tuple"
    for flag in reading.flags:
        if not isinstance(flag, str) or not FLAG.fullmatch(flag):
            return f"has the flag {flag!r}: a word, or <value>:<why>"
    if not reading.values and reading.waveform is None and not any(":" in flag for flag in reading.flags):
        return "has no values and no flag <value>:<why> that would say why"
    if not reading.values and reading.quality == GOOD:
        return "has no values and the quality good"
    return ""


def _of_waveform(reading: Reading) -> str:
    wave = reading.waveform
    if wave is None:
        return ""
    if not isinstance(wave, Waveform) or not isinstance(reading.values.get("channel"), str):
        return "has a waveform without a `channel`"
    if not wave.samples or len(wave.samples) > MAX_SAMPLES:
        return f"has a waveform of {len(wave.samples)} samples: 1 to {MAX_SAMPLES}"
    if any(sample.__class__ is not int for sample in wave.samples):
        return "has samples that are no integers: give a scale instead"
    if not all(math.isfinite(number) for number in (wave.rate_hz, wave.scale, wave.offset)) or wave.rate_hz <= 0:
        return "has a waveform whose rate or scale is no number"
    return ""


def _of_record(reading: Reading) -> str:
    if reading.device_time is not None:
        try:
            if datetime.fromisoformat(reading.device_time).tzinfo is not None:
                return "has a device_time with a zone"
        except ValueError:
            return f"has the device_time {reading.device_time!r}, which is not ISO 8601"
    if reading.bookmark is None:
        return ""
    if not (
        isinstance(reading.bookmark, tuple) and len(reading.bookmark) == 2 and isinstance(reading.bookmark[0], str)
    ):
        return "has a bookmark that is not (name, JSON value)"
    if not reading.bookmark[0] or not _is_json(reading.bookmark[1]):
        return "has a bookmark without a name, or with a value that is no JSON"
    return ""


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def amount(items: list[Reading | Reply]) -> int:
    """How much was decoded: a reading counts one, a waveform its samples, a reply nothing."""
    return sum(
        (len(item.waveform.samples) if item.waveform is not None else 1) for item in items if isinstance(item, Reading)
    )


def unfinished(items: list[Reading | Reply]) -> int:
    """How many samples a decoder may still hold that are no whole block yet: one block of each curve."""
    longest: dict[tuple[str, str], int] = {}
    for item in items:
        if isinstance(item, Reading) and item.waveform is not None:
            curve = (item.metric, item.values["channel"])
            longest[curve] = max(longest.get(curve, 0), len(item.waveform.samples))
    return sum(longest.values())


def held(thing: object) -> int:
    """The octets of data that an object holds on to: octets and text by their length, eight for a number."""
    total = 0
    seen: set[int] = set()
    left = [thing]
    while left:
        one = left.pop()
        if isinstance(one, bytes | bytearray | str):
            total += len(one)
        elif isinstance(one, bool):
            continue
        elif isinstance(one, int | float):
            total += 8
        elif id(one) not in seen:
            seen.add(id(one))
            left += _inside(one)
    return total


def _inside(one: object) -> list[Any]:
    if isinstance(one, Mapping):
        return [*one.keys(), *one.values()]
    if isinstance(one, list | tuple | set | frozenset | deque):
        return list(one)
    if isinstance(one, msgspec.Struct):
        return [getattr(one, name) for name in one.__struct_fields__]
    slots = [name for kind in type(one).__mro__ for name in _slots(kind)]
    return [*getattr(one, "__dict__", {}).values(), *(getattr(one, name) for name in slots if hasattr(one, name))]


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
