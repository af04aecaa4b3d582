from __future__ import annotations

import asyncio

import pytest

from gatepost.agent.api.http.server import ApiServer
from gatepost.client import AsyncGatewayClient, BadInput, GatewayClient, GatewayError, NoAgent, NotAuthenticated, live
from gatepost.client.live import EventStream
from gatepost.client.place import AgentAddress
from tests.support.ports import free_port

RECEIVED = "device.data.received"


async def some(stream, *kinds):
    """The next event of one of these kinds."""
    async with asyncio.timeout(20):
        async for event in stream:
            if event["event"] in kinds:
                return event
    raise AssertionError("it ended")


async def test_events_over_tcp_are_filtered(app, remote):
    client = AsyncGatewayClient(remote.url, token=await remote.token("viewer"))
    stream = client.events([RECEIVED], devices=["oxi*"], metrics=["pulse_oximetry"])
    assert (await some(stream, "hello"))["data"]["gateway_id"] == "ward-7"
    await app.take(device="cuff-3", metric="pulse_oximetry")
    await app.take(metric="heart_rate")
    ident = await app.take(spo2=93)
    event = await some(stream, RECEIVED)
    assert (event["data"]["id"], event["data"]["spo2"]) == (ident, 93)
    await stream.aclose()


async def test_events_over_the_socket_blocking(app, server):
    stream = GatewayClient(server.path).events([RECEIVED])
    assert (await asyncio.to_thread(next, stream))["event"] == "hello"
    ident = await app.take()
    assert (await asyncio.to_thread(next, stream))["data"]["id"] == ident
    await asyncio.to_thread(stream.close)


async def test_a_lost_connection_is_found_again_and_tells_what_may_be_missing(app, socket_path, monkeypatch):
    monkeypatch.setattr(live, "FIRST_RETRY", 0.05)
    first = ApiServer(app, socket_path)
    await first.serve()
    stream = AsyncGatewayClient(socket_path).events([RECEIVED])
    await some(stream, "hello")
    await app.take()
    last = await some(stream, RECEIVED)
    await first.stop(0.2)
    unheard = await app.take()
    second = ApiServer(app, socket_path)
    next_one = asyncio.create_task(some(stream, "reconnected"))
    await asyncio.sleep(0)
    await second.serve()
    told = (await next_one)["data"]
    assert told["since"] == last["at"] <= told["until"]
    missed = [reading["id"] async for reading in AsyncGatewayClient(socket_path).history(since=told["since"])]
    assert unheard in missed
    await some(stream, "hello")
    await stream.aclose()
    await second.stop(0.2)


async def test_without_reconnect_a_lost_connection_is_an_error(server):
    stream = AsyncGatewayClient(server.path).events(reconnect=False)
    await some(stream, "hello")
    stopped = asyncio.create_task(server.stop(0.2))
    with pytest.raises(GatewayError) as caught:
        await some(stream, "never")
    assert caught.value.key in ("connection-lost", "no-agent")
    await stopped


async def test_what_asking_again_does_not_help_is_an_error_at_once(remote):
    with pytest.raises(NotAuthenticated):
        await some(AsyncGatewayClient(remote.url, token="gp_wrong").events(), "hello")
    token = await remote.token("viewer")
    with pytest.raises(BadInput) as caught:
        await some(AsyncGatewayClient(remote.url, token=token).events(["no.such"]), "hello")
    assert "no.such" in caught.value.message
    with pytest.raises(NoAgent):
        await some(AsyncGatewayClient(f"http://127.0.0.1:{free_port()}").events(), "hello")


def test_attempts_become_rarer_and_are_never_given_up():
    stream = EventStream(AgentAddress("/none.sock"), 1.0, {})
    stream.opened()
    waits = [stream.failed(ConnectionResetError(), True) for _ in range(12)]
    for wait, longest in zip(waits, [0.5, 1.0, 2.0], strict=False):
        assert longest / 2 <= wait <= longest
    assert live.LONGEST_RETRY / 2 <= waits[-1] <= live.LONGEST_RETRY
    assert stream.opened()["event"] == "reconnected"
    assert stream.opened() is None
    assert stream.failed(ConnectionResetError(), True) <= 0.5
