from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.agent.store.database import Database

from .helpers import HandClock, Office, open_database, settings


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "ledger.db")
    yield database
    await database.close()


@pytest.fixture
async def office(database: Database) -> AsyncIterator[Office]:
    office = Office(database, settings(allow={"*": ["*"]}), HandClock())
    await office.dispatcher.start()
    yield office
    await office.dispatcher.close(0.5)
