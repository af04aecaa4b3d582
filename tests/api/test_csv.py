from __future__ import annotations

import csv
import io

import pytest

from gatepost.agent.store.csv_export import COLUMNS, header, rows

CSV = {"accept": "text/csv"}


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


async def test_history_as_csv_is_whole_and_one_row_a_value(app, http):
    for number in range(450):
        await app.take(spo2=number, note='a "b", c')
    answer = await http.get("/api/v1/devices/oximeter-1/data", headers=CSV)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    kept = (answer.headers["cache-control"], answer.headers["x-content-type-options"])
    assert kept == ("no-store", "nosniff")  # readings stay in no cache
    found = table(answer.text)
    assert tuple(found[0]) == COLUMNS
    values = [row for row in found if row["name"] == "spo2"]
    assert [int(row["value"]) for row in values] == list(range(449, -1, -1))
    assert (values[0]["unit"], values[0]["patient_id"], values[0]["urgent"]) == ("%", "P-001", "false")
    assert {row["value"] for row in found if row["name"] == "note"} == {'a "b", c'}
    some = await http.get("/api/v1/readings", headers=CSV, params={"limit": 3, "since": values[9]["timestamp"]})
    assert [row["value"] for row in table(some.text) if row["name"] == "spo2"] == ["449", "448", "447"]


async def test_csv_of_nothing_is_a_header_and_of_nobody_404(app, http):
    assert (await http.get("/api/v1/devices/cuff-3/data", headers=CSV)).content == header()
    answer = await http.get("/api/v1/devices/nobody/data", headers=CSV)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


def test_a_waveform_and_flags_keep_their_cells():
    reading = {
        "id": "g:e:1",
        "metric_type": "ecg",
        "samples": [1, -2],
        "rate_hz": 250,
        "unit": "uV",
        "flags": ["a:b", "c:d"],
        "device_timestamp": None,
    }
    found = table((header() + rows([reading])).decode())
    cells = [(row["name"], row["value"], row["unit"], row["flags"]) for row in found]
    assert cells == [("samples", "[1,-2]", "uV", "a:b c:d"), ("rate_hz", "250", "", "a:b c:d")]


FORMULAS = ["=1+1", "+1", "-1 bar", "@SUM(A1)", "\t=1", "\r=1", "\x00=1", "  =1", " \xa0@A", "\uff1d1", "\u3000\uff0b1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_spreadsheet_takes_a_text_for_a_formula(text):
    reading = {"device_id": text, "metric_type": "m", "state": text, "level": -1.5}
    file = io.StringIO((header() + rows([reading])).decode(), newline="")
    found = [(row["device_id"], row["value"]) for row in csv.DictReader(file)]
    assert found == [(f"'{text}", f"'{text}"), (f"'{text}", "-1.5")]
