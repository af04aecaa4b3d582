"""Whatever stands in the files: settings or problems, never an exception, and every place exists."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatepost.agent.settings import load

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# fmt: off
WORDS = st.sampled_from([
    "gateway", "store", "brokers", "devices", "keep", "url", "driver", "printer", "port", "options", "tls", "password",
    "allow", "routes", "topics", "thresholds", "min", "fields", "failover", "mqtt://x", "mqtt://u:p@x:0", "{device}",
    "yes", "null", "~", "0123", "12:30:00", "1h", "5", "-1", "1e999", ".nan", "<<", "*a", "&a", "!x", "'", '"', "|",
    ": ", ":", "\n", "\n  ", "\n\t", "{", "}", "[", "]", ", ", "- ", "#", "? ", "%", "---\n", "\x00", "\u2028", "é",
])
# fmt: on
PIECES = st.lists(WORDS, max_size=40).map("".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | WORDS
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=25
)


def judge(data: bytes, drop: bytes, where, registry) -> None:
    (where / "conf.d").mkdir(exist_ok=True)
    files = {where / "gatepost.yaml": data, where / "conf.d" / "10.yaml": drop}
    for path, content in files.items():
        path.write_bytes(content)
    loaded = load(where / "gatepost.yaml", {}, registry, where / "own")
    assert (loaded.settings is None) == bool(loaded.errors)
    for problem in loaded.problems:
        assert problem.message
        assert problem.code
        content = files[next(path for path in files if str(path) == problem.file)]
        text = content.decode("utf-8", "replace").removeprefix("\ufeff")
        lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
        assert 1 <= problem.line <= len(lines), problem
        if not any(mark in text for mark in ("\x85", "\u2028", "\u2029")):
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1, problem
    assert bool(loaded.effective()) == (loaded.settings is not None)


@FUZZ
@given(data=st.binary(max_size=200), drop=st.binary(max_size=50))
def test_any_octets(data, drop, tmp_path, registry):
    judge(data, drop, tmp_path, registry)


@FUZZ
@given(data=PIECES, drop=PIECES)
def test_any_pieces_of_yaml(data, drop, tmp_path, registry):
    judge(data.encode(), drop.encode(), tmp_path, registry)


@FUZZ
@given(tree=TREES, drop=TREES)
def test_any_tree(tree, drop, tmp_path, registry):
    import yaml

    judge(yaml.safe_dump(tree).encode(), yaml.safe_dump(drop).encode(), tmp_path, registry)


SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "store": st.dictionaries(st.sampled_from(["keep", "max_size", "when_full", "x"]), SCALARS, max_size=3),
        "brokers": st.dictionaries(
            st.sampled_from(["a", "b", "no"]),
            st.dictionaries(
                st.sampled_from(["url", "failover", "password", "tls", "topics", "routes", "batch", "client_id"]),
                TREES,
                max_size=5,
            ),
            max_size=3,
        ),
        "devices": st.dictionaries(
            st.sampled_from(["p", "q", "0123"]),
            st.fixed_dictionaries(
                {"driver": st.sampled_from(["printer", "clip", "radio", "broken", "nope"]) | SCALARS},
                optional=dict.fromkeys(("port", "options", "brokers", "thresholds", "token", "every"), TREES),
            ),
            max_size=3,
        ),
        "commands": st.dictionaries(st.sampled_from(["allow", "signing"]), TREES, max_size=2),
        "fleet": st.dictionaries(st.sampled_from(["broker", "keys", "allow"]), TREES, max_size=2)
        | st.fixed_dictionaries(
            {"keys": st.lists(st.dictionaries(st.sampled_from(["id", "ed25519"]), WORDS, max_size=2), max_size=3)}
        ),
        "api": st.dictionaries(st.sampled_from(["listen", "socket"]), SCALARS, max_size=2),
    },
)


@FUZZ
@given(tree=SECTIONS, drop=SECTIONS)
def test_any_values_in_the_right_places(tree, drop, tmp_path, registry):
    import yaml

    judge(yaml.safe_dump(tree).encode(), yaml.safe_dump(drop).encode(), tmp_path, registry)


@FUZZ
@given(name=st.text(max_size=30), value=st.text(max_size=20))
def test_any_environment(name, value, tmp_path, registry):
    (tmp_path / "gatepost.yaml").write_text("{}")
    loaded = load(tmp_path / "gatepost.yaml", {f"GATEPOST_{name}": value}, registry, tmp_path / "own")
    assert (loaded.settings is None) == bool(loaded.errors)


@pytest.mark.parametrize(
    "text",
    [
        "fleet: {keys: [{id: a}, {ed25519: a}, {}]}",
        "a: &x\n",
        "{[}",
        "? ",
        "a: |\n\tb",
        '"\\UFFFFFFFF"',
        '"\\ud800"',
        "%TAG ! x\n---\n!a b",
    ],
)
def test_known_corners(text, tmp_path, registry):
    judge(text.encode(), b"", tmp_path, registry)
