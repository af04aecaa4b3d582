"""What the tests of the uplink share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from gatepost.agent.uplink import broker_link, link_tasks
from tests.support.loops import loops

from .broker import Authority, Mosquitto, running
from .gateway import Gateway, gateway


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A connection rides on transports that asyncio and uvloop make differently: its tests run on both."""
    return loops(item, "test_ack_gathering.py", "test_connection.py", "test_connection_faults.py")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with running(Mosquitto(tmp_path / "mosquitto", persistence=True)) as one:
        yield one


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a person would have to wait."""
    monkeypatch.setattr(broker_link, "RETRY_LATER", 0.02)
    monkeypatch.setattr(broker_link, "RETRY_TAKEN_OVER", 0.02)
    monkeypatch.setattr(link_tasks, "FIRST_RETRY", 0.02)


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path / "state") as one:
        yield one
