"""Session routes: a token or a login code becomes a cookie that scripts cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatepost.agent.api.auth.authenticator import address_of, bearer
from gatepost.agent.api.auth.principal import Principal
from gatepost.agent.api.auth.sessions import check_origin, set_cookie
from gatepost.agent.api.http.responses import JsonResponse
from gatepost.agent.api.http.router import ApiRequest
from gatepost.agent.core.clock import rfc3339
from gatepost.agent.core.errors import BadInput, NotFound

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import LoginCode, SessionEnded, SessionList, SessionView, SignedOut

CREATED = 201


async def open(request: ApiRequest) -> JsonResponse[SessionView]:  # noqa: A001 - what it does
    """Open to everybody, so it judges what it is given itself, with the same lock-out."""
    check_origin(request.headers, required=False)
    secret, code = request.body.code or request.body.token or bearer(request.headers), request.body.code is not None
    if secret is None:
        raise BadInput("body: token or code is missing", '{"token": "gp_..."}')
    address = address_of(request.scope)
    principal, token = await request.authenticator.sign_in(secret, address, code)
    session = request.authenticator.sessions.open(principal, token, address)
    request.app.audit.record("session-opened", name=principal.name, role=principal.role, address=address)
    return JsonResponse(
        _described(principal, session.csrf), CREATED, {"set-cookie": set_cookie(session, _secure(request))}
    )


async def show(request: ApiRequest) -> SessionView:
    """`csrf` is null for who asks without a cookie, and needs none."""
    session = request.authenticator.session(request.scope)
    cookie = session is not None and "authorization" not in _names(request)
    return _described(request.principal, session.csrf if session is not None and cookie else None)


async def close(request: ApiRequest) -> JsonResponse[SignedOut]:
    session = request.authenticator.session(request.scope)
    if session is not None:
        request.authenticator.sessions.close(session)
    return JsonResponse({"ended": session is not None}, headers={"set-cookie": set_cookie(None, _secure(request))})


async def every(request: ApiRequest) -> SessionList:
    clock = request.app.clock
    now, wall = clock.monotonic(), clock.now().wall

    def when(moment: float) -> str:
        return rfc3339(wall - round((now - moment) * 1e6))

    return {
        "sessions": [
            {
                "id": session.ident,
                "name": session.principal.name,
                "role": session.principal.role,
                "address": session.address,
                "token": session.token,
                "opened": when(session.opened),
                "seen": when(session.seen),
            }
            for session in request.authenticator.sessions.every()
        ]
    }


async def end(request: ApiRequest) -> SessionEnded:
    """One of anybody, by its id."""
    sessions, ident = request.authenticator.sessions, request.path["id"]
    session = next((each for each in sessions.every() if each.ident == ident), None)
    if session is None:
        raise NotFound(f"there is no session {ident[:64]!r}", "`gatepost token sessions` lists them")
    sessions.close(session)
    request.app.audit.record("session-ended", id=ident, name=session.principal.name, by=request.principal.name)
    return {"id": ident, "ended": True}


async def code(request: ApiRequest) -> JsonResponse[LoginCode]:
    text, life = request.authenticator.sessions.code(request.body.role)
    request.app.audit.record("login-code-made", role=request.body.role, by=request.principal.name)
    return JsonResponse({"code": text, "role": request.body.role, "seconds": life}, CREATED)


def _described(principal: Principal, csrf: str | None) -> SessionView:
    return {
        "name": principal.name,
        "role": principal.role,
        "publish": list(principal.publish),
        "subscribe": list(principal.subscribe),
        "csrf": csrf,
    }


def _secure(request: ApiRequest) -> bool:
    return request.scope.get("scheme") == "https"


def _names(request: ApiRequest) -> set[str]:
    return {name.decode("latin-1") for name in request.headers}
