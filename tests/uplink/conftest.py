"""What the tests of the uplink share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.support.loops import loops

from .broker import Authority


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A connection rides on transports that asyncio and uvloop make differently: its tests run on both."""
    return loops(item, "test_ack_gathering.py", "test_connection.py", "test_connection_faults.py")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
