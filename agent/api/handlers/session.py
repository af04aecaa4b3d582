"""Signing in with a browser: a token or a login code becomes a cookie that scripts cannot read."""

from __future__ import annotations

from typing import Any

from gatepost.agent.api.auth.authenticator import address_of, bearer
from gatepost.agent.api.auth.sessions import check_origin, set_cookie
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.errors import BadInput

CREATED = 201


async def open(ask: ApiRequest) -> JsonResponse:  # noqa: A001 - what it does
    """Open to everybody, so it judges what it is given itself, with the same lock-out."""
    check_origin(ask.headers, required=False)
    secret, code = ask.body.code or ask.body.token or bearer(ask.headers), ask.body.code is not None
    if secret is None:
        raise BadInput("body: token or code is missing", '{"token": "gp_..."}')
    address = address_of(ask.scope)
    who, token = await ask.gate.sign_in(secret, address, code)
    session = ask.gate.sessions.open(who, token)
    ask.app.audit.record("session-opened", name=who.name, role=who.role, address=address)
    told = {**_described(who), "csrf": session.csrf}
    return JsonResponse(told, CREATED, {"set-cookie": set_cookie(session, _secure(ask))})


async def show(ask: ApiRequest) -> dict[str, Any]:
    """`csrf` is null for who asks without a cookie, and needs none."""
    session = ask.gate.session(ask.scope)
    cookie = session is not None and "authorization" not in _names(ask)
    return {**_described(ask.who), "csrf": session.csrf if session is not None and cookie else None}


async def close(ask: ApiRequest) -> JsonResponse:
    session = ask.gate.session(ask.scope)
    if session is not None:
        ask.gate.sessions.close(session)
    return JsonResponse({"ended": session is not None}, headers={"set-cookie": set_cookie(None, _secure(ask))})


async def code(ask: ApiRequest) -> JsonResponse:
    text, life = ask.gate.sessions.code(ask.body.role)
    ask.app.audit.record("login-code-made", role=ask.body.role, by=ask.who.name)
    return JsonResponse({"code": text, "role": ask.body.role, "seconds": life}, CREATED)


def _described(who: Any) -> dict[str, Any]:
    return {
        "name": who.name,
        "role": who.role,
        "publish": list(who.publish),
        "subscribe": list(who.subscribe),
    }


def _secure(ask: ApiRequest) -> bool:
    return ask.scope.get("scheme") == "https"


def _names(ask: ApiRequest) -> set[str]:
    return {name.decode("latin-1") for name in ask.headers}
