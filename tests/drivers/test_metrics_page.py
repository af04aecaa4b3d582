from pathlib import Path

from gatepost.drivers.metrics import METRICS
from gatepost.drivers.metrics_page import page, remarks

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_is_what_the_catalogue_says():
    assert PAGE.read_text("utf-8") == page(), "run: python -m gatepost.drivers.metrics_page > docs/metrics.md"


def test_every_value_has_a_row():
    for metric in METRICS.values():
        section = page().split(f"## `{metric.name}`")[1].split("\n## ")[0]
        for value in (*metric.values, *metric.waveforms):
            assert f"| `{value.name}` |" in section
            assert all(f"`{unit}`" in section for unit in value.units)


def test_remarks_are_words():
    for _, words in remarks():
        assert len(words) == len(set(words))
        assert all(word == word.lower() and " " not in word and "_" not in word for word in words)
