from __future__ import annotations

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.agent.settings.own_drops import remove_drop, render, write_drop
from gatepost.agent.settings.problem import ProblemReport
from gatepost.agent.settings.yaml.nodes import ListNode, MapNode
from gatepost.agent.settings.yaml.reader import read_bytes


def plain(node):
    if isinstance(node, MapNode):
        return {name: plain(entry.value) for name, entry in node.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.values]
    assert not node.trap
    return node.value


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn", "Co")), max_size=20)
WORDS = st.sampled_from(
    ["yes", "null", "~", "0123", "0o14", "1e3", "12:30:00", "1_000", "", " a", "a: b", "#", "<<", "*x"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | TEXT | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool) | WORDS.filter(bool), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(TEXT.filter(bool), VALUES, max_size=4))
def test_what_is_written_reads_back_the_same(settings):
    report = ProblemReport()
    tree, whole = read_bytes(render(settings).encode(), "drop", report)
    assert report.problems == []
    assert whole
    assert plain(tree) == settings


def test_a_drop_works_and_only_the_agent_can_read_it(read, tmp_path):
    old_mask = os.umask(0)
    try:
        write_drop(
            tmp_path / "own" / "agent.yaml", {"devices": {"p": {"patient": "0123", "every": "5s", "token": None}}}
        )
    finally:
        os.umask(old_mask)
    loaded = read("devices: {p: {driver: clip, port: /dev/p, token: {env: T}}}")
    assert loaded.problems == []
    device = loaded.settings.devices["p"]
    assert (device.patient, device.every, device.token) == ("0123", 5, None)
    file = tmp_path / "own" / "agent.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.read_text().startswith("# Written by the gatepost agent")
    assert [entry.name for entry in file.parent.iterdir()] == ["agent.yaml"]


def test_a_failed_write_leaves_the_old_one_and_no_litter(tmp_path, monkeypatch):
    file = tmp_path / "agent.yaml"
    write_drop(file, {"a": 1})
    before = file.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_drop(file, {"a": 2})
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["agent.yaml"]


def test_removing(tmp_path):
    write_drop(tmp_path / "a.yaml", {})
    remove_drop(tmp_path / "a.yaml")
    remove_drop(tmp_path / "a.yaml")
    assert list(tmp_path.iterdir()) == []
