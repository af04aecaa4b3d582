from __future__ import annotations

import asyncio

import msgspec
import pytest

from gatepost.agent.api.http.server import ApiServer
from gatepost.client import (
    AsyncGatewayClient,
    BadInput,
    Conflict,
    EtagChanged,
    GatewayClient,
    GatewayError,
    NoAgent,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    RateLimited,
    Unavailable,
)
from gatepost.client.errors import refused
from tests.api.remote import listening
from tests.api.test_client import call
from tests.api.test_tcp import write_certificate
from tests.support.failing import failing
from tests.support.ports import free_port
from tests.support.waiting import until

KINDS = [GatewayClient, AsyncGatewayClient]


@pytest.mark.parametrize("kind", KINDS)
async def test_over_tcp_with_a_token(app, remote, kind):
    client = kind(remote.url, token=await remote.token("operator"))
    await app.take()
    assert [device["id"] for device in (await call(client.devices))["devices"]] == ["oximeter-1", "cuff-3"]
    assert (await call(client.send, "oximeter-1", "ping"))["status"] == "done"


@pytest.mark.parametrize("kind", KINDS)
async def test_who_has_no_token_or_too_small_a_role_is_told(remote, kind):
    assert await call(kind(remote.url).health)
    with pytest.raises(NotAuthenticated) as caught:
        await call(kind(remote.url, token="gp_wrong").status)
    assert "gp_wrong" not in str(caught.value) + caught.value.hint
    with pytest.raises(NotAllowed):
        await call(kind(remote.url, token=await remote.token("viewer")).reload)


@pytest.mark.parametrize("kind", KINDS)
async def test_errors_have_classes(remote, kind):
    client = kind(remote.url, token=await remote.token("admin"))
    with pytest.raises(NotFound):
        await call(client.device, "nobody")
    with pytest.raises(BadInput):
        await call(client.data, "oximeter-1", limit=5000)
    with pytest.raises(BadInput):
        await call(client.send, "oximeter-1", "dance")
    with pytest.raises(Unavailable):
        await call(client.send, "oximeter-1", "late")


def test_every_status_has_its_class():
    body = {"error": {"key": "k", "message": "m", "hint": None}}
    assert type(refused(409, body)) is Conflict
    assert type(refused(412, body)) is EtagChanged
    assert type(refused(500, body)) is GatewayError
    slow = refused(429, body, "7")
    assert isinstance(slow, RateLimited)
    assert slow.retry_after == 7.0


@pytest.mark.parametrize("kind", KINDS)
async def test_too_many_requests_say_when_to_ask_again(app, socket_path, kind):
    listening(app, rate_limit=1.0)
    server = ApiServer(app, socket_path)
    await server.serve()
    token = (await server._tokens.create("viewer"))[1]
    client = kind(f"http://{app.settings.api.listen}", token=token)

    async def insist():
        for _ in range(200):
            await call(client.status)

    with pytest.raises(RateLimited) as caught:
        await insist()
    assert caught.value.retry_after >= 1
    await server.stop(0.2)


@pytest.mark.parametrize("kind", KINDS)
async def test_over_tls_with_an_authority_of_ones_own(app, socket_path, tmp_path, kind):
    tls = write_certificate(tmp_path)
    port = free_port()
    app.settings = msgspec.structs.replace(app.settings, api=listening(app, listen=f"localhost:{port}", tls=tls))
    server = ApiServer(app, socket_path)
    await server.serve()
    url, token = f"https://localhost:{port}", (await server._tokens.create("viewer"))[1]
    assert (await call(kind(url, token=token, ca=tls.cert).status))["gateway"]["id"] == "ward-7"
    with failing(GatewayError, key="not-trusted"):
        await call(kind(url, token=token).status)
    with failing(GatewayError, key="not-trusted") as wrong:
        await call(kind(url, token=token, ca=tmp_path / "absent.pem").status)
    assert "absent.pem" in wrong.value.message
    await until(lambda: not server._remote.state.connections)
    await server.stop(0.2)


@pytest.mark.parametrize("kind", KINDS)
async def test_nobody_at_the_address(kind):
    with pytest.raises(NoAgent) as caught:
        await call(kind(f"http://127.0.0.1:{free_port()}").health)
    assert "api.listen" in caught.value.hint


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("token", ["", "a b", "a\r\nX: y", "\u20ac"])
async def test_a_token_that_cannot_be_one_is_refused_without_telling_it(kind, token):
    with pytest.raises(ValueError, match="the token") as caught:
        kind("http://127.0.0.1:1", token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("address", ["ftp://h", "http://", "http://h/api", "http://u:p@h", "https://h:99999"])
def test_addresses_are_judged(address):
    with pytest.raises(ValueError, match=r".+"):
        GatewayClient(address)


async def test_history_goes_from_page_to_page(app, remote):
    taken = [await app.take(spo2=90 + n) for n in range(5)]
    token = await remote.token("viewer")
    waiting = AsyncGatewayClient(remote.url, token=token)
    found = [reading async for reading in waiting.history("oximeter-1", page=2)]
    assert [reading["id"] for reading in found] == taken[::-1]
    assert (found[0].device, found[0].metric, found[0].measured) == ("oximeter-1", "pulse_oximetry", {"spo2": 94})
    assert found[0].time > found[-1].time
    blocking = GatewayClient(remote.url, token=token)
    after = found[2].time
    later = await asyncio.to_thread(lambda: list(blocking.history(since=after, metric="pulse_oximetry", page=1)))
    assert later == found[: len(later)]
    assert len(later) in (2, 3)


async def test_an_etag_keeps_what_somebody_else_changed(app, server):
    client = AsyncGatewayClient(server.path)
    with pytest.raises(EtagChanged):
        await client.replace_device("oximeter-1", {"driver": "lines", "port": "/dev/ttyUSB0"}, etag='"old"')
    with pytest.raises(Conflict):
        await client.add_device("oximeter-1", {"driver": "lines", "port": "/dev/ttyUSB0"})


async def test_tokens_are_made_listed_and_revoked(server):
    client = AsyncGatewayClient(server.path)
    made = await client.create_token("viewer", name="screen", expires="1d")
    assert made["token"].startswith("gp_")
    assert [token["name"] for token in (await client.tokens())["tokens"]] == ["screen"]
    await client.revoke_token(made["id"])
    assert (await client.tokens())["tokens"] == []
