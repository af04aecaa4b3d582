"""Lines that are samples of curves, one moment a line: members -> a row for drivers/waveforms.py."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gatepost.drivers.serial.lines.fields import (
    ABSENT,
    NAN,
    LineField,
    MissingField,
    follow,
    invalidity,
    plain,
    target_name,
    tokens,
)
from gatepost.drivers.serial.lines.formats import BadLine, number
from gatepost.drivers.waveforms import WaveformChannel

Row = Callable[[dict[str, Any]], list[int | str]]

BIGGEST = 2**53  # samples beyond it are no samples


class LineWaveform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each line is one moment of curves, the `fields` of the settings."""

    rate_hz: Annotated[float, Meta(gt=0, le=100_000, description="lines a second")]

    def __post_init__(self) -> None:
        if not math.isfinite(self.rate_hz):
            raise ValueError("`rate_hz` is a finite number")


def channels(fields: Mapping[str, LineField]) -> list[WaveformChannel]:
    """The curves: `scale`, `offset` and `unit` go with them, the samples stay as the device printed them."""
    return [
        WaveformChannel(
            target_name(source, field),
            field.unit or "",
            1.0 if field.scale is None else field.scale,
            field.offset or 0.0,
        )
        for source, field in fields.items()
    ]


def compile_row(fields: Mapping[str, LineField]) -> Row:
    """The samples of one line, or why there is none; BadLine when a member is neither."""
    steps = [(tokens(source) if source.startswith("/") else None, source, _sample(fields[source])) for source in fields]

    def row(members: dict[str, Any]) -> list[int | str]:
        return [
            step(members.get(source, ABSENT) if path is None else follow(members, path)) for path, source, step in steps
        ]

    return row


def _sample(field: LineField) -> Callable[[Any], int | str]:
    is_invalid = invalidity(field)

    def sample(value: Any) -> int | str:
        if value.__class__ is int and is_invalid is None and -BIGGEST <= value <= BIGGEST:  # nearly all of them
            return int(value)
        if is_invalid is not None and is_invalid(value):
            return field.invalid_means
        try:
            value = plain(value)
        except MissingField as why:
            if str(why) == NAN:
                return NAN
            raise BadLine("not-a-sample") from None
        if value.__class__ is str:
            value = number(value)
        if value.__class__ is float and value.is_integer():
            value = int(value)
        if value.__class__ is not int or not -BIGGEST <= value <= BIGGEST:
            raise BadLine("not-a-sample")
        return int(value)

    return sample
