from __future__ import annotations

import pytest

from gatepost.agent.cli.main import VERBS

SUBVERBS = [
    ("brokers", "connect"),
    ("brokers", "disconnect"),
    ("store", "check"),
    ("store", "repair"),
    ("scan", "ble"),
    ("scan", "serial"),
]
SUBVERBS += [("token", name) for name in ("create", "list", "revoke", "browser")]
ALL = [(verb,) for verb in VERBS] + SUBVERBS
PRINTS_NO_DATA = {("run",), ("store",), ("demo",), ("scan",), ("token",), ("completion",)}
ASKS_AN_AGENT = [
    ("status",),
    ("devices",),
    ("brokers",),
    ("brokers", "connect"),
    ("brokers", "disconnect"),
    ("readings",),
    ("backlog",),
    ("send",),
    ("publish",),
    ("subscribe",),
    ("export",),
    ("reload",),
    ("doctor",),
    ("config",),
    ("scan", "ble"),
    ("scan", "serial"),
]


@pytest.mark.parametrize("verb", ALL, ids=" ".join)
def test_the_help_of_every_verb_has_an_example(gatepost, verb):
    shown = gatepost(*verb, "--help")
    assert shown.code == 0
    assert f"Example:\n    gatepost {' '.join(verb)}" in shown.out


@pytest.mark.parametrize("verb", [verb for verb in ALL if verb not in PRINTS_NO_DATA], ids=" ".join)
def test_every_verb_that_prints_data_has_json(gatepost, verb):
    assert "--json" in gatepost(*verb, "--help").out


@pytest.mark.parametrize("verb", ASKS_AN_AGENT, ids=" ".join)
def test_every_verb_that_asks_the_agent_can_be_told_where_it_is(gatepost, verb):
    shown = gatepost(*verb, "--help").out
    assert "--socket" in shown
    assert "--config" in shown
    assert "$GATEPOST_SOCKET" in shown


def test_a_verb_that_is_none_is_answered_with_the_nearest(gatepost):
    shown = gatepost("staus")
    assert (shown.code, "there is no verb 'staus'; did you mean status?" in shown.err) == (2, True)
    assert "did you mean" not in gatepost("xyzzy").err


def test_the_overview_names_every_verb(gatepost):
    shown = gatepost("--help").out
    for verb in VERBS:
        assert f"\n  {verb} " in shown


@pytest.mark.parametrize("arguments", [(), ("brokers",), ("store",), ("scan",)], ids=" ".join)
def test_the_first_sentences_fit(gatepost, monkeypatch, arguments):
    monkeypatch.setenv("COLUMNS", "80")
    shown = gatepost(*arguments, "--help").out
    commands = shown[shown.index("Commands:") :]
    assert "..." not in commands
    assert "…" not in commands


@pytest.mark.parametrize(
    "arguments", [(), ("walk",), ("status", "--loud"), ("send",), ("run", "--fast"), ("run", "--config"), ("store",)]
)
def test_wrong_usage_is_2(gatepost, arguments):
    shown = gatepost(*arguments)
    assert shown.code == 2
    assert "Traceback" not in shown.err + shown.out
