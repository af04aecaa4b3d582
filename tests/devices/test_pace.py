from __future__ import annotations

from gatepost.agent.devices.report_schedule import MAX_METRICS, ReportSchedule, pace
from gatepost.agent.devices.thresholds import ThresholdWatch
from gatepost.agent.settings.model import ThresholdSettings
from gatepost.drivers.reading import Reading, Waveform

SECOND = 1_000_000


class Reports:
    """What was reported, in order, with the value and whether it was urgent."""

    def __init__(self) -> None:
        self.seen: list[tuple[object, bool]] = []

    def __call__(self, reading: Reading, urgent: bool) -> int:
        self.seen.append((reading.values.get("v"), urgent))
        return len(self.seen)

    def take(self) -> list[tuple[object, bool]]:
        seen, self.seen = self.seen, []
        return seen


def made(every: float, how: str = "median", low: float | None = None) -> tuple[ReportSchedule, Reports]:
    reports = Reports()
    limits = {} if low is None else {"v": ThresholdSettings(min=low)}
    return pace(every, how, ThresholdWatch(limits), reports), reports


def feed(paced: ReportSchedule, start: float, step: float, *values: float) -> None:
    for number, value in enumerate(values):
        paced.take(Reading("m", {"v": value}), round((start + number * step) * SECOND))


def test_every_reading_is_reported_when_there_is_no_pace():
    paced, reports = made(0, low=90)
    feed(paced, 0, 0.01, 97, 89, 88, 97)
    assert reports.take() == [(97, False), (89, True), (88, True), (97, False)]
    assert paced.due() is None
    assert not paced.plain
    assert made(0)[0].plain


def test_the_first_after_a_quiet_spell_goes_at_once():
    paced, reports = made(1)
    feed(paced, 0, 1, 97)
    assert reports.take() == [(97, False)]
    assert paced.due() is None
    feed(paced, 5, 1, 96)
    assert reports.take() == [(96, False)]


def test_a_steady_stream_is_condensed_on_an_even_grid_by_its_own_readings():
    paced, reports = made(1)
    times = []
    for number in range(60 * 10 + 1):
        now = round(number * SECOND / 60)
        paced.take(Reading("m", {"v": number}), now)
        if reports.take():
            times.append(now)
    assert len(times) == 11
    assert all(abs(when - turn * SECOND) <= SECOND / 60 for turn, when in enumerate(times))


def test_what_is_held_is_due_and_flushed_then():
    paced, reports = made(1)
    feed(paced, 0, 0.1, 1, 5, 7, 6)
    assert reports.take() == [(1, False)]
    assert paced.due() == SECOND
    paced.flush(SECOND - 1)
    assert reports.take() == []
    paced.flush(SECOND + 100)
    assert reports.take() == [(6, False)]
    assert paced.due() is None
    feed(paced, 1.5, 1, 8)
    assert reports.take() == []
    assert paced.due() == 2 * SECOND


def test_a_crossing_in_a_window_is_reported_at_once_and_never_hidden():
    paced, reports = made(10, low=90)
    feed(paced, 0, 0.1, 97, 96, 95, 89, 88, 87, 95, 96)
    # first; what was held before; the crossing; what was held outside; the return
    assert reports.take() == [(97, False), (95, False), (89, True), (87, True), (95, False)]
    paced.flush()
    assert reports.take() == [(96, False)]


def test_while_it_lasts_reports_come_at_the_pace_and_are_urgent():
    paced, reports = made(1, low=90)
    for number in range(60 * 5):
        paced.take(Reading("m", {"v": 80 + number % 3}), round(number * SECOND / 60))
    seen = reports.take()
    assert len(seen) == 5
    assert all(urgent for _value, urgent in seen)


def test_a_missing_value_does_not_end_the_state():
    paced, reports = made(10, low=90)
    feed(paced, 0, 0.1, 80)
    paced.take(Reading("m", {}, {}, ("v:no-finger",)), 200_000)
    feed(paced, 0.3, 0.1, 81)
    assert reports.take() == [(80, True)]
    paced.flush()
    assert reports.take() == [(81, True)]


def test_a_last_window_hides_no_crossing_either():
    paced, reports = made(10, "last", low=90)
    feed(paced, 0, 0.1, 97, 96, 80, 97)
    assert reports.take() == [(97, False), (96, False), (80, True), (97, False)]


def test_metrics_have_a_pace_each():
    paced, reports = made(10)
    paced.take(Reading("a", {"v": 1}), 0)
    paced.take(Reading("b", {"v": 2}), 1)
    paced.take(Reading("a", {"v": 3}), 2)
    assert reports.take() == [(1, False), (2, False)]


def test_a_waveform_is_never_condensed():
    paced, reports = made(10)
    for number in range(3):
        paced.take(Reading("pleth", {"v": number}, waveform=Waveform([1], 60.0)), number)
    assert len(reports.take()) == 3


def test_asked_for_it_goes_at_once_and_the_pace_stays():
    paced, reports = made(10)
    feed(paced, 0, 0.1, 1, 2)
    assert paced.take(Reading("m", {"v": 3}), 300_000, at_once=True) == 2
    assert reports.take() == [(1, False), (3, False)]
    assert paced.due() == 10 * SECOND


def test_after_a_long_delay_there_is_no_catching_up():
    paced, reports = made(1)
    feed(paced, 0, 0.1, 1, 2)
    feed(paced, 7.5, 0.1, 3, 4, 5)
    assert len(reports.take()) == 2
    assert paced.due() == round(8.5 * SECOND)


def test_made_up_metrics_are_bounded_and_reported_as_they_come():
    paced, reports = made(10)
    for number in range(1000):
        paced.take(Reading(f"m{number}", {"v": number}), 0)
    assert len(reports.take()) == 1000
    paced.take(Reading("m999", {"v": 1}), 1)
    assert len(reports.take()) == 1
    assert len(paced._lanes) == MAX_METRICS


def test_nothing_that_happened_is_held_or_condensed():
    reports = []
    paced = pace(60, "last", ThresholdWatch({}), lambda reading, urgent: reports.append(reading.values) or len(reports))
    for second, key in enumerate(("press", "double-press", "press")):
        paced.take(Reading("event", {"button": key}), second * SECOND)
        paced.take(Reading("state", {"door_open": second % 2 == 0}), second * SECOND)
    assert [values["button"] for values in reports if "button" in values] == ["press", "double-press", "press"]
    assert [values["door_open"] for values in reports if "door_open" in values] == [True, False, True]
    assert paced.due() is None
