from __future__ import annotations

import orjson

from gatepost.agent.devices import series_cache
from gatepost.agent.devices.series_cache import SeriesCache
from gatepost.drivers.reading import Reading
from tests.devices.fakes import MemoryStore


def place(store: MemoryStore, where: SeriesCache, reading: Reading) -> dict:
    number, body = where.place(reading, orjson.dumps(reading.values))
    device, patient, common = store.serieses[number - 1]
    written = orjson.loads(body)
    assert not common.keys() & written.keys()
    return {"device": device, "patient": patient, **common, **written}


def test_the_same_kind_of_reading_is_one_series():
    store = MemoryStore()
    where = SeriesCache("d", store)
    for value in range(3):
        place(store, where, Reading("m", {"v": value}, {"v": "Cel"}))
    assert store.serieses == [("d", None, {"metric_type": "m", "units": {"v": "Cel"}, "quality": "good", "flags": []})]


def test_patient_units_quality_and_flags_make_series():
    store = MemoryStore()
    where = SeriesCache("d", store)
    readings = [
        Reading("m", {"v": 1}),
        Reading("m", {"v": 1}, {"v": "Cel"}),
        Reading("m", {"v": 1}, quality="bad"),
        Reading("m", {"v": 1}, flags=("x",)),
        Reading("n", {"v": 1}),
    ]
    seen = [place(store, where, reading) for reading in readings]
    where.assign("P-1")
    seen += [place(store, where, reading) for reading in readings]
    assert len(store.serieses) == 10
    assert [one["patient"] for one in seen] == [None] * 5 + ["P-1"] * 5


def test_a_driver_that_changes_its_units_in_place_is_not_confused():
    store = MemoryStore()
    where = SeriesCache("d", store)
    units = {"v": "Cel"}
    place(store, where, Reading("m", {"v": 1}, units))
    units["v"] = "[degF]"
    assert place(store, where, Reading("m", {"v": 1}, units))["units"] == {"v": "[degF]"}


def test_a_device_that_makes_up_flags_metrics_and_units_is_bounded_and_nothing_is_lost():
    store = MemoryStore()
    where = SeriesCache("d", store)
    for number in range(2000):
        reading = Reading(f"m{number % 500}", {"v": number}, {"v": f"u{number}"}, (f"f{number}",))
        assert place(store, where, reading) == {
            "device": "d",
            "patient": None,
            "metric_type": reading.metric,
            "units": reading.units,
            "quality": "good",
            "flags": list(reading.flags),
            "v": number,
        }
    assert len(store.serieses) <= series_cache.MAX_SERIES + series_cache.MAX_METRICS + 1
    assert len(where._known) <= series_cache.MAX_SERIES
