"""Boards on a wall: viewers that stay signed in, over restarts, until their token is revoked."""

from __future__ import annotations

import pytest

from gatepost.agent.api.http.server import ApiServer
from tests.api.websocket_clients import over_tcp, said

SESSION = "/api/v1/session"


async def board(remote, **secret):
    """The cookie of a board that has just signed in, as a browser sends it."""
    remote.http.cookies.clear()
    answer = await remote.http.post(SESSION, json=secret)
    remote.http.cookies.clear()
    assert answer.status_code == 201
    assert (answer.json()["role"], answer.json()["kiosk"]) == ("viewer", True)
    cookie, _, rest = answer.headers["set-cookie"].partition(";")
    assert "HttpOnly" in rest
    assert "Max-Age=34560000" in rest
    return {"cookie": cookie}


async def made(remote, **body):
    answer = await remote.http.post("/api/v1/tokens", json={"kiosk": True, **body}, headers=await remote.as_("admin"))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_board_stays_signed_in_over_a_restart_of_the_agent(app, remote, socket_path):
    token = await made(remote, name="Board ward 7")
    cookie = await board(remote, token=token["token"])
    await remote.server.stop(0.2)
    again = ApiServer(app, socket_path)
    await again.serve()
    try:
        who = await remote.http.get(SESSION, headers=cookie)
        assert (who.status_code, who.json()["name"], who.json()["kiosk"]) == (200, "Board ward 7", True)
        assert who.headers["set-cookie"].startswith(cookie["cookie"])
        assert (await remote.http.get("/api/v1/status", headers=cookie)).status_code == 200
        async with over_tcp(remote, headers=cookie, origin=remote.url) as socket:
            assert (await said(socket))["data"]["role"] == "viewer"
    finally:
        await again.stop(0.2)


async def test_a_code_makes_a_board_and_its_token(remote):
    admin = await remote.as_("admin")
    code = await remote.http.post(f"{SESSION}/code", json={"kiosk": True, "name": "Board"}, headers=admin)
    assert (code.json()["role"], code.json()["kiosk"]) == ("viewer", True)
    cookie = await board(remote, code=code.json()["code"])
    assert (await remote.http.get(SESSION, headers=cookie)).json()["name"] == "Board"
    tokens = (await remote.http.get("/api/v1/tokens", headers=admin)).json()["tokens"]
    assert [token["role"] for token in tokens if token["kiosk"]] == ["viewer"]
    again = await remote.http.post(SESSION, json={"code": code.json()["code"]})
    assert again.status_code == 401


async def test_a_revoked_board_is_out_at_once(remote):
    token = await made(remote)
    cookie = await board(remote, token=token["token"])
    await remote.http.delete(f"/api/v1/tokens/{token['id']}", headers=await remote.as_("admin"))
    assert (await remote.http.get(SESSION, headers=cookie)).status_code == 401


async def test_a_board_only_looks_and_signs_itself_out(remote):
    cookie = await board(remote, token=(await made(remote))["token"])
    assert (await remote.http.get("/api/v1/audit", headers=cookie)).status_code == 403
    csrf = (await remote.http.get(SESSION, headers=cookie)).json()["csrf"]
    assert (await remote.http.delete(SESSION, headers=cookie)).status_code == 403
    ended = await remote.http.delete(SESSION, headers={**cookie, "x-csrf-token": csrf})
    assert ended.json() == {"ended": True}
    assert ended.headers["set-cookie"].startswith("gatepost_board=; ")


async def test_only_a_boards_token_is_taken_from_its_cookie(remote):
    cookie = {"cookie": f"gatepost_board={await remote.token('admin')}"}
    assert (await remote.http.get(SESSION, headers=cookie)).status_code == 401


@pytest.mark.parametrize("body", [{"role": "operator"}, {"device": "plug-3"}])
async def test_a_board_is_a_viewer(remote, body):
    admin = await remote.as_("admin")
    answer = await remote.http.post("/api/v1/tokens", json={"kiosk": True, **body}, headers=admin)
    assert answer.status_code == 422
