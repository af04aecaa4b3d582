"""Series cache of one device: what repeats from reading to reading is written once, under a number of the store."""

from __future__ import annotations

from typing import Any

import orjson

from gatepost.agent.devices.interfaces import ReadingStore
from gatepost.drivers.reading import Reading

MAX_SERIES = 256  # of one device and patient; a device that makes up flags or units beyond them writes them each time
MAX_METRICS = 64  # the same for names of metrics
MAX_UNITS = 8  # sets of units of one metric, quality and flags


class SeriesCache:
    """Finds the series of a reading; `assign` changes the patient."""

    __slots__ = (
        "_count", "_device", "_known", "_metrics", "_patient", "_store",
    )  # fmt: skip

    def __init__(self, device: str, store: ReadingStore) -> None:
        self._device = device
        self._store = store
        self._patient: str | None = None
        self._known: dict[tuple[str, str, tuple[str, ...]], list[tuple[dict[str, str], int]]] = {}
        self._metrics: dict[str, int] = {}
        self._count = 0

    def assign(self, patient: str | None) -> None:
        """Readings from now on are this patient's."""
        self._patient = patient
        self._known.clear()
        self._metrics.clear()
        self._count = 0

    def place(self, reading: Reading, body: bytes) -> tuple[int, bytes]:
        """The series number, and the body that goes with it."""
        units = reading.units
        known = self._known.get((reading.metric, reading.quality, reading.flags))
        if known is not None:
            for same, number in known:
                if same == units:
                    return number, body
        return self._new(reading, body)

    def _new(self, reading: Reading, body: bytes) -> tuple[int, bytes]:
        common = {
            "metric_type": reading.metric,
            "units": dict(reading.units),  # a driver may go on using its own
            "quality": reading.quality,
            "flags": reading.flags,
        }
        known = self._known.setdefault((reading.metric, reading.quality, reading.flags), [])
        if self._count < MAX_SERIES and len(known) < MAX_UNITS:
            number = self._store.series(self._device, self._patient, common)
            known.append((dict(reading.units), number))
            self._count += 1
            return number, body
        if not known:
            del self._known[reading.metric, reading.quality, reading.flags]
        bare = reading.metric if reading.metric in self._metrics or len(self._metrics) < MAX_METRICS else ""
        if bare:
            del common["metric_type"]
        return self._with_metric_only(bare), _joined(common, body)

    def _with_metric_only(self, metric: str) -> int:
        """The series that holds the metric and nothing else; nothing at all for ""."""
        number = self._metrics.get(metric)
        if number is None:
            number = self._store.series(self._device, self._patient, {"metric_type": metric} if metric else {})
            self._metrics[metric] = number
        return number


def _joined(common: dict[str, Any], body: bytes) -> bytes:
    """One JSON object of both."""
    head = orjson.dumps(common)
    return head if body == b"{}" else head[:-1] + b"," + body[1:]
