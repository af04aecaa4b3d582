"""In 80 and 60 columns every line fits and no word is split; only paths may be shortened."""

from __future__ import annotations

import pytest

from gatepost.agent.cli.support.formatting import clock_time
from gatepost.agent.cli.support.output import say
from gatepost.agent.cli.support.tables import ColumnPlan, fold, shortened
from gatepost.agent.core.printable import in_colour

LONG = "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
SETTINGS = f"""
gateway: {{id: ward-7, state_dir: STATE}}
api: {{socket: STATE/none.sock}}
brokers:
  hospital-of-the-north: {{url: "mqtts://broker.some-hospital.example:8883", username: a, password: secret}}
devices:
  oximeter-1: {{driver: contec-cms50d-plus, port: {LONG}, thresholds: {{heart_rate: {{min: 40, max: 130}}}}}}
"""
VERBS = [
    ("status",),
    ("devices",),
    ("devices", "oximeter-1"),
    ("brokers",),
    ("readings",),
    ("backlog",),
    ("backlog", "--gaps"),
    ("backlog", "--dead-letters"),
    ("config", "--running"),
    ("config", "--config", "SETTINGS"),
    ("drivers",),
    ("drivers", "lines"),
    ("drivers", "and-scale"),
    ("doctor",),
    ("doctor", "--config", "SETTINGS"),
    ("check", "SETTINGS"),
    ("check", "BROKEN"),
    ("send", "oximeter-1", "set_interval", "interval=30"),
]


@pytest.fixture
def crowded(agent, settings, place):
    """A gateway whose names, paths and reasons are as long as real ones are."""
    devices, brokers = agent.app.devices.by_id, agent.app.brokers.by_name
    devices["oximeter-1"].state.update(driver="contec-cms50d-plus", port=LONG, readings=1_234_567, monitoring=False)
    devices["cuff-3"].state.update(
        port="/dev/ttyUSB17", message="/dev/ttyUSB17 is not there: the device is unplugged, off, or has another name"
    )
    brokers["hospital"].state.update(
        url="mqtts://broker.some-hospital.example:8883",
        endpoint="mqtts://standby.some-hospital.example:8883",
        delivered_by_lane={"live": 1_234_567, "backlog": 12_345, "urgent": 7},
    )
    brokers["lab"].state.update(reason="the broker did not accept the user name or the password of this gateway")
    agent.app.last_reload = {
        "applied": False,
        "at": "2024-11-18T00:00:00Z",
        "problems": ["/etc/gatepost/conf.d/50-ward.yaml:3:1: devices.a.prt: unknown key; did you mean port?"],
    }
    agent.take(heart_rate=72, perfusion_index=3.2, urgent=True)
    agent.take(device="cuff-3", metric="blood_pressure", systolic=120, diastolic=80, mean=93, heart_rate=72)
    agent.lose("oximeter-1", 5, "queue-full")
    agent.refuse("lab", 0x99, "the payload format is invalid, said the broker")
    good = SETTINGS.replace("STATE", str(place))
    return {"SETTINGS": settings(good), "BROKEN": settings(good.replace("port:", "prt:"), "broken.yaml")}


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_word_is_split(gatepost, crowded, monkeypatch, verb):
    arguments = [crowded.get(part, part) for part in verb]
    monkeypatch.setenv("COLUMNS", "100000")
    whole = gatepost(*arguments)
    for width in (80, 60):
        monkeypatch.setenv("COLUMNS", str(width))
        fits(gatepost(*arguments), whole, width)


def fits(narrow, whole, width):
    assert narrow.code == whole.code
    for line in narrow.out.splitlines():
        assert len(line) <= width or len(line.split()) <= 2, line  # a label, and a word that is wider than the screen
    missing = {word for word in whole.out.split() if not word.isupper()} - set(narrow.out.split())
    assert {word for word in missing if not changes(word)} == set()


def changes(word):
    """Figures of time go on meanwhile; headings that moved are labels now; a path may be shortened."""
    return word == "-" or word.isdigit() or word == LONG or word[:2].isdigit()


def test_a_table_that_fits_is_left_alone():
    plan = ColumnPlan(("a", "why"), [["x", "because of y"]], 20, ("why",))
    assert [text for _, text in plan.row(0)] == ["x", "because of y"]
    assert plan.below(0) == []


def test_only_the_cells_that_do_not_fit_move_below():
    plan = ColumnPlan(("a", "why"), [["x", "because of y"], ["y", "because of something else"]], 20, ("why",))
    assert [text for _, text in plan.row(1)] == ["y", " " * 12]
    assert plan.below(1) == [("why", "because of something else")]
    assert plan.below(0) == []


def test_a_column_none_of_whose_cells_fits_has_no_heading():
    plan = ColumnPlan(("a", "b", "why"), [["x", "1", "because of y"]], 10, ("why",))
    assert [name for name, _ in plan.heading()] == ["a", "b"]


def test_paths_are_shortened_first_and_told_in_full_where_they_move():
    plan = ColumnPlan(("a", "port"), [["x", LONG]], 40, ("port",), ("port",))
    assert plan.row(0)[1][1] == "usb-FTDI_FT…5BI-if00-port0"[:11] + "…" + LONG[-12:]
    assert ColumnPlan(("a", "port"), [["x", LONG]], 20, ("port",), ("port",)).below(0) == [("port", LONG)]
    assert shortened("/dev/serial/by-id/usb-short") == "usb-short"


def test_folding_keeps_words_whole():
    assert fold("one two three", 8, 2) == ["one two", "  three"]
    assert fold("x " + "y" * 20 + " z", 10) == ["x", "y" * 20, "z"]
    assert fold(red := in_colour("red", "31") + " word", 8) == [red]


def test_what_a_broker_says_makes_no_line_and_no_colour_of_its_own(capsys):
    say("\nwhy  refused (no\nok: all is well \x1b[32mok\x1b[0m)\n")
    assert capsys.readouterr().out == "\nwhy  refused (no\\nok: all is well \\u001b[32mok\\u001b[0m)\n\n"
    assert fold("anything", None) == ["anything"]


def test_the_date_of_today_is_left_out():
    from datetime import UTC, datetime

    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert clock_time("2026-11-20T10:30:00.123456Z", now) == "10:30:00.123Z"
    assert clock_time("2024-11-19T10:30:00.123456Z", now) == "2024-11-19 10:30:00Z"


def test_one_long_row_moves_no_column_of_the_others():
    rows = [["10:30", "spo2 97 %", "urgent"] for _ in range(9)]
    rows.append(["10:31", "temperature 21.5, humidity 40.3", "urgent"])
    plan = ColumnPlan(("time", "values", "flags"), rows, 30, below=("flags", "values"))
    assert all(plan.below(number) == [] for number in range(9))
    assert plan.below(9) == [("values", "temperature 21.5, humidity 40.3")]
    assert sum(plan.widths.values()) + 4 <= 30
