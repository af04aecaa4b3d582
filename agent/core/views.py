"""Reading payload: every member that is not a value, in the one list that writers, readers and exports share.

The payload of docs/interfaces.md, "Readings". A reading's values stand beside these members, under their own names.
"""

from __future__ import annotations

from typing import Literal, TypedDict

PAYLOAD_SCHEMA = 1  # `schema` of every payload


class _PayloadHead(TypedDict):
    id: str
    schema: int
    gateway_id: str
    device_id: str
    metric_type: str
    timestamp: str
    clock: Literal["synchronised", "unsynchronised", "rectified"]
    urgent: bool
    replayed: bool


class ReadingPayload(_PayloadHead, total=False):
    """One reading; its values stand beside these members, by name. `samples` and what follows belong to a waveform."""

    patient_id: str
    units: dict[str, str]
    quality: str
    flags: list[str]
    device_timestamp: str
    samples: list[int | float]
    rate_hz: float
    scale: float
    offset: float
    unit: str
    channel: int | str


PAYLOAD_MEMBERS = frozenset(ReadingPayload.__annotations__)
# Of a waveform, what a table shows in rows of its own, beside the values.
WAVEFORM_ROWS = ("samples", "rate_hz", "scale", "offset", "channel")
