"""Bearer tokens: `gp_<id>_<secret>`, kept as salted hashes in the store's small state.

A secret has 256 random bits, so nobody guesses it from its hash, however fast the hash is: one keyed BLAKE2b a request
costs microseconds, where scrypt would cost 16 MiB and tens of milliseconds of the process that also stores readings.
The salt of each token keeps equal hashes from telling anything.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gatepost.agent.api.agent_interface import StoreInterface
from gatepost.agent.api.auth.principal import EVERY_TOPIC, Principal, TokenRole
from gatepost.agent.core.clock import Clock, rfc3339
from gatepost.agent.core.errors import Conflict, Forbidden, NotFound, StoreError, Unauthenticated

if TYPE_CHECKING:
    from gatepost.agent.api.schemas.responses import TokenView

log = logging.getLogger(__name__)

KEY = "api-token:"
PREFIX = "gp_"
MOST_TOKENS = 200  # of the API, and
MOST_DEVICE_TOKENS = 1000
USED_EVERY = 3600 * 1_000_000  # microseconds after which a use is written again
WRONG = "invalid or revoked token"
HINT = "`gatepost token create` makes one"


class ApiToken(Struct, frozen=True):
    """Times in microseconds since 1970; `expires` None = never."""

    id: str
    name: str
    role: TokenRole
    salt: str
    digest: str
    created: int
    expires: int | None = None
    used: int | None = None
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    device: str | None = None  # of a device that connects to the listener; it opens no route of the API
    kiosk: bool = False  # of a board on a wall: a browser keeps it, and stays signed in

    def as_principal(self) -> Principal:
        """Raises Forbidden for a device's."""
        if self.role == "device":
            raise Forbidden("a device's token opens the listener alone", HINT)
        return Principal(self.name, self.role, self.publish, self.subscribe)

    def as_dict(self) -> TokenView:
        """For people: nothing that could be used."""
        return {
            "id": self.id,
            "name": self.name,
            "role": self.role,
            "created": rfc3339(self.created),
            "expires": None if self.expires is None else rfc3339(self.expires),
            "used": None if self.used is None else rfc3339(self.used),
            "publish": list(self.publish),
            "subscribe": list(self.subscribe),
            "device": self.device,
            "kiosk": self.kiosk,
        }


NONE = ApiToken("", "", "viewer", "00" * 16, "00" * 32, 0)  # compared with where there is no such token


class TokenStore:
    """`load` once before the first question."""

    def __init__(self, store: StoreInterface, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self.on_revoked: list[Callable[[str], None]] = []
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._by_id: dict[str, ApiToken] = {}
        self._written: dict[str, int] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Raises StoreError."""
        revoked = await self._store.revoked.load()
        for ident, value in (await self._store.key_value.with_prefix(KEY)).items():
            if ident in revoked:
                log.error("the revoked token %s came back with an older copy of the database; it stays revoked", ident)
                await self._store.key_value.put(KEY + ident, None)
                continue
            try:
                self._by_id[ident] = msgspec.convert(value, ApiToken)
            except msgspec.ValidationError:
                log.error("the record of token %s is damaged; the token is no longer valid", ident)

    def every(self) -> list[ApiToken]:
        return sorted(self._by_id.values(), key=lambda token: token.created)

    def get(self, ident: str) -> ApiToken | None:
        """The token, if it is valid now."""
        token = self._by_id.get(ident)
        return None if token is None or self._expired(token) else token

    async def create(
        self,
        role: TokenRole,
        name: str | None = None,
        lifetime: float | None = None,
        publish: list[str] | None = None,
        subscribe: list[str] | None = None,
        device: str | None = None,
        kiosk: bool = False,
    ) -> tuple[ApiToken, str]:
        """The token and its text, which is told this once; topics None = every one, but none for a viewer or device.

        Raises Conflict, StoreError.
        """
        now = self._clock.now().wall
        for token in [token for token in self._by_id.values() if self._expired(token)]:
            await self._forget(token.id)
        most = MOST_TOKENS if device is None else MOST_DEVICE_TOKENS
        if sum((token.device is None) is (device is None) for token in self._by_id.values()) >= most:
            raise Conflict(f"there are {most} tokens already", "revoke those that are not used any more")
        topics = () if role in ("viewer", "device") else EVERY_TOPIC
        ident, secret, salt = self._entropy(6).hex(), _text(self._entropy(32)), self._entropy(16)
        token = ApiToken(
            id=ident,
            name=name or f"token-{ident}",
            role=role,
            salt=salt.hex(),
            digest=_digest(secret, salt),
            created=now,
            expires=None if lifetime is None else now + int(lifetime * 1e6),
            publish=topics if publish is None else tuple(publish),
            subscribe=topics if subscribe is None else tuple(subscribe),
            device=device,
            kiosk=kiosk,
        )
        await self._store.key_value.put(KEY + ident, msgspec.to_builtins(token))
        self._by_id[ident] = token
        return token, f"{PREFIX}{ident}_{secret}"

    async def revoke(self, ident: str) -> ApiToken:
        """End the token and the sessions opened with it; raises NotFound, StoreError."""
        token = self._by_id.get(ident)
        if token is None:
            raise NotFound(f"there is no token {ident!r}", "`gatepost token list` lists them")
        await self._forget(ident)
        return token

    def holds(self, device: str, text: str) -> bool:
        """Whether this is a valid token of the device."""
        try:
            return self.judge(text).device == device
        except Unauthenticated:
            return False

    async def check(self, text: str) -> ApiToken:
        """As `judge`; a use that is worth keeping is kept."""
        token = self.judge(text)
        await self.note_use(token)
        return token

    def judge(self, text: str) -> ApiToken:
        """The token that `text` is; raises Unauthenticated, with the same words whatever is wrong with it."""
        ident, _, secret = text.removeprefix(PREFIX).partition("_")
        token = self._by_id.get(ident, NONE)
        same = hmac.compare_digest(_digest(secret, bytes.fromhex(token.salt)), token.digest)
        if not same or token is NONE:
            raise Unauthenticated(WRONG, HINT)
        if self._expired(token):
            raise Unauthenticated("this token has expired", HINT, "token-expired")
        return token

    def _expired(self, token: ApiToken) -> bool:
        return token.expires is not None and self._clock.now().wall >= token.expires

    def note_soon(self, token: ApiToken) -> None:
        """As `note_use`, without waiting for it."""
        task = asyncio.ensure_future(self.note_use(token))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def note_use(self, token: ApiToken) -> None:
        """In memory each time, on the disk once in a while: a card wears."""
        now = self._clock.now().wall
        used = msgspec.structs.replace(token, used=now)
        self._by_id[token.id] = used
        if now - self._written.get(token.id, token.used or 0) < USED_EVERY:
            return
        self._written[token.id] = now
        try:
            await self._store.key_value.put(KEY + token.id, msgspec.to_builtins(used))
        except StoreError as error:
            log.warning("the last use of a token could not be stored: %s", error)

    async def _forget(self, ident: str) -> None:
        token = self._by_id.pop(ident)  # first: a use that is noted now must not bring it back
        await self._store.revoked.add(ident)
        try:
            await self._store.key_value.put(KEY + ident, None)
        except StoreError:
            self._by_id[ident] = token
            raise
        self._written.pop(ident, None)
        for tell in self.on_revoked:
            tell(ident)


def _digest(secret: str, salt: bytes) -> str:
    return hashlib.blake2b(
        secret.encode("utf-8", "replace"), salt=salt, person=b"gatepost-token", digest_size=32
    ).hexdigest()


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
