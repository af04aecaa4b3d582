"""Servers and a database that the tests of the fleet share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.fleet.servers import Postgres, postgres_folder


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if postgres_folder() is None:
        pytest.skip("PostgreSQL is not installed")
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Any]:
    """A connection to an empty database."""
    asyncpg = pytest.importorskip("asyncpg")
    if postgres.process is None:
        await postgres.start()
    for _ in range(100):
        try:
            connection = await asyncpg.connect(postgres.url)
            break
        except asyncpg.CannotConnectNowError:
            pass
    await connection.execute("drop schema public cascade; create schema public")
    try:
        yield connection
    finally:
        connection.terminate()
