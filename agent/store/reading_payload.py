"""A stored record as the contract's payload."""

from __future__ import annotations

from typing import Any

import orjson

from gatepost.agent.api.agent_interface import StoreInterface
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.store.model import URGENT, Record

SCHEMA = 1


def payload(store: StoreInterface, gateway: str, record: Record) -> dict[str, Any]:
    """The reading in format `devices`; `replayed` is false, since nobody sent it."""
    series = store.series_of(record.series)
    wall, clock = store.time_of(record)
    reading: dict[str, Any] = {
        "id": store.reading_id(record.seq),
        "schema": SCHEMA,
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
