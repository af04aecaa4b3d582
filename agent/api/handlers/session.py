"""Session routes: a token or a login code becomes a cookie that scripts cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatepost.agent.api.auth.authenticator import address_of, bearer
from gatepost.agent.api.auth.principal import Principal, Role
from gatepost.agent.api.auth.sessions import (
    LoginSession,
    board_session,
    board_token,
    check_origin,
    set_board_cookie,
    set_cookie,
)
from gatepost.agent.api.handlers.tokens import check_kiosk
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
    principal, token, board = await request.authenticator.sign_in(secret, address, code)
    kept = {"name": principal.name, "role": principal.role, "address": address}
    if board:
        request.app.audit.record("board-opened", id=token, **kept)
        session, cookie = board_session(board, str(token), principal, 0.0), set_board_cookie(board, _secure(request))
    else:
        session = request.authenticator.sessions.open(principal, token, address)
        request.app.audit.record("session-opened", **kept)
        cookie = set_cookie(session, _secure(request))
    return JsonResponse(_described(principal, session), CREATED, {"set-cookie": cookie})


async def show(request: ApiRequest) -> JsonResponse[SessionView]:
    """`csrf` is null for who asks without a cookie, and needs none. A board's cookie is renewed by it."""
    session = None if "authorization" in _names(request) else request.authenticator.session(request.scope)
    headers = {}
    if session is not None and session.kiosk:
        headers["set-cookie"] = set_board_cookie(_board(request), _secure(request))
    return JsonResponse(_described(request.principal, session), headers=headers)


async def close(request: ApiRequest) -> JsonResponse[SignedOut]:
    session = request.authenticator.session(request.scope)
    secure = _secure(request)
    cookie = set_cookie(None, secure)
    if session is not None:
        request.authenticator.sessions.close(session)
        cookie = set_board_cookie("", secure) if session.kiosk else cookie
    return JsonResponse({"ended": session is not None}, headers={"set-cookie": cookie})


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
    body = request.body
    if body.kiosk:
        check_kiosk(body.role)
    role: Role = body.role or ("viewer" if body.kiosk else "operator")
    text, life = request.authenticator.sessions.code(role, body.kiosk, body.name)
    request.app.audit.record("login-code-made", role=role, kiosk=body.kiosk or None, by=request.principal.name)
    return JsonResponse({"code": text, "role": role, "kiosk": body.kiosk, "seconds": life}, CREATED)


def _described(principal: Principal, session: LoginSession | None) -> SessionView:
    return {
        "name": principal.name,
        "role": principal.role,
        "publish": list(principal.publish),
        "subscribe": list(principal.subscribe),
        "csrf": None if session is None else session.csrf,
        "kiosk": session is not None and session.kiosk,
    }


def _board(request: ApiRequest) -> str:
    return board_token(request.header("cookie") or "", _secure(request))


def _secure(request: ApiRequest) -> bool:
    return request.scope.get("scheme") == "https"


def _names(request: ApiRequest) -> set[str]:
    return {name.decode("latin-1") for name in request.headers}
