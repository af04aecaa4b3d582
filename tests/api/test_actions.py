from __future__ import annotations

import pytest

from gatepost.agent.core.errors import NotFound
from gatepost.agent.gateway_commands import GatewayCommands


@pytest.fixture
def commands(app):
    return GatewayCommands(
        devices=app.devices, brokers=app.brokers, store=app.store, applier=app, editor=app.editor, report=app, logs=None
    )


async def test_resend_of_a_device_that_there_is_not(app, commands):
    await app.take()
    with pytest.raises(NotFound, match="nope"):
        await commands.resend(0, None, "nope")


async def test_resend_of_devices_that_are_configured_or_have_a_history(app, commands):
    await app.take()
    await app.take(device="gone-1")
    for device, count in (("oximeter-1", 1), ("gone-1", 1), ("cuff-3", 0), (None, 2)):
        assert await commands.resend(0, None, device) == {"readings": count}
    assert app.brokers.by_name["hospital"].requeued == 4
