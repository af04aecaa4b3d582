from __future__ import annotations

import csv
import io
import json
import os
import stat
from contextlib import suppress

import pytest

from gatepost.agent.cli.support.export_part import ExportMark, part_file
from gatepost.agent.cli.support.export_writers import output
from gatepost.agent.cli.verbs import export
from gatepost.agent.cli.verbs.export import PAGE, pages
from gatepost.agent.core.errors import GatepostError
from gatepost.client import GatewayError, RateLimited, ReadingDict, Unavailable
from gatepost.client.retries import ATTEMPTS
from tests.cli.conftest import spawn

QUIET = {"device": None, "metric": None}


def test_csv_has_a_row_for_each_value(gatepost, agent, place):
    agent.take(spo2=97, heart_rate=71)
    agent.take(metric="environment", temperature=21.5)
    file = place / "out.csv"
    done = gatepost("export", file, "--format", "csv")
    assert done.code == 0, done.err
    assert "2 readings" in done.out
    rows = list(csv.DictReader(io.StringIO(file.read_bytes().decode())))
    assert [(row["metric_type"], row["name"], row["value"], row["unit"]) for row in rows] == [
        ("environment", "temperature", "21.5", ""),
        ("pulse_oximetry", "spo2", "97", "%"),
        ("pulse_oximetry", "heart_rate", "71", ""),
    ]
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in place.iterdir() if "out.csv" in path.name] == ["out.csv"]


def test_the_format_is_that_of_the_name_or_asked_for(gatepost, agent, place):
    agent.take(spo2=97)
    assert gatepost("export", place / "out.CSV").code == 0
    assert (place / "out.CSV").read_text().startswith("id,timestamp,")
    assert gatepost("export", place / "out.ndjson").code == 0
    assert json.loads((place / "out.ndjson").read_text())["spo2"] == 97
    for name in (place / "out", "-"):
        refused = gatepost("export", name)
        assert refused.code == 2
        assert ".csv, .jsonl, .parquet" in refused.err


def test_json_lines_are_the_readings_and_filters_hold(gatepost, agent):
    agent.take(device="cuff-3", metric="blood_pressure", systolic=120)
    wanted = agent.take(spo2=95)
    out = gatepost("export", "-", "--format", "jsonl", "--device", "oximeter-1", "--metric", "pulse_oximetry").out
    assert [json.loads(line)["id"] for line in out.splitlines()] == [wanted]
    assert gatepost("export", "-", "--format", "jsonl", "--until", "2020-01-01T00:00:00Z").out == ""
    missing = gatepost("export", "-", "--format", "csv", "--device", "nobody")
    assert missing.code == 1
    assert "nobody" in missing.err


def test_history_of_a_removed_device_is_exported(gatepost, agent):
    left = agent.take(device="away-7", spo2=95)
    shown = gatepost("export", "-", "--format", "jsonl", "--device", "away-7")
    assert (shown.code, [json.loads(line)["id"] for line in shown.out.splitlines()]) == (0, [left])


def test_what_is_there_is_replaced_only_by_force(gatepost, agent, place):
    file = place / "out.jsonl"
    file.write_text("mine")
    refused = gatepost("export", file, "--format", "jsonl")
    assert refused.code == 1
    assert "--force" in refused.err
    assert file.read_text() == "mine"
    answer = json.loads(gatepost("export", file, "--format", "jsonl", "--force", "--json").out)
    assert answer == {"file": str(file), "format": "jsonl", "readings": 0}
    assert file.read_text() == ""


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_no_file_is_never_replaced(gatepost, agent, place, form):
    os.mkfifo(pipe := place / f"pipe.{form}")
    refused = gatepost("export", pipe, "--format", form, "--force")
    assert refused.code == 1
    assert "is not a regular file" in refused.err
    assert stat.S_ISFIFO(pipe.lstat().st_mode)


def test_never_half_a_file(tmp_path):
    file = tmp_path / "out.csv"

    def interrupted():
        with output(str(file), "csv", False) as out:
            out.write([ReadingDict(id="a", metric_type="m", spo2=1)])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(GatepostError), output(str(tmp_path / "none" / "out.csv"), "csv", False):
        pass


