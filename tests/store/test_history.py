"""Curves out of the log: the same whether they come from summaries or row by row, and never of what is not there."""

from __future__ import annotations

from statistics import fmean

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.core.clock import US, Stamp
from gatepost.agent.store.curves.buckets import columns, numbers
from gatepost.agent.store.curves.reader import CurveName
from gatepost.agent.store.curves.summary_writer import SummaryWriter
from gatepost.agent.store.curves.zone_summary import COARSE_STEP, STEP
from gatepost.agent.store.zone_map import ZONE_ROWS
from tests.store.conftest import GOOD, database, until

T0 = 1_795_000_200  # a multiple of 600
OXIMETER = {**GOOD, "metric_type": "pulse_oximetry", "units": {"spo2": "%"}}


async def put(running, seconds, body, device="d", common=OXIMETER, mono=None, in_step=True):
    series = running.store.series(device, None, common)
    stamp = Stamp(int((T0 + seconds) * US), int(seconds * US) if mono is None else mono, in_step)
    while not (seq := running.store.append(series, stamp, orjson.dumps(body))):
        await running.store.wait_until_writable()
    return seq


async def fill(running, count, every=1.0, value=lambda n: 90 + n % 10, **kwargs):
    for n in range(count):
        seq = await put(running, n * every, {"spo2": value(n)}, **kwargs)
    await running.store.stored(seq)


def cells(found):
    return {
        curve: {start: (*cell.row()[:4], cell.newest) for start, cell in points.items()}
        for curve, points in found.curves.items()
    }


async def summarised(running, zones):
    def rows():
        with database(running.store.path) as db:
            return db.execute("SELECT count(*) FROM summary_zone").fetchone()[0]

    await until(lambda: rows() == zones)


async def test_a_curve_has_least_most_mean_and_last_of_each_bucket(start):
    async with start() as running:
        await fill(running, 100, value=lambda n: [97, 90, 99, 94][n % 4])
        found = await running.store.history.curves("d", None, T0, T0 + 100, 50)
        assert (found.step, found.complete) == (50, True)
        [(curve, points)] = found.curves.items()
        assert curve == CurveName("pulse_oximetry", "spo2", "%")
        assert [(start, cell.count, cell.least, cell.most, cell.newest) for start, cell in points.items()] == [
            (T0, 50, 90, 99, 90),
            (T0 + 50, 50, 90, 99, 94),
        ]
        assert points[T0].total / 50 == fmean([97, 90, 99, 94] * 12 + [97, 90])


