"""JSON Web Tokens of one's own identity provider (RFC 7519), where `api.jwt` allows them.

Algorithm and key come from the settings alone, never from the token. PyJWT is loaded with them only: 9 MiB.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from gatepost.agent.api.auth.principal import EVERY_TOPIC, RANK, Principal, Role
from gatepost.agent.api.auth.tokens import WRONG
from gatepost.agent.core.errors import Forbidden, JwtWrong, Unauthenticated
from gatepost.agent.core.named_files import read_regular
from gatepost.agent.settings.model import JwtSettings, Secret
from gatepost.drivers.extras import install_extra

log = logging.getLogger(__name__)

LEEWAY = 30  # seconds that clocks may differ
LONGEST = 16384  # octets of a token
JWKS_MOST = 1 << 20  # octets of a key set
KEY_LEAST = 32  # octets of an HS256 secret (RFC 7518, section 3.2)
FAMILY = {"RS256": "RSA", "ES256": "EC"}
ROLES: tuple[Role, ...] = get_args(Role)
HINT = "get a new one from your identity provider"


class JwtJudge:
    """Called with a token: who it is. Raises Unauthenticated, Forbidden; made once from the settings, JwtWrong."""

    def __init__(self, settings: JwtSettings, resolve: Callable[[Secret | None], str | None]) -> None:
        try:
            import jwt
        except ImportError:
            raise JwtWrong("api.jwt needs the library PyJWT", install_extra("jwt")) from None
        self._jwt: Any = jwt
        self._settings = settings
        self._keys = self._shared(resolve) if settings.algorithm == "HS256" else self._public()

    def __call__(self, text: str) -> Principal:
        settings, jwt = self._settings, self._jwt
        if len(text) > LONGEST:
            raise Unauthenticated(WRONG, HINT)
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                self._key_of(text),
                algorithms=[settings.algorithm],
                issuer=settings.issuer,
                audience=settings.audience,
                leeway=LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:  # told only once the signature held
            raise Unauthenticated("this token has expired", HINT, "token-expired") from None
        except (jwt.PyJWTError, TypeError, ValueError, RecursionError):
            raise Unauthenticated(WRONG, HINT) from None
        role = role_in(claims, settings.role_claim)
        if role is None:
            hint = f"the claim {settings.role_claim} must be viewer, operator or admin"
            raise Forbidden("this token names no role", hint)
        topics = () if role == "viewer" else EVERY_TOPIC
        until = int((claims["exp"] + LEEWAY) * 1_000_000)
        return Principal(f"jwt:{str(claims['sub'])[:64]}", role, topics, topics, until)

    def _key_of(self, text: str) -> Any:
        """By the key id in its head; without one the only key there is."""
        if self._settings.algorithm == "HS256":
            return self._keys[None]
        name = self._jwt.get_unverified_header(text).get("kid")
        if name is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if name not in self._keys:
            raise Unauthenticated(WRONG, HINT)
        return self._keys[name]

    def _shared(self, resolve: Callable[[Secret | None], str | None]) -> dict[str | None, Any]:
        secret = resolve(self._settings.key)
        if secret is None or len(secret.encode()) < KEY_LEAST:
            raise JwtWrong(f"api.jwt.key: HS256 takes a secret of at least {KEY_LEAST} octets", "openssl rand -hex 32")
        return {None: secret}

    def _public(self) -> dict[str | None, Any]:
        file = Path(self._settings.jwks_file or "")
        family = FAMILY[self._settings.algorithm]
        try:
            found = self._jwt.PyJWKSet.from_json(read_regular(file, JWKS_MOST)).keys
        except OSError as error:
            raise JwtWrong(f"api.jwt.jwks_file: {file} cannot be read: {error.strerror}", "check the path") from None
        except (self._jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            hint = "a JSON Web Key Set, as your provider's jwks_uri gives it"
            raise JwtWrong(f"api.jwt.jwks_file: {file} is no key set: {type(error).__name__}", hint) from None
        keys = {key.key_id: key.key for key in found if key.key_type == family and key.public_key_use in (None, "sig")}
        if not keys:
            raise JwtWrong(f"api.jwt.jwks_file: {file} has no {family} key", "another file, or another algorithm")
        return keys


def role_in(claims: dict[str, Any], claim: str) -> Role | None:
    """The highest of the roles that a claim names: a text or a list, itself or under a dotted path."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    named = found if isinstance(found, list) else [found]
    known = [role for role in ROLES if role in named]
    return max(known, key=RANK.__getitem__, default=None)
