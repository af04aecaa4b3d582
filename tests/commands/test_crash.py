"""Kill -9 between the ledger and the outcome: no second run, and the answer is outcome-unknown."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from .helpers import BOUND

TESTS = Path(__file__).parents[1]


@asynccontextmanager
async def running(database: Path, effects: Path, when: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TESTS / "commands" / "victim.py"),
        str(database),
        str(effects),
        when,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}"},
    )
    try:
        async with asyncio.timeout(BOUND):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize(("when", "lines"), [("before", 0), ("after", 1)])
async def test_killed_in_mid_execution(tmp_path: Path, when: str, lines: int) -> None:
    database, effects = tmp_path / "gatepost.db", tmp_path / "effects"
    effects.touch()
    async with running(database, effects, when) as victim:
        assert victim.stdout is not None
        assert await victim.stdout.readline() == b"begun\n"
        victim.kill()
        assert await victim.wait() == -signal.SIGKILL

    async with running(database, effects, "never") as heir:
        said = orjson.loads((await heir.communicate())[0])
    assert heir.returncode == 0
    assert said["left"] == 1
    assert [(answer["id"], answer["status"]) for answer in said["resumed"]] == [("once", "outcome-unknown")]
    assert said["response"]["error"]["key"] == "duplicate"
    assert said["response"]["result"]["earlier"]["status"] == "outcome-unknown"
    assert len(effects.read_text().splitlines()) == lines
