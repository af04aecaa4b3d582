from __future__ import annotations

import asyncio
import fnmatch

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gatepost.agent.api.auth.principal import Principal
from gatepost.agent.api.websocket.event_filter import EventFilter, EventSelection
from gatepost.agent.core.errors import Unauthenticated
from gatepost.agent.core.events import Event
from tests.api.websocket_clients import over_tcp, patient, said


async def refused(opening):
    with pytest.raises(InvalidStatus) as caught:
        await opening
    return caught.value.response.status_code


async def signed_in(remote, role="viewer"):
    """The cookie of a session."""
    answer = await remote.http.post("/api/v1/session", json={"token": await remote.token(role)})
    assert answer.status_code == 201
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
async def test_every_role_may_listen(remote, role):
    async with over_tcp(remote, headers=await remote.as_(role)) as socket:
        assert (await said(socket))["data"]["role"] == role
        await remote.app.take(spo2=94)
        assert (await said(socket))["data"]["spo2"] == 94


async def test_without_a_token_or_with_a_wrong_one_nobody_listens(remote):
    assert await refused(over_tcp(remote)) == 401
    assert await refused(over_tcp(remote, headers={"authorization": "Bearer gp_0_0"})) == 401
    assert not remote.app.events.watched


async def test_a_browser_listens_from_the_gateways_own_page_only(remote):
    cookie = await signed_in(remote)
    async with over_tcp(remote, headers=cookie, origin=remote.url) as socket:
        assert (await said(socket))["event"] == "hello"
    assert await refused(over_tcp(remote, headers=cookie, origin="http://elsewhere.example")) == 403
    assert await refused(over_tcp(remote, headers=cookie)) == 403
    assert await refused(over_tcp(remote, headers=cookie, origin="null")) == 403


def test_the_patterns_of_clients_are_not_kept():
    kept = fnmatch._compile_pattern.cache_info().currsize
    for number in range(100):
        selection = EventSelection(("device.*", f"[g{number}]ap"), (f"bed-{number}*",), (f"*-{number}",))
        selection.check()
        events = EventFilter(selection, Principal("x", "viewer"))
        assert events.passes(Event("device.connected", {"device_id": f"bed-{number}0"}))
        assert not events.passes(Event("device.connected", {"device_id": "ward"}))
    assert fnmatch._compile_pattern.cache_info().currsize == kept


async def test_messages_only_of_topics_that_may_be_subscribed_to(remote):
    some = await remote.as_("viewer", subscribe=["wards/+/news"])
    none = await remote.as_("viewer")
    async with over_tcp(remote, headers=some) as one, over_tcp(remote, headers=none) as other:
        await said(one), await said(other)
        for topic in ("wards/7/secrets", "wards/7/news"):
            remote.app.events.emit("message", {"topic": topic, "payload": "hello"})
        remote.app.events.emit("broker.status", {"broker": "lab"})
        assert (await said(one))["data"]["topic"] == "wards/7/news"
        assert (await said(one))["event"] == "broker.status"
        assert (await said(other))["event"] == "broker.status"
        await one.send('{"subscribe": {"events": ["message"]}}')
        await said(one, "subscribed")
        remote.app.events.emit("message", {"topic": "wards/7/secrets", "payload": "hello"})
        remote.app.events.emit("message", {"topic": "wards/8/news", "payload": "hello"})
        assert (await said(one))["data"]["topic"] == "wards/8/news"


async def closed(socket):
    with pytest.raises(ConnectionClosed) as caught:
        await said(socket, "nothing of this kind")
    return caught.value.rcvd.code


async def test_a_revoked_token_ends_what_was_opened_with_it_at_once(remote):
    token, text = await remote.server._tokens.create("viewer")
    async with (
        over_tcp(remote, headers={"authorization": f"Bearer {text}"}) as socket,
        over_tcp(remote, headers=await remote.as_("viewer")) as other,
    ):
        await said(socket), await said(other)
        await remote.server._tokens.revoke(token.id)
        async with asyncio.timeout(2):
            assert await closed(socket) == 4401
        await remote.app.take(spo2=92)
        assert (await said(other))["data"]["spo2"] == 92


async def test_an_expired_token_ends_what_was_opened_with_it(remote):
    patient(remote.server, ping=0.05)
    async with over_tcp(remote, headers=await remote.as_("viewer", lifetime=60.0)) as socket:
        await said(socket)
        remote.app.clock.pass_seconds(61)
        assert await closed(socket) == 4401


async def test_signing_out_ends_the_page(remote):
    patient(remote.server, ping=0.05)
    cookie = await signed_in(remote, "operator")
    async with over_tcp(remote, headers=cookie, origin=remote.url) as socket:
        await said(socket)
        for session in list(remote.server._authenticator.sessions._open.values()):
            remote.server._authenticator.sessions.close(session)
        assert await closed(socket) == 4401


async def test_jwts_are_judged_again(remote):
    patient(remote.server, ping=0.05)
    holds = True

    def judge(text):
        if not holds:
            raise Unauthenticated("it is over")
        return Principal("someone", "viewer")

    remote.server._authenticator.jwt = judge
    async with over_tcp(remote, headers={"authorization": "Bearer a.b.c"}) as socket:
        assert (await said(socket))["data"]["name"] == "someone"
        holds = False
        assert await closed(socket) == 4401


async def test_clients_end_when_the_api_is_served_elsewhere(remote):
    async with over_tcp(remote, headers=await remote.as_("viewer")) as socket:
        await said(socket)
        await remote.server.apply(msgspec.structs.replace(remote.app.settings.api, listen=None))
        assert await closed(socket) == 1001
