"""Test vectors against the product's own decoders, and the tool that runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.drivers.testing.vectors import NotBuilt, difference, judge

ROOT = Path(__file__).parents[3]
TOOL = ROOT / "tools" / "vectors"
FOLDER = ROOT / "tests" / "vectors"
VECTORS = [
    vector
    for file in sorted(FOLDER.rglob("*.json"))
    if file.parent.name != "upstream"  # payload formats: tests/uplink/formats
    for vector in json.loads(file.read_text("utf-8"))["vectors"]
]
STREAMS = [one for one in VECTORS if one["kind"].endswith("-stream") and isinstance(one["chunks"][0], str)]
NOT_BUILT = {
    "beurer-bm", "freestyle-optium", "freestyle-optium-reading", "lifescan-binary", "medibus", "taidoc",
    "taidoc-datetime", "capnostream",
}  # fmt: skip


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector):
    if vector.get("protocol") in NOT_BUILT:
        with pytest.raises(NotBuilt):
            judge(vector)
    else:
        assert judge(vector) == ""


@pytest.mark.parametrize("vector", STREAMS, ids=lambda vector: vector["id"])
@given(cuts=st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_a_stream_may_be_cut_anywhere(vector, cuts):
    whole, pieces = b"".join(map(bytes.fromhex, vector["chunks"])), []
    for size in cuts * 20:
        pieces.append(whole[:size].hex())
        whole = whole[size:]
    assert judge({**vector, "chunks": [*pieces, whole.hex()]}) == ""


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (["8632054861", "8632054861"], [72, 72]),
        (["00117f86320548", "618632054861"], [72, 72]),  # begins with octets of no frame
        (["8632054861" + "3305" + "8633054960"], [72, 73]),  # stray octets in between
        (["86320548" + "8633054960"], [73]),  # a lost octet
        (["86", "32", "05", "48", "61"], [72]),
    ],
)
def test_contec5_streams(chunks, expected):
    vector = {
        "kind": "serial-stream",
        "protocol": "contec-5byte",
        "chunks": chunks,
        "expect": {"readings": [{"pulse_rate": pulse} for pulse in expected]},
    }
    assert judge(vector) == ""


def test_contec7_stream_with_garbage_and_an_undocumented_type():
    vector = {
        "kind": "serial-stream",
        "protocol": "contec-v7",
        "chunks": ["ffff0c80", "0281828384", "01e085b396c1e1ffff", "01e0850c80"],
        "expect": {"readings": [{"type": 12}, {"type": 1, "spo2": 97}, {"type": 12, "data": []}]},
    }
    assert judge(vector) == ""


def test_an_encoder_takes_arguments():
    vector = {
        "kind": "encode",
        "protocol": "contec-v7",
        "request": {"command": 0xB1, "arguments": [23, 59, 130]},
        "expect": {"output_hex": "7d89b197bb82808080"},
    }
    assert judge(vector) == ""


def test_a_decoder_that_accepts_what_it_must_refuse_fails():
    good = {"kind": "serial-frame", "protocol": "contec-5byte", "input_hex": "8632054861"}
    assert "refusal" in judge({**good, "expect_error": "truncated"})
    assert "pulse_rate" in judge({**good, "expect": {"pulse_rate": 73}})
    assert "refused" in judge({**good, "input_hex": "86", "expect": {}})


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (1, 1.0000001, False),
        (1, True, False),
        (None, None, True),
        (None, 0, False),
        ("a", "a", True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"b": 2}, False),
        ([1], [1, 2], False),
        ([{"a": 1}], [{"a": 1, "b": 2}], True),
    ],
)
def test_what_counts_as_the_same(expected, got, same):
    assert (difference(expected, got) == "") is same


def run(folder):
    return subprocess.run([sys.executable, TOOL, folder], capture_output=True, text=True, timeout=60, check=False)


def test_the_tool_on_the_open_vectors():
    done = run(ROOT / "tests" / "vectors")
    assert done.returncode == 0, done.stdout
    assert "FAIL" not in done.stdout
    last = done.stdout.splitlines()[-1].split()
    assert last[0] == "all"
    every = [json.loads(file.read_text("utf-8"))["vectors"] for file in FOLDER.rglob("*.json")]
    assert sum(map(int, last[1:])) == sum(map(len, every))
    assert int(last[1]) >= 20


def test_the_tool_tells_a_failure_and_what_is_not_built(tmp_path):
    frame = {"kind": "serial-frame", "protocol": "contec-5byte", "input_hex": "8632054861"}
    vectors = [
        {"id": "good", **frame, "expect": {}},
        {"id": "bad", **frame, "expect": {"spo2": 1}},
        {"id": "later", "kind": "telepathy", "input_hex": "", "expect": {}},
    ]
    (tmp_path / "some.json").write_text(json.dumps({"vectors": vectors}))
    done = run(tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines()[1].split() == ["some.json", "1", "1", "1"]
    assert "FAIL some.json: bad" in done.stdout
    assert "spo2: expected 1, got 97" in done.stdout


def test_the_tool_without_vectors(tmp_path):
    assert run(tmp_path).returncode == 2
