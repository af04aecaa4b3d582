"""Series numbers: the same for the same, and no more memory than what they stand for."""

from __future__ import annotations

import tracemalloc

from gatepost.agent.store.model import Series
from gatepost.agent.store.series import SeriesBook

COMMON = {"metric_type": "environment", "units": {"temperature": "Cel"}, "quality": "good", "flags": []}
DEVICES = 100


def test_what_repeats_is_numbered_once() -> None:
    new: list[Series] = []
    book = SeriesBook(1, (), new.append)
    first = book.number("plug-3", None, COMMON)
    assert book.number("plug-3", None, dict(COMMON)) == first
    assert book.number("plug-3", "p-1", COMMON) != first
    assert [series.patient for series in new] == [None, "p-1"]


def test_a_series_holds_on_to_no_working_buffer() -> None:
    book = SeriesBook(1, (), lambda series: None)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(DEVICES):
            book.number(f"plug-{number}", None, COMMON)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / DEVICES < 2000  # 4 kB of orjson's buffer alone before