class Flaky:
    """Gives two pages; fails as told before each."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.asked = []

    def readings(self, **query):
        self.asked.append(query)
        if self.errors:
            raise self.errors.pop(0)
        return {"readings": [ReadingDict(n=query["cursor"])], "cursor": 7 if query["cursor"] is None else None}


def test_a_page_that_does_not_come_is_asked_for_again():
    slow = RateLimited("too-many-requests", "slowly", "", 429)
    slow.retry_after = 9.0
    client = Flaky(GatewayError("connection-lost", "gone"), slow)
    waits, told = [], []
    found = list(pages(client, QUIET, lambda *said: told.append(said), waits.append))
    assert [page["readings"][0]["n"] for page in found] == [None, 7]
    assert waits == [0.5, 9.0]
    assert len(told) == 2
    assert {query["limit"] for query in client.asked} == {PAGE}


def test_it_is_given_up_at_last_and_other_errors_at_once():
    client = Flaky(*[Unavailable("unavailable", "no") for _ in range(ATTEMPTS)])
    with pytest.raises(Unavailable):
        list(pages(client, QUIET, lambda *said: None, lambda seconds: None))
    assert len(client.asked) == ATTEMPTS
    client = Flaky(GatewayError("bad-answer", "no"))
    with pytest.raises(GatewayError):
        list(pages(client, QUIET, lambda *said: None, lambda seconds: None))
    assert len(client.asked) == 1


def test_a_waveform_and_lists_are_json_in_csv(capsysbinary, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, write_through=True))
    wave = {"samples": [1, 2], "rate_hz": 2, "scale": 0.1, "offset": 0, "unit": "mV", "channel": "I"}
    with output("-", "csv", False) as out:
        out.write([ReadingDict(id="a", metric_type="ecg", flags=["x", "y"], rr_intervals=[1, 2], **wave)])
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(raw.getvalue().decode()))}
    assert rows["samples"]["value"] == "[1,2]"
    assert (rows["rate_hz"]["value"], rows["scale"]["value"]) == ("2", "0.1")
    assert (rows["samples"]["unit"], rows["samples"]["flags"]) == ("mV", "x y")
    assert rows["rr_intervals"]["value"] == "[1,2]"
    assert rows["channel"]["value"] == "I"


def test_parquet(gatepost, agent, place):
    parquet = pytest.importorskip("pyarrow.parquet")
    agent.take(spo2=97, site="finger")
    file = place / "out.parquet"
    assert gatepost("export", file, "--format", "parquet").code == 0
    rows = {row["name"]: row for row in parquet.read_table(file).to_pylist()}
    assert (rows["spo2"]["value"], rows["spo2"]["text"]) == (97.0, None)
    assert (rows["site"]["value"], rows["site"]["text"]) == (None, "finger")
    assert rows["spo2"]["timestamp"].tzinfo is not None


def test_without_pyarrow_it_says_what_to_install(gatepost, agent, place, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    wrong = gatepost("export", place / "out.parquet", "--format", "parquet")
    assert wrong.code == 1
    assert ".[parquet]" in wrong.err
    assert not list(place.glob("*parquet*"))
    assert gatepost("export", "-", "--format", "parquet").code == 1


def test_a_reader_that_leaves_early_ends_it_quietly(agent):
    for number in range(300):
        agent.take(spo2=60 + number % 40)
    for form in ("csv", "jsonl"):
        exporting = spawn("export", "--format", form, "-")
        exporting.stdout.read(20)
        exporting.stdout.close()
        _, err = exporting.communicate(timeout=30)
        assert b"Traceback" not in err, err
        assert exporting.returncode == 0


def test_the_oldest_first(gatepost, agent, place):
    for number in range(30):
        agent.take(spo2=number)
    file = place / "out.jsonl"
    assert gatepost("export", file, "--oldest-first").code == 0
    assert [json.loads(line)["spo2"] for line in file.read_text().splitlines()] == list(range(30))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_export_that_was_broken_off_goes_on(gatepost, agent, place, monkeypatch, ending):
    monkeypatch.setattr(export, "PAGE", 10)
    for number in range(35):
        agent.take(spo2=number)
    file, whole = place / f"out.{ending}", place / f"whole.{ending}"
    assert gatepost("export", whole).code == 0
    asked = []

    def broken(ask, sleep, tell):
        asked.append(ask.keywords["cursor"])
        if len(asked) == 3:
            raise Unavailable("unavailable", "it is gone", "")
        return ask()

    monkeypatch.setattr(export, "retried", broken)
    ended = gatepost("export", file)
    assert ended.code == 1
    assert "broken off after 20 readings run it again to go on" in " ".join(ended.err.split())
    assert not file.exists()
    part = next(place.glob(f".{file.name}.part"))
    assert part.stat().st_mode & 0o777 == 0o600
    part.write_bytes(part.read_bytes() + b"half a li")  # what came after the last mark
    agent.take(spo2=99)
    done = gatepost("export", file)
    assert done.code == 0
    assert "going on after 20 readings" in done.err
    assert "35 readings" in done.out
    assert file.read_bytes() == whole.read_bytes()
    assert [path.name for path in place.iterdir() if file.name in path.name] == [file.name]


def test_with_other_options_it_begins_anew(place, tmp_path):
    path = tmp_path / "out.csv"
    with suppress(KeyboardInterrupt), part_file(path, False, ExportMark({"device": "a"})) as part:
        part.file.write(b"one")
        part.keep(7, 1)
        with pytest.raises(GatepostError, match="another export"), part_file(path, False, ExportMark({})):
            pass
        raise KeyboardInterrupt
    with part_file(path, False, ExportMark({"device": "b"})) as part:
        assert (part.mark.cursor, part.file.tell()) == (None, 0)
        part.file.write(b"another")
        part.keep(None, 1)
    assert path.read_bytes() == b"another"
    assert [each.name for each in tmp_path.glob("*out.csv*")] == ["out.csv"]
    assert not list(tmp_path.glob(".out.csv*"))


def test_a_link_that_lies_where_the_part_will_be_is_not_followed(tmp_path):
    """On a stick or in a folder of others, an export by root would write wherever it leads."""
    (tmp_path / "victim").write_text("kept")
    (tmp_path / ".out.csv.part").symlink_to(tmp_path / "victim")
    with pytest.raises(GatepostError), part_file(tmp_path / "out.csv", False, ExportMark({})) as part:
        part.file.write(b"readings")
    assert (tmp_path / "victim").read_text() == "kept"


def test_a_terminal_gets_no_escape_sequence_of_a_device(monkeypatch):
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, write_through=True)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout", terminal)
    reading = ReadingDict({"id": "a", "device_id": "d", "metric_type": "m", "state": "\u202e\x1b]0;x\x07"})
    for form in ("csv", "jsonl"):
        with output("-", form, False) as out:
            out.write([reading])
    text = raw.getvalue().decode()
    assert "\\u202e\\u001b]0;x\\u0007" in text
    assert text.replace("\r\n", "").replace("\n", "").isprintable()
