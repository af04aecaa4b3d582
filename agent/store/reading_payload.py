"""Reading payload of a stored record."""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.views import PAYLOAD_SCHEMA
from gatepost.agent.store.model import URGENT, Record, Series


class RecordSource(Protocol):
    """The part of the store that a payload is made from."""

    def reading_id(self, seq: int) -> str: ...

    def series_of(self, number: int) -> Series: ...

    def time_of(self, record: Record) -> tuple[int, str]: ...


def payload(store: RecordSource, gateway: str, record: Record) -> dict[str, Any]:
    """The reading in format `devices`; `replayed` is false, since nobody sent it."""
    series = store.series_of(record.series)
    wall, clock = store.time_of(record)
    reading: dict[str, Any] = {
        "id": store.reading_id(record.seq),
        "schema": PAYLOAD_SCHEMA,
        "gateway_id": gateway,
        "device_id": series.device,
    }
    if series.patient is not None:
        reading["patient_id"] = series.patient
    reading.update(orjson.loads(series.common))
    reading.update(orjson.loads(record.body))
    reading["timestamp"] = rfc3339(wall)
    reading["clock"] = clock
    reading["urgent"] = bool(record.bits & URGENT)
    reading["replayed"] = False
    return reading
