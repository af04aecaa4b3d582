"""Authenticator of the TCP listener: decides who a request comes from, here and nowhere else.

Good credentials (bearer token, JWT, or session cookie) come through whatever else comes from their address, at the rate
of their own; all others share the rate of the address, and wrong ones lock it out for further wrong ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gatepost.agent.api.agent_interface import AgentInterface
from gatepost.agent.api.asgi import Scope
from gatepost.agent.api.auth.principal import EVERY_TOPIC, Needed, Principal
from gatepost.agent.api.auth.rate_limits import AddressLockout, RateLimiter
from gatepost.agent.api.auth.sessions import (
    SAFE,
    LoginSession,
    SessionStore,
    board_session,
    board_token,
    check_csrf,
    check_origin,
)
from gatepost.agent.api.auth.tokens import PREFIX, WRONG, ApiToken, TokenStore
from gatepost.agent.audit.access_records import AccessRecords
from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import TooMany, Unauthenticated
from gatepost.agent.core.tcp_sockets import client_group

log = logging.getLogger(__name__)

SHARED = 4.0  # several clients may share an address: so many times the rate of one
API_KEY = b"x-api-key"
REFUSALS_TOLD = 0.2  # a second, into the audit log
NO_TOKEN = "a token is required"  # noqa: S105
SEND_TOKEN = "send `Authorization: Bearer <token>`; `gatepost token create` makes one"  # noqa: S105

Judge = Callable[[str], Principal]


class SignedIn(NamedTuple):
    """A client that signed in; `token` is the id of its token, `board` the text of a board's token."""

    principal: Principal
    token: str | None
    board: str


class Authenticator:
    """`jwt` judges JWTs where settings allow them: it gives who it is, or raises Unauthenticated."""

    def __init__(self, app: AgentInterface, tokens: TokenStore, sessions: SessionStore) -> None:
        self.jwt: Judge | None = None
        self.tokens = tokens
        self.sessions = sessions
        self.access = AccessRecords(app.audit)
        self._app = app
        clock: Clock = app.clock
        self._clock = clock
        self._rate = RateLimiter(clock.monotonic)
        self._lockout = AddressLockout(clock.monotonic)
        self._told = RateLimiter(clock.monotonic)
        self._untold = 0

    async def admit(self, scope: Scope, needed: Needed) -> Principal | None:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        address = address_of(scope)
        if needed == "open":
            self._pace(f"open {address}")
            return None
        try:
            credentials = bearer(headers)
        except Unauthenticated:
            self._pace(f"open {address}")
            raise
        if credentials is not None:
            principal, name, _ = await self._judge(credentials, address)
        else:
            session = self.session(scope)
            if session is None or (b"sec-fetch-site", b"cross-site") in scope["headers"]:
                self._pace(f"open {address}")
                raise Unauthenticated(NO_TOKEN, SEND_TOKEN)
            _check_page(scope, headers, session)
            principal, name = session.principal, f"session {session.key}"
        self._pace(name)
        self._pace(f"address {address}", SHARED)
        return principal

    def session(self, scope: Scope) -> LoginSession | None:
        cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
        if not cookies:
            return None
        secure = scope["scheme"] in ("https", "wss")
        return self.sessions.find(cookies, secure) or self._board(board_token(cookies, secure))

    def _board(self, text: str) -> LoginSession | None:
        if not text:
            return None
        try:
            token = self.tokens.judge(text)
        except Unauthenticated:
            return None
        if not token.kiosk:
            return None
        self.tokens.note_soon(token)
        return board_session(text, token.id, token.as_principal(), self._clock.monotonic())

    async def sign_in(self, secret: str, address: str, code: bool = False) -> SignedIn:
        """Who a token, a JWT or a login code (`code`) stands for; raises Unauthenticated, Conflict, StoreError."""
        if not code:
            principal, _, ident = await self._judge(secret, address)
            token = None if ident is None else self.tokens.get(ident)
            return SignedIn(principal, ident, secret if token is not None and token.kiosk else "")
        found = self.sessions.redeem(secret)
        if found is None:
            raise self._refused(address, "invalid login code", "`gatepost token browser` makes one")
        if found.kiosk:
            token, text = await self.tokens.create("viewer", found.name, kiosk=True)
            return SignedIn(token.as_principal(), token.id, text)
        topics = ((), ()) if found.role == "viewer" else (EVERY_TOPIC, EVERY_TOPIC)
        return SignedIn(Principal("browser", found.role, *topics), None, "")

    async def _judge(self, credentials: str, address: str) -> tuple[Principal, str, str | None]:
        found: tuple[Principal, str, str | None]
        try:
            if credentials.startswith(PREFIX) or self.jwt is None:
                token: ApiToken = await self.tokens.check(credentials)
                found = token.as_principal(), f"token {token.id}", token.id
            else:
                principal = self.jwt(credentials)
                found = principal, f"client {principal.name}", None
        except Unauthenticated as error:
            if error.kind == "token-expired":  # whoever has it once had access: no guessing
                self._note(address, error.kind)
                self._pace(f"open {address}")
                raise
            raise self._refused(address, error.message, error.hint) from None
        return found

    def _refused(self, address: str, message: str, hint: str) -> Unauthenticated:
        """Counts the attempt; raises TooMany while the address is locked out."""
        left = self._lockout.locked(address)
        if left:
            raise TooMany("too many failed attempts from this address", "wait, then use a valid token", left, "locked")
        self._pace(f"open {address}")
        lock = self._lockout.failed(address)
        self._note(address, "locked" if lock else "unauthenticated")
        return Unauthenticated(message or WRONG, hint)

    def _note(self, address: str, why: str) -> None:
        """Into the audit log, but never faster than it can bear."""
        if self._told.take("audit", REFUSALS_TOLD):
            self._untold += 1
            return
        self._app.audit.record("api-refused", address=address, reason=why, more=self._untold or None)
        self._untold = 0

    def _pace(self, key: str, times: float = 1.0) -> None:
        wait = self._rate.take(key, self._app.settings.api.rate_limit * times)
        if wait:
            raise TooMany("too many requests", "send fewer requests; api.rate_limit sets the limit", wait)


def address_of(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return "" if client is None else client_group(client[0])


def bearer(headers: Mapping[bytes, bytes]) -> str | None:
    """What `Authorization: Bearer` or `X-API-Key` carries; None where neither is there.

    Raises Unauthenticated for another scheme.
    """
    credentials = headers.get(b"authorization")
    if credentials is None:
        key = headers.get(API_KEY)
        return key.decode("latin-1").strip() if key else None
    scheme, _, value = credentials.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise Unauthenticated("only bearer tokens are accepted", SEND_TOKEN)
    return value.strip()


def _check_page(scope: Scope, headers: Mapping[bytes, bytes], session: LoginSession) -> None:
    if scope["type"] == "websocket" or headers.get(b"upgrade", b"").lower() == b"websocket":
        check_origin(headers, required=True)
    elif scope["method"] not in SAFE:
        check_origin(headers, required=False)
        check_csrf(session, headers)


def still_valid(authenticator: Authenticator, scope: Scope) -> bool:
    """Asks without counting as an attempt; a session is kept from growing idle by it."""
    credentials = bearer(dict(scope["headers"]))
    if credentials is None:
        return authenticator.session(scope) is not None
    if credentials.startswith(PREFIX) or authenticator.jwt is None:
        return authenticator.tokens.get(credentials.removeprefix(PREFIX).partition("_")[0]) is not None
    try:
        authenticator.jwt(credentials)
    except Unauthenticated:
        return False
    return True
