from __future__ import annotations

import pytest

MAIN = "brokers: {Ward-7.a: {url: 'mqtt://x', password: {credential: c}}}\nstore: {keep: 1d}\n"


def one(loaded):
    assert len(loaded.problems) == 1, list(map(str, loaded.problems))
    return loaded.problems[0]


def test_one_value_is_overridden_and_says_so(read):
    loaded = read(MAIN, env={"GATEPOST_STORE__KEEP": "2d", "GATEPOST_logging__Level": "debug", "HOME": "/root"})
    assert loaded.problems == []
    assert loaded.settings.store.keep == 2 * 86400
    assert loaded.settings.logging.level == "debug"
    assert ("store.keep", "2d", "environment variable GATEPOST_STORE__KEEP") in loaded.effective()


def test_names_match_without_case_and_with_underscores(read):
    loaded = read(MAIN, env={"GATEPOST_BROKERS__WARD_7_A__URL": "mqtts://y"})
    assert loaded.problems == []
    assert loaded.settings.brokers["Ward-7.a"].url == "mqtts://y"


def test_a_broker_and_a_device_can_be_made_of_nothing_else(read):
    loaded = read(
        env={
            "GATEPOST_BROKERS__hospital__URL": "mqtt://x",
            "GATEPOST_DEVICES__PROBE__DRIVER": "printer",
            "GATEPOST_DEVICES__PROBE__PORT": "/dev/p",
            "GATEPOST_DEVICES__PROBE__OPTIONS__METRIC": "yes",
            "GATEPOST_DEVICES__PROBE__THRESHOLDS__spo2__MIN": "90",
        }
    )
    assert loaded.problems == []
    assert list(loaded.settings.brokers) == ["hospital"]
    assert loaded.settings.devices["probe"].options == {"metric": "yes"}
    assert loaded.settings.devices["probe"].thresholds["spo2"].min == 90


@pytest.mark.parametrize("text", ["0123", "yes", "12:30", "1.10", "true"])
def test_a_text_needs_no_quotes_there(read, text):
    loaded = read("{}", env={"GATEPOST_GATEWAY__LABELS__a": text})
    assert loaded.problems == []
    assert loaded.settings.gateway.labels == {"a": text}


def test_an_empty_one_gives_the_default_back(read):
    loaded = read(MAIN, env={"GATEPOST_STORE__KEEP": ""})
    assert loaded.problems == []
    assert loaded.settings.store.keep == 7 * 86400


@pytest.mark.parametrize(
    ("name", "text", "code", "part"),
    [
        ("GATEPOST_STORE__KEP", "1d", "unknown-environment", "did you mean keep?"),
        ("GATEPOST_STROE__KEEP", "1d", "unknown-environment", "did you mean store?"),
        ("GATEPOST_STORE__KEEP", "1", "bad-duration", "write 1s"),
        ("GATEPOST_STORE__KEEP__X", "1", "unknown-environment", "has no keys"),
        ("GATEPOST_BROKERS__WARD_7_A__FAILOVER", "mqtt://y", "unknown-environment", "a list or a section"),
        ("GATEPOST_STORE____KEEP", "1", "unknown-environment", "unknown setting"),
        ("GATEPOST_LOGGING__LEVEL", "yes", "bad-choice", ""),
        ("GATEPOST_BROKERS__WARD_7_A__COMMANDS", "yes", "not-a-bool", "write true"),
    ],
)
def test_what_is_wrong_with_one_names_it(read, name, text, code, part):
    problem = one(read(MAIN, env={name: text}))
    assert problem.code == code
    assert part in str(problem)
    assert str(problem).startswith(f"environment variable {name}: ")
    assert problem.severity == "error"


def test_names_that_are_no_settings(read):
    assert read(MAIN, env={"GATEPOST_SOCKET": "/x", "GATEPOST_CONFIG": "/y"}).problems == []
    assert one(read(MAIN, env={"GATEPOST_SERVICE_HOST": "10.0.0.1"})).severity == "warning"


def test_a_secret_may_live_in_a_variable_with_our_prefix(read):
    main = "brokers: {a: {url: 'mqtt://x', password: {env: GATEPOST_A__PASSWORD}}}"
    assert read(main, env={"GATEPOST_A__PASSWORD": "geheim"}).problems == []


def test_a_secret_given_directly_is_warned_about_and_hidden(read):
    loaded = read(
        MAIN.replace("password: {credential: c}", "qos: 1"), env={"GATEPOST_BROKERS__WARD_7_A__PASSWORD": "geheim"}
    )
    assert one(loaded).code == "plain-secret"
    assert "geheim" not in str(loaded.effective())
