"""Routes of access: tokens, sessions of browsers, login codes."""

from __future__ import annotations

from gatepost.agent.api.handlers import session, tokens
from gatepost.agent.api.http.router import Route, view
from gatepost.agent.api.schemas import requests

V1 = "/api/v1"

ACCESS_ROUTES: tuple[Route, ...] = (
    Route("GET", f"{V1}/tokens", tokens.every, "The tokens, without their secrets", role="admin"),
    Route(
        "POST",
        f"{V1}/tokens",
        tokens.create,
        "Make a token; its text (`token`) is shown only once",
        body=requests.TokenBody,
        role="admin",
        statuses=(201,),
    ),
    Route("DELETE", f"{V1}/tokens/{{id}}", tokens.revoke, "Revoke a token", role="admin"),
    Route(
        "POST",
        f"{V1}/session",
        session.open,
        "Sign in with a browser: a token or a login code becomes a cookie",
        body=requests.SignIn,
        role="open",
        statuses=(201,),
    ),
    view(f"{V1}/session", session.show, "Who asks"),
    Route("DELETE", f"{V1}/session", session.close, "Sign out", role="viewer"),
    Route("GET", f"{V1}/sessions", session.every, "Who is signed in with a browser", role="admin"),
    Route("DELETE", f"{V1}/sessions/{{id}}", session.end, "End a session of anybody", role="admin"),
    Route(
        "POST",
        f"{V1}/session/code",
        session.code,
        "Make a login code for a browser: good once, for a few minutes",
        body=requests.CodeBody,
        role="admin",
        statuses=(201,),
    ),
)
