"""Sessions of the web page: a cookie that scripts cannot read, with a second secret against forged requests.

They live in memory: after a restart of the agent one signs in again, but for boards. A login code is good once, for a
few minutes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gatepost.agent.api.auth.principal import Principal, Role
from gatepost.agent.core.clock import Clock
from gatepost.agent.core.errors import Conflict, Forbidden

MOST = 64  # sessions, and codes
IDLE = 30 * 60.0  # seconds without a request
LONGEST = 12 * 3600.0
CODE_LIFE = 5 * 60.0
PLAIN = "gatepost_session"
SECURE = "__Host-gatepost_session"  # browsers take it over TLS only, and from this host only
PLAIN_BOARD, SECURE_BOARD = "gatepost_board", "__Host-gatepost_board"
BOARD_LIFE = 400 * 86_400  # seconds; browsers keep no cookie longer, and each look of the board renews it
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class IssuedCode(NamedTuple):
    """What a login code signs in as: somebody of a role, or (`kiosk`) a board of that name; until when."""

    role: Role
    kiosk: bool = False
    name: str | None = None
    until: float = 0.0


class LoginSession(NamedTuple):
    """Session of a browser; `token` is the id of the token that it was opened with. A board's is kept nowhere: its
    browser shows the token itself, so that it holds over restarts."""

    key: str
    csrf: str
    principal: Principal
    token: str | None
    opened: float
    seen: float
    address: str = ""
    kiosk: bool = False

    @property
    def ident(self) -> str:
        """For people: tells sessions apart, and opens none."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:12]


class SessionStore:
    """`still_valid` says whether a token still is. Times are of the monotonic clock."""

    def __init__(self, clock: Clock, still_valid: Callable[[str], bool]) -> None:
        self.on_ended: list[Callable[[], None]] = []
        self._clock = clock
        self._still_valid = still_valid
        self._open: dict[str, LoginSession] = {}
        self._codes: dict[str, IssuedCode] = {}

    def open(self, principal: Principal, token: str | None, address: str = "") -> LoginSession:
        """The one that is longest unused makes room."""
        self._tidy()
        if len(self._open) >= MOST:
            del self._open[min(self._open.values(), key=lambda session: session.seen).key]
        now = self._clock.monotonic()
        session = LoginSession(self._random(), self._random(), principal, token, now, now, address)
        self._open[session.key] = session
        return session

    def find(self, cookies: str, secure: bool) -> LoginSession | None:
        """The session that the `Cookie` header names, if it still holds."""
        session = self._open.get(_cookie(cookies, SECURE if secure else PLAIN))
        if session is None:
            return None
        now = self._clock.monotonic()
        if self._over(session, now):
            del self._open[session.key]
            return None
        session = self._open[session.key] = session._replace(seen=now)
        return session

    def every(self) -> list[LoginSession]:
        """Those that hold now, oldest first."""
        self._tidy()
        return list(self._open.values())

    def close(self, session: LoginSession) -> None:
        if self._open.pop(session.key, None) is not None:
            for tell in self.on_ended:
                tell()

    def close_of(self, token: str) -> None:
        """End the sessions that were opened with a token, when it is revoked."""
        for session in [session for session in self._open.values() if session.token == token]:
            self.close(session)

    def close_of_jwt(self) -> None:
        """End the sessions that were opened with a JWT, when others are accepted from now on."""
        for session in [session for session in self._open.values() if session.principal.until is not None]:
            self.close(session)

    def code(self, role: Role, kiosk: bool = False, name: str | None = None) -> tuple[str, float]:
        """A login code and its life in seconds; raises Conflict."""
        now = self._clock.monotonic()
        self._codes = {code: kept for code, kept in self._codes.items() if kept.until > now}
        if len(self._codes) >= MOST:
            raise Conflict("too many login codes wait to be used", "try again in a few minutes")
        code = self._random()
        self._codes[code] = IssuedCode(role, kiosk, name, now + CODE_LIFE)
        return code, CODE_LIFE

    def redeem(self, code: str) -> IssuedCode | None:
        """What a code signs in as; it is used up by it."""
        found = self._codes.pop(code, None)
        return found if found is not None and found.until > self._clock.monotonic() else None

    def _tidy(self) -> None:
        now = self._clock.monotonic()
        for session in [session for session in self._open.values() if self._over(session, now)]:
            self.close(session)

    def _over(self, session: LoginSession, now: float) -> bool:
        return (
            now - session.seen > IDLE
            or now - session.opened > LONGEST
            or (session.token is not None and not self._still_valid(session.token))
            or (session.principal.until is not None and self._clock.now().wall >= session.principal.until)
        )

    def _random(self) -> str:
        return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


def set_cookie(session: LoginSession | None, secure: bool) -> str:
    """The `Set-Cookie` that gives the session to a browser, or (None) takes it away."""
    value, age = ("", 0) if session is None else (session.key, int(LONGEST))
    return _set(SECURE if secure else PLAIN, value, age, secure)


def set_board_cookie(token: str, secure: bool) -> str:
    """The `Set-Cookie` that keeps a board signed in, or ("") takes that away."""
    return _set(SECURE_BOARD if secure else PLAIN_BOARD, token, BOARD_LIFE if token else 0, secure)


def board_token(cookies: str, secure: bool) -> str:
    """The token that the `Cookie` header of a board shows, "" = none."""
    return _cookie(cookies, SECURE_BOARD if secure else PLAIN_BOARD)


def board_session(token: str, ident: str, principal: Principal, now: float) -> LoginSession:
    """Of a request of a board; its second secret comes from the token."""
    csrf = hashlib.blake2b(token.encode(), digest_size=24, person=b"gatepost-csrf").hexdigest()
    return LoginSession(f"board {ident}", csrf, principal, ident, now, now, kiosk=True)


def _set(name: str, value: str, age: int, secure: bool) -> str:
    return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def check_origin(headers: Mapping[bytes, bytes], required: bool) -> None:
    """Raises Forbidden when a page of another origin asks; browsers say theirs with everything but plain reading."""
    origin = headers.get(b"origin")
    if origin is None and not required:
        return
    if origin is None or origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower():
        raise Forbidden("a page of another origin may not do this", "open the gateway's own page", "wrong-origin")


def check_csrf(session: LoginSession, headers: Mapping[bytes, bytes]) -> None:
    """Raises Forbidden when a request that changes something does not carry the session's second secret."""
    sent = headers.get(b"x-csrf-token", b"")
    if not hmac.compare_digest(sent, session.csrf.encode()):
        hint = "send the `csrf` of GET /api/v1/session as X-CSRF-Token"
        raise Forbidden("this request lacks the session's CSRF token", hint, "csrf")


def _cookie(cookies: str, name: str) -> str:
    for part in cookies.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""
