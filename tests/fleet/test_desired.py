"""State files, signatures and waves, without a server."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from gatepost_fleet.rollout import RolloutPlan, RolloutProgress, in_canary_order, next_step, wave_sizes
from gatepost_fleet.signing import KeyUnusable, SigningKey
from gatepost_fleet.state_file import Issue, StateFileWrong, document, read_state, settings_of

from gatepost.agent.fleet.document import open_envelope, read_document
from gatepost.agent.fleet.signature import INVALID, VALID, check

NOW = datetime(2026, 11, 29, 10, tzinfo=UTC)
STATE = """
groups:
  - settings: {logging: {level: info}, devices: {oximeter-1: {driver: contec-cms50d-plus, every: 5s}}}
  - gateways: ["ward-*"]
    labels: {site: north}
    settings: {devices: {oximeter-1: {every: 1s}}}
  - gateways: [ward-7]
    settings: {logging: {level: debug}}
confirm: {within: 60s}
"""


def state_file(folder: Path, text: str = STATE) -> Path:
    path = folder / "state.yaml"
    path.write_text(text)
    return path


def test_later_groups_count_and_members_are_merged(tmp_path: Path) -> None:
    state = read_state(state_file(tmp_path))
    oximeter = {"driver": "contec-cms50d-plus", "every": "5s"}
    assert settings_of(state, "icu-1", {"site": "north"}) == {
        "logging": {"level": "info"},
        "devices": {"oximeter-1": oximeter},
    }
    assert settings_of(state, "ward-7", {"site": "north", "floor": "2"}) == {
        "logging": {"level": "debug"},
        "devices": {"oximeter-1": {**oximeter, "every": "1s"}},
    }
    only = read_state(state_file(tmp_path, "groups: [{gateways: [a], settings: {}}]"))
    assert (settings_of(only, "a", {}), settings_of(only, "b", {})) == ({}, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("groups: [{settings: {brokers: {a: {password: hunter2}}}}]", "settings.brokers.a.password"),
        ("groups: [{settings: {devices: {a: {list: [{token: x}]}}}}]", "token"),
        ("groups: [{gateway: [a], settings: {}}]", "gateway"),
        ("groups: [{settings: {}}]\nconfirm: {within: soon}", "within"),
        ("groups: [", "expected"),
        ("groups: [{settings: {}}]\nexpires_at: yesterday", "expires_at"),
        ("groups: [{settings: {1: a}}]", "settings"),
    ],
)
def test_a_bad_state_file_says_where(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(StateFileWrong, match=why):
        read_state(state_file(tmp_path, text))


def test_the_very_octets_are_signed(tmp_path: Path) -> None:
    key = SigningKey.create("fleet-2026-11", tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    state = read_state(state_file(tmp_path))
    whole = document(state, "ward-7", Issue(42, "r-42", NOW), {"logging": {"level": "ä"}})
    # As a gateway reads it.
    signed = open_envelope(key.envelope(whole).encode())
    assert check(key.public, signed.payload, signed.signature) == VALID
    assert check(key.public, signed.payload + " ", signed.signature) == INVALID
    read = read_document(signed.payload)
    assert (read.gateway_id, read.version, read.rollout, read.within) == ("ward-7", 42, "r-42", 60.0)
    envelope = orjson.loads(SigningKey.load("fleet-2026-11", tmp_path / "key.pem").envelope(whole))
    assert (envelope["schema"], envelope["key_id"]) == (1, "fleet-2026-11")
    public = Ed25519PublicKey.from_public_bytes(b64decode(key.public))
    public.verify(b64decode(envelope["signature"]), envelope["payload"].encode())
    assert orjson.loads(envelope["payload"]) == {
        "gateway_id": "ward-7",
        "version": 42,
        "issued_at": "2026-11-29T10:00:00Z",
        "expires_at": None,
        "rollout": "r-42",
        "settings": {"logging": {"level": "ä"}},
        "confirm": {"within": "60s", "manual": False},
    }
    with pytest.raises(KeyUnusable):
        SigningKey.create("again", tmp_path / "key.pem")
    (tmp_path / "none.pem").write_text("no key")
    with pytest.raises(KeyUnusable, match="PEM"):
        SigningKey.load("a", tmp_path / "none.pem")


def test_what_no_gateway_would_look_at_is_not_signed(tmp_path: Path) -> None:
    long = read_state(state_file(tmp_path, "groups: [{settings: {}}]\nconfirm: {within: 25h}"))
    with pytest.raises(StateFileWrong, match=r"ward-7 would refuse it: .*within"):
        document(long, "ward-7", Issue(1, "r-1", NOW), {})
    with pytest.raises(StateFileWrong, match="octets"):
        document(read_state(state_file(tmp_path)), "ward-7", Issue(1, "r-1", NOW), {"devices": {"d" * 130_000: {}}})


@pytest.mark.parametrize(
    ("text", "total", "sizes"),
    [
        ("1,5%,25%,100%", 1000, [1, 50, 250, 1000]),
        ("1,5%,25%,100%", 3, [1, 3]),
        ("1,5%,25%,100%", 1, [1]),
        ("10", 30, [10, 30]),
        ("50,10", 20, [20]),
    ],
)
def test_waves(text: str, total: int, sizes: list[int]) -> None:
    assert wave_sizes(text, total) == sizes


@pytest.mark.parametrize("text", ["", "many", "101%", "1,,2", "-1"])
def test_waves_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        wave_sizes(text, 10)


@pytest.mark.parametrize(
    ("wave", "age", "reports", "action"),
    [
        (0, 0, {}, "next-wave"),
        (1, 10, {"waiting": 1}, ""),
        (1, 3599, {"trying": 1}, ""),
        (1, 3601, {"trying": 1}, "pause"),
        (1, 10, {"applied": 1}, ""),  # it soaks
        (1, 61, {"applied": 1}, "next-wave"),
        (1, 61, {"reverted": 1}, "abort"),
        (2, 61, {"applied": 49, "refused": 1}, "next-wave"),  # 2 % and not more
        (1, 61, {"unsigned": 1}, ""),  # somebody else's document brings this as well
        (1, 3601, {"unsigned": 1}, "pause"),
        (1, 61, {"stale": 1}, "abort"),
        (2, 61, {"applied": 48, "refused": 1, "reverted": 1}, "abort"),
        (2, 61, {"applied": 19, "waiting": 1}, "next-wave"),
        (2, 61, {"applied": 18, "waiting": 2}, ""),
        (2, 61, {"superseded": 50}, "next-wave"),  # a newer rollout has taken all of them
        (3, 61, {"applied": 100}, "finish"),
    ],
)
def test_what_becomes_of_a_rollout(wave: int, age: int, reports: dict[str, int], action: str) -> None:
    plan = RolloutPlan([1, 50, 100], 0.95, 0.02, timedelta(hours=1), timedelta(minutes=1))
    progress = RolloutProgress(plan, wave, NOW - timedelta(seconds=age), reports)
    assert next_step(progress, NOW).action == action


def test_the_reachable_come_first_in_an_order_that_is_drawn() -> None:
    gateways = [(f"g{number}", number % 2 == 0) for number in range(20)]
    rng = Random(1)
    draw: dict[str, Any] = {name: rng.random() for name, _ in gateways}
    order = in_canary_order(gateways, draw)
    assert {int(name[1:]) % 2 for name in order[:10]} == {0}
    assert order[:10] != sorted(order[:10])
