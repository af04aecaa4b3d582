"""Reading -> the JSON object that the store keeps of it, in the member names of the contract.

What repeats from reading to reading (metric_type, units, quality, flags) is kept apart, once: series.py.

A value whose name is a member of the payload itself (PAYLOAD_MEMBERS) is written with an underscore behind it
(`id` -> `id_`), its unit and its flags too, so that nothing is lost; a waveform's own `channel` stays. A value that
JSON cannot carry is left out and named in `flags`: NaN `<name>:nan`, infinity and an integer beyond 64 bits
`<name>:over-range` or `<name>:under-range`, nothing `<name>:no-value`; a list or an object with such a value
inside goes as a whole.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import orjson
from msgspec.structs import replace

from gatepost.agent.core.views import PAYLOAD_MEMBERS
from gatepost.drivers.exact_json import LEAST, MOST
from gatepost.drivers.reading import Reading

_free = PAYLOAD_MEMBERS.isdisjoint


def encode(reading: Reading) -> tuple[Reading, bytes]:
    """The reading as it can be written, and its body: the values, device_timestamp, and the members of a waveform.

    The body is a copy of its exact size: what orjson returns holds on to the working buffer that it was written in.
    Raises TypeError, or what the values raise, for what cannot be written as JSON.
    """
    try:
        return _encoded(reading)
    except TypeError:  # an integer beyond 64 bits, or what is no value at all
        return _encoded(_without_gaps(reading))


def _encoded(reading: Reading) -> tuple[Reading, bytes]:
    values = reading.values
    if _free(values) and reading.device_time is None and reading.waveform is None:  # nearly all of them
        body = b"%b" % orjson.dumps(values)
        if b"null" not in body:
            return reading, body
    return _carefully(reading)


def _carefully(reading: Reading) -> tuple[Reading, bytes]:
    if not _free(reading.values):
        reading = _renamed(reading)
    body = _write(reading)
    if b"null" in body:  # what JSON cannot carry came out as null, or a text has that word in it
        reading = _without_gaps(reading)
        body = _write(reading)
    return reading, body


def _write(reading: Reading) -> bytes:
    body: dict[str, Any] = dict(reading.values)
    wave = reading.waveform
    if wave is not None:
        body["samples"] = wave.samples
        body["rate_hz"] = wave.rate_hz
        body["scale"] = wave.scale
        body["offset"] = wave.offset
        body["unit"] = wave.unit
    if reading.device_time is not None:
        body["device_timestamp"] = reading.device_time
    return b"%b" % orjson.dumps(body)


def _renamed(reading: Reading) -> Reading:
    taken = set(reading.values)
    names: dict[str, str] = {}
    for name in reading.values:
        if name in PAYLOAD_MEMBERS and not (name == "channel" and reading.waveform is not None):
            new = name + "_"
            while new in taken:
                new += "_"
            taken.add(new)
            names[name] = new
    return replace(
        reading,
        values={names.get(name, name): value for name, value in reading.values.items()},
        units={names.get(name, name): unit for name, unit in reading.units.items()},
        flags=tuple(_renamed_flag(flag, names) for flag in reading.flags),
    )


def _renamed_flag(flag: str, names: dict[str, str]) -> str:
    name, colon, why = flag.partition(":")
    return names.get(name, name) + colon + why if colon else flag


def _without_gaps(reading: Reading) -> Reading:
    whys = {name: why for name, value in reading.values.items() if (why := _why_not(value))}
    wave = reading.waveform
    if wave is not None and _why_not([wave.samples, wave.rate_hz, wave.scale, wave.offset]):
        wave, whys = None, whys | {"samples": "nan"}
    explained = {flag.partition(":")[0] for flag in reading.flags if ":" in flag}
    return replace(
        reading,
        values={name: value for name, value in reading.values.items() if name not in whys},
        units={name: unit for name, unit in reading.units.items() if name not in whys},
        flags=(*reading.flags, *(f"{name}:{why}" for name, why in whys.items() if name not in explained)),
        waveform=wave,
    )


def _why_not(value: Any) -> str:
    """Why JSON cannot carry this value; empty when it can."""
    if value is None:
        return "no-value"
    if isinstance(value, int):
        return "" if LEAST <= value <= MOST else "over-range" if value > 0 else "under-range"
    if isinstance(value, float):
        if isfinite(value):
            return ""
        return "nan" if value != value else "over-range" if value > 0 else "under-range"
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return next((why for item in value if (why := _why_not(item))), "")
    return ""
