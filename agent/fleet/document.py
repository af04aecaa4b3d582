"""Documents of desired state: a signed envelope, and the settings of one gateway inside of it. Sans-I/O."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from gatepost.agent.core.clock import US
from gatepost.agent.settings.units import WrongUnit, parse_duration

SCHEMA = 1
LARGEST_DOCUMENT = 128_000  # octets inside of an envelope; the connection takes in more, so that it can be told
DEEPEST = 16  # levels of settings
SHORTEST, LONGEST = 1.0, 86_400.0  # seconds that a document may be on trial


class WrongDocument(Exception):
    """It cannot be used: a stable `key`, and `message` in words."""

    def __init__(self, key: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.message = message
        self.hint = hint

    def problem(self) -> dict[str, str]:
        return {"key": self.key, "where": "", "message": self.message, "hint": self.hint}


class SignedDocument(msgspec.Struct, frozen=True):
    """The envelope: `signature` (base64) is made by the key `key_id` over the octets of `payload`."""

    schema: int
    payload: str
    key_id: str
    signature: str

    @property
    def hash(self) -> str:
        return "sha256:" + hashlib.sha256(self.payload.encode()).hexdigest()


class ConfirmTerms(msgspec.Struct, frozen=True):
    """`within`: how long it is tried; `manual`: somebody has to say that it is well."""

    within: str = "120s"
    manual: bool = False


class DesiredDocument(msgspec.Struct, frozen=True):
    """All that is desired of one gateway. What is not known here is left for later versions."""

    gateway_id: str
    version: int
    settings: dict[str, Any]
    issued_at: str | None = None
    expires_at: str | None = None
    rollout: str | None = None
    confirm: ConfirmTerms = ConfirmTerms()
    agent: Any = None  # {"version": ...}: told where it is another than this one's, and not obeyed

    @property
    def agent_version(self) -> str:
        """ "" = none is named."""
        version = self.agent.get("version") if isinstance(self.agent, dict) else None
        return version[:64] if isinstance(version, str) else ""

    @property
    def within(self) -> float:
        """Seconds. WrongDocument."""
        try:
            seconds = parse_duration(self.confirm.within)
        except WrongUnit as error:
            raise WrongDocument("bad-confirm", f"confirm.within: {error}", error.hint) from None
        if not SHORTEST <= seconds <= LONGEST:
            raise WrongDocument("bad-confirm", "confirm.within is 1 second to a day", "such as 120s")
        return seconds

    def expired(self, wall: int) -> bool:
        """At this time in microseconds. WrongDocument."""
        if self.expires_at is None:
            return False
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(self.expires_at)
            if moment.tzinfo is not None:
                return moment.timestamp() * US < wall
        raise WrongDocument("malformed", "expires_at is no time with a zone", "RFC 3339")


def open_envelope(message: bytes) -> SignedDocument:
    """WrongDocument: `malformed`."""
    try:
        envelope = msgspec.json.decode(message, type=SignedDocument)
        envelope.payload.encode()
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise WrongDocument("malformed", f"no signed document: {_words(error)}") from None
    if envelope.schema != SCHEMA:
        raise WrongDocument("malformed", f"schema {envelope.schema} is not known here")
    return envelope


def check_size(payload: str) -> None:
    """WrongDocument: `too-large`."""
    if len(payload.encode()) > LARGEST_DOCUMENT:
        raise WrongDocument("too-large", f"more than {LARGEST_DOCUMENT} octets of settings")


def read_document(payload: str) -> DesiredDocument:
    """WrongDocument: `malformed`."""
    try:
        document = msgspec.json.decode(payload, type=DesiredDocument)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WrongDocument("malformed", f"no document of desired state: {_words(error)}") from None
    if not 1 <= document.version < 1 << 53:
        raise WrongDocument("malformed", "a version is a whole number from 1 on")
    if _depth(document.settings) > DEEPEST:
        raise WrongDocument("malformed", f"settings of more than {DEEPEST} levels")
    return document


class _Claim(msgspec.Struct, frozen=True):
    version: int


def claimed_version(payload: str | bytes) -> int | None:
    """The version that a document or a confirmation claims, whether it can be used or not."""
    try:
        return msgspec.json.decode(payload, type=_Claim).version
    except (msgspec.DecodeError, RecursionError):
        return None


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _words(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)
