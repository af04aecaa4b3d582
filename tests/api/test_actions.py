from __future__ import annotations

import pytest

from gatepost.agent.core.errors import NotFound
from gatepost.agent.gateway_commands import GatewayCommands


async def test_resend_of_a_device_that_there_is_not(app):
    await app.take()
    with pytest.raises(NotFound, match="nope"):
        await GatewayCommands(app).resend(0, None, "nope")


async def test_resend_of_devices_that_are_configured_or_have_a_history(app):
    await app.take()
    await app.take(device="gone-1")
    for device, count in (("oximeter-1", 1), ("gone-1", 1), ("cuff-3", 0), (None, 2)):
        assert await GatewayCommands(app).resend(0, None, device) == {"readings": count}
    assert app.brokers.by_name["hospital"].requeued == 4
