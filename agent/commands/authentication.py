"""Authentication of commands: tokens and signatures, compared in constant time, refused with one answer."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable

from gatepost.agent.commands.model import CommandRequest, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand
from gatepost.agent.core.errors import GatepostError
from gatepost.agent.settings.model import Settings

log = logging.getLogger(__name__)

UNAUTHENTICATED = RefusedCommand(
    "unauthenticated",
    "The command's token or signature is missing or wrong.",
    "A device with a `token` wants it in every command; see commands.signing for signatures.",
)


def sign(key: str, canonical: bytes) -> str:
    """HMAC-SHA256 in lowercase hex over the canonical form (docs/commands.md)."""
    return hmac.new(key.encode(), canonical, hashlib.sha256).hexdigest()


class CommandAuthenticator:
    """Authenticator of commands.

    Secrets come through callables, so that a rotated one counts at once; where one cannot be read, what needs it is
    refused.
    """

    def __init__(self, token_of: Callable[[str], str | None], signing_key: Callable[[], str | None]) -> None:
        self._token_of = token_of
        self._signing_key = signing_key

    def refusal(self, request: CommandRequest, parsed: ParsedCommand, settings: Settings) -> RefusedCommand | None:
        if request.trusted:
            return None
        good = self._signed(parsed, settings) and self._knows_token(request, parsed, settings)
        return None if good else UNAUTHENTICATED

    def _knows_token(self, request: CommandRequest, parsed: ParsedCommand, settings: Settings) -> bool:
        device = None if request.target is None else settings.devices.get(request.target)
        if request.target is None or device is None or device.token is None:
            return True
        name = request.target
        wanted = self._secret(lambda: self._token_of(name), f"the token of {name}")
        return wanted is not None and hmac.compare_digest(wanted.encode(), (parsed.token or "").encode())

    def _signed(self, parsed: ParsedCommand, settings: Settings) -> bool:
        signing = settings.commands.signing
        if signing.key is None or (parsed.signature is None and not signing.required):
            return not signing.required
        if not parsed.own_id or (parsed.issued is None and parsed.expires is None):
            return False  # what a signature does not bind could be played again under a new id, or for ever
        key = self._secret(self._signing_key, "the key of signatures")
        if key is None or parsed.signature is None:
            return False
        return hmac.compare_digest(sign(key, parsed.canonical).encode(), parsed.signature.encode())

    def _secret(self, get: Callable[[], str | None], what: str) -> str | None:
        try:
            secret = get()
        except GatepostError as error:
            log.error("%s cannot be read, commands that need it are refused: %s", what, error.message)
            return None
        return secret or None
