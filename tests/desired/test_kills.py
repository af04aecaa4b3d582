"""Kills -9 in the middle of desired state: never half applied, never tried twice, always reported."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.desired.kills import kill_run
from tests.uplink.broker import MOSQUITTO

pytestmark = pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="mosquitto is not installed")


async def test_kills_at_random_moments_leave_nothing_half_done() -> None:
    with tempfile.TemporaryDirectory(prefix="gp-") as folder:
        run = await kill_run(Path(folder), kills=4, seed=3)
    assert run.wrong == []
    assert sum(run.killed.values()) == 4
    assert run.decided
