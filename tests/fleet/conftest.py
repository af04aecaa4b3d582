"""A PostgreSQL and a database that the tests of the fleet share."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from gatepost_fleet.demo.servers import LocalPostgres, ServerMissing


@pytest.fixture(scope="module")
def postgres() -> Iterator[LocalPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="gp-pg-"))  # its own user must get in, which tmp_path does not allow
    folder.chmod(0o755)
    try:
        server = LocalPostgres(folder / "server")
    except ServerMissing as error:
        pytest.skip(str(error))
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def database(postgres: LocalPostgres) -> AsyncIterator[Any]:
    """A connection to an empty database."""
    asyncpg = pytest.importorskip("asyncpg")
    if postgres.process is None:
        await postgres.start()
    connection = await asyncpg.connect(postgres.url)
    await connection.execute("drop schema public cascade; create schema public")
    try:
        yield connection
    finally:
        connection.terminate()
