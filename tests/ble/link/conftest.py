"""`rig`: links with quick limits, closed at the end of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gatepost.drivers.ble.twin.private_bus import PrivateBus
from tests.ble.link.rig import Rig


@pytest.fixture
async def rig(bus: PrivateBus) -> AsyncIterator[Rig]:
    made = Rig()
    yield made
    await made.close()
