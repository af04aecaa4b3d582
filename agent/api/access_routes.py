"""Routes of access: tokens, sessions of browsers, login codes."""

from __future__ import annotations

from gatepost.agent.api.handlers import session, tokens
from gatepost.agent.api.http.router import Route
from gatepost.agent.api.schemas import requests

V1 = "/api/v1"

ACCESS_ROUTES: tuple[Route, ...] = (
    Route("GET", f"{V1}/tokens", tokens.every, "The tokens, without their secrets", '{"tokens": [...]}', role="admin"),
    Route(
        "POST",
        f"{V1}/tokens",
        tokens.create,
        "Make a token",
        "its rights, and its text (`token`), shown only once",
        body=requests.TokenBody,
        role="admin",
        statuses=(201,),
    ),
    Route("DELETE", f"{V1}/tokens/{{id}}", tokens.revoke, "Revoke a token", "what it was", role="admin"),
    Route(
        "POST",
        f"{V1}/session",
        session.open,
        "Sign in with a browser: a token or a login code becomes a cookie",
        "name, role, topics, and the CSRF token of requests that change something",
        body=requests.SignIn,
        role="open",
        statuses=(201,),
    ),
    Route("GET", f"{V1}/session", session.show, "Who asks", "name, role, topics, CSRF token or null", role="viewer"),
    Route("DELETE", f"{V1}/session", session.close, "Sign out", '{"ended"}', role="viewer"),
    Route(
        "GET", f"{V1}/sessions", session.every, "Who is signed in with a browser", '{"sessions": [...]}', role="admin"
    ),
    Route("DELETE", f"{V1}/sessions/{{id}}", session.end, "End a session of anybody", '{"id", "ended"}', role="admin"),
    Route(
        "POST",
        f"{V1}/session/code",
        session.code,
        "Make a login code for a browser: good once, for a few minutes",
        '{"code", "role", "seconds"}',
        body=requests.CodeBody,
        role="admin",
        statuses=(201,),
    ),
)