async def test_summaries_and_rows_tell_the_same(start):
    async with start() as running:
        await fill(running, ZONE_ROWS + 3000)
        await summarised(running, 1)
        history, end = running.store.history, T0 + ZONE_ROWS + 3000
        fast = await history.curves("d", None, T0, end, 600)
        rows = await history.curves("d", None, T0, end, 60)
        assert (fast.step, rows.step) == (600, 60)
        assert sum(cell.count for cell in fast.curves[CurveName("pulse_oximetry", "spo2", "%")].values()) == end - T0
        joined: dict[int, list[int]] = {}
        for start_, cell in rows.curves[CurveName("pulse_oximetry", "spo2", "%")].items():
            joined.setdefault(start_ // 600 * 600, []).append(cell)
        assert cells(fast)[CurveName("pulse_oximetry", "spo2", "%")] == {
            at: (
                sum(cell.count for cell in parts),
                min(cell.least for cell in parts),
                max(cell.most for cell in parts),
                sum(cell.total for cell in parts),
                parts[-1].newest,
            )
            for at, parts in joined.items()
        }


async def test_a_zone_is_summarised_as_it_grows_and_the_same_as_out_of_the_file(start, monkeypatch):
    read = []
    out_of_the_file = SummaryWriter._read

    async def noted(self, zone):
        read.append(zone)
        return await out_of_the_file(self, zone)

    def kept():
        with database(running.store.path) as db:
            tables = [db.execute(f"SELECT * FROM {name} WHERE zone = 1").fetchall() for name in names]
        return [sorted(rows) for rows in tables]

    monkeypatch.setattr(SummaryWriter, "_read", noted)
    names = ("summary", "summary_zone")
    async with start() as running:
        for n in range(2 * ZONE_ROWS):
            body = {"spo2": 90 + n % 10 if n % 7 else 91.5, "mode": "x", **({"pulse": n} if n % 3 else {})}
            seq = await put(running, n, body, device=f"d{n % 5}", mono=n * US, in_step=n % 11 != 0)
            if n % 2000 == 0:
                running.store.event("test", {"n": n})
        await running.store.stored(seq)
        await summarised(running, 2)
        grown = kept()
        assert read == [0]  # it was begun before the start
        assert len(grown[0]) > 50
        with database(running.store.path) as db:
            for name in names:
                db.execute(f"DELETE FROM {name} WHERE zone = 1")
        running.store.summaries.wake()
        await summarised(running, 2)
        assert (read, kept()) == ([0, 1], grown)


async def test_rows_that_go_while_their_zone_grows_are_in_no_summary(start):
    async with start(brokers=()) as running:
        await fill(running, ZONE_ROWS + 6000)
        await running.store.retention._delete(0, 0, ZONE_ROWS + 3000)
        await fill(running, ZONE_ROWS - 6000)
        await until(lambda: running.store.summaries._newest._summary.zone == 2)

        def rows():
            with database(running.store.path) as db:
                return db.execute("SELECT sum(count) FROM summary WHERE zone = 1").fetchone()[0]

        await until(lambda: rows() == ZONE_ROWS - 3000)


async def test_what_would_cost_too_much_comes_coarser(start, monkeypatch):
    monkeypatch.setattr("gatepost.agent.store.curves.reader.RAW_ROWS", 1000)
    async with start() as running:
        await fill(running, ZONE_ROWS)
        await summarised(running, 1)
        found = await running.store.history.curves("d", None, T0, T0 + ZONE_ROWS, 10)
        assert found.step == STEP
        assert found.since % found.step == found.until % found.step == 0


async def test_seldom_readings_have_no_summary_and_are_in_the_curve(start):
    async with start() as running:
        await fill(running, ZONE_ROWS, every=3600.0)
        await summarised(running, 1)
        with database(running.store.path) as db:
            assert db.execute("SELECT count(*) FROM summary").fetchone() == (0,)
        found = await running.store.history.curves("d", None, T0, T0 + 864_000, 86_400)
        assert sum(cell.count for cell in found.curves[CurveName("pulse_oximetry", "spo2", "%")].values()) >= 240
        assert found.step == 86_400


async def test_a_stretch_without_readings_is_a_gap(start):
    async with start() as running:
        await put(running, 0, {"spo2": 97})
        await running.store.stored(await put(running, 120, {"spo2": 96}))
        found = await running.store.history.curves("d", None, T0, T0 + 180, 60)
        assert list(found.curves[CurveName("pulse_oximetry", "spo2", "%")]) == [T0, T0 + 120]


async def test_two_units_are_two_curves_and_other_devices_none(start):
    async with start() as running:
        for unit, value in (("Cel", 37.0), ("[degF]", 98.6)):
            common = {**GOOD, "metric_type": "body_temperature", "units": {"temperature": unit}}
            await put(running, 1, {"temperature": value}, common=common)
        await running.store.stored(await put(running, 2, {"spo2": 97}, device="other"))
        found = await running.store.history.curves("d", None, T0, T0 + 60, 60)
        assert {curve.unit: cell.newest for curve, points in found.curves.items() for cell in points.values()} == {
            "Cel": 37.0,
            "[degF]": 98.6,
        }


async def test_only_numbers_count(start):
    async with start() as running:
        body = {"spo2": True, "rr_intervals": [800, 810], "site": "finger", "huge": 10**17}
        await put(running, 1, body)
        await put(running, 2, {"samples": [1, 2], "rate_hz": 250, "scale": 1, "offset": 0, "unit": "mV"})
        await running.store.stored(await put(running, 3, {"heart_rate": 70, "spo2": 97}))
        found = await running.store.history.curves("d", None, T0, T0 + 60, 60, {"spo2", "rr_intervals", "rate_hz"})
        assert [(curve.name, points[T0].count) for curve, points in found.curves.items()] == [("spo2", 1)]


async def test_a_damaged_row_is_in_no_curve(start):
    async with start() as running:
        seq = await put(running, 1, {"spo2": 97})
        await running.store.stored(await put(running, 2, {"spo2": 96}))
        with database(running.store.path) as db:
            db.execute("UPDATE reading SET body = ? WHERE seq = ?", (b'{"spo2":17}', seq))
        found = await running.store.history.curves("d", None, T0, T0 + 60, 60)
        [cell] = found.curves[CurveName("pulse_oximetry", "spo2", "%")].values()
        assert (cell.count, cell.least) == (1, 96)


async def test_times_that_are_rectified_later_move_the_summaries(start):
    async with start() as running:
        for n in range(ZONE_ROWS):
            seq = await put(running, n - 1e8, {"spo2": 97}, mono=n * US, in_step=False)
        await running.store.stored(seq)
        await summarised(running, 1)
        assert not (await running.store.history.curves("d", None, T0, T0 + 7200, 600)).curves
        now = running.clock.now()
        assert await running.store.clock_in_step()
        boot = (now.wall - now.mono) // US  # of this boot, in wall time

        def steps():
            with database(running.store.path) as db:
                return db.execute("SELECT boot FROM summary_zone").fetchall()

        await until(lambda: steps() == [(None,)])
        found = await running.store.history.curves("d", None, boot, boot + 7200, 600)
        assert sum(cell.count for cell in found.curves[CurveName("pulse_oximetry", "spo2", "%")].values()) > 6000


async def test_what_was_deleted_is_in_no_summary(start):
    async with start(brokers=()) as running:
        await fill(running, 2 * ZONE_ROWS)
        await summarised(running, 2)
        await running.store.retention._delete(0, 0, ZONE_ROWS + 4000)
        with database(running.store.path) as db:
            await until(lambda: db.execute("SELECT min(zone) FROM summary").fetchone() == (1,))
            oldest = T0 + ZONE_ROWS + 4000
            await until(
                lambda: db.execute("SELECT min(bucket) FROM summary").fetchone()[0] >= oldest - COARSE_STEP - STEP
            )


async def test_a_log_of_an_earlier_version_is_summarised_after_the_start(start):
    async with start() as running:
        await fill(running, ZONE_ROWS)
        await summarised(running, 1)
    with database(running.store.path) as db:
        db.executescript("DROP TABLE summary; DROP TABLE summary_zone; PRAGMA user_version = 2;")
    async with start() as running:
        await summarised(running, 1)
        found = await running.store.history.curves("d", None, T0, T0 + ZONE_ROWS, 1800)
        assert sum(cell.count for cell in found.curves[CurveName("pulse_oximetry", "spo2", "%")].values()) == ZONE_ROWS


async def test_a_search_that_takes_too_long_says_from_when_on_it_is_whole(start, monkeypatch):
    async with start() as running:
        await fill(running, 3000)
        monkeypatch.setattr("gatepost.agent.store.curves.reader.SEARCH_SECONDS", -1.0)
        found = await running.store.history.curves("d", None, T0, T0 + 3000, 10)
        assert (found.complete, found.since, found.curves) == (False, T0 + 3000, {})


async def test_nothing_of_a_device_that_was_never_here(start):
    async with start() as running:
        await running.store.stored(await put(running, 1, {"spo2": 97}))
        assert await running.store.history.curves("nobody", None, T0, T0 + 60, 60) is None


VALUES = st.one_of(
    st.integers(-5, 5), st.floats(-10, 10), st.booleans(), st.just(1 << 60), st.text(max_size=2), st.just([1])
)
BODIES = st.lists(st.dictionaries(st.sampled_from(["a", "b", "samples"]), VALUES, max_size=3), min_size=1, max_size=8)


@given(BODIES)
def test_columns_are_the_numbers_of_each_body(bodies):
    texts, seqs = [orjson.dumps(body) for body in bodies], range(len(bodies), 0, -1)
    told: dict[str, tuple[list[float], int]] = {}
    for text, seq in zip(texts, seqs, strict=True):
        for name, value in numbers(text):
            told.setdefault(name, ([], seq))[0].append(value)
    assert {name: (list(values), seq) for name, values, seq in columns(texts, list(seqs))} == told
