"""Authentication of commands: tokens and signatures, compared in constant time, refused with one answer."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable

from gatepost.agent.commands.model import CommandRequest, RefusedCommand
from gatepost.agent.commands.parsed_command import ParsedCommand
from gatepost.agent.commands.signatures import EVERY_GATEWAY, is_signed, signed_octets
from gatepost.agent.core.errors import GatepostError, SettingsWrong
from gatepost.agent.core.named_files import off_loop
from gatepost.agent.settings.model import Settings

log = logging.getLogger(__name__)

KNOWN_FOR = 1.0  # seconds that a secret is taken as it was read

UNAUTHENTICATED = RefusedCommand(
    "unauthenticated",
    "The command's token or signature is missing or wrong.",
    "A device with a `token` needs it in every command; see commands.signing for signatures.",
)


class CommandAuthenticator:
    """Authenticator of commands.

    Secrets come through callables, so that a rotated one counts within KNOWN_FOR; where one cannot be read, what needs
    it is refused.
    """

    def __init__(self, token_of: Callable[[str], str | None], signing_key: Callable[[], str | None]) -> None:
        self._token_of = token_of
        self._signing_key = signing_key
        self._known: dict[str, tuple[float, str | None]] = {}

    async def refusal(
        self, request: CommandRequest, parsed: ParsedCommand, settings: Settings
    ) -> RefusedCommand | None:
        if request.trusted:
            return None
        good = await self._signed(request, parsed, settings) and await self._knows_token(request, parsed, settings)
        return None if good else UNAUTHENTICATED

    async def _knows_token(self, request: CommandRequest, parsed: ParsedCommand, settings: Settings) -> bool:
        name = request.target
        device = None if name is None else settings.devices.get(name)
        if name is None or device is None or device.token is None:
            return True
        wanted = await self._secret(lambda: self._token_of(name), f"the token of {name}")
        return wanted is not None and hmac.compare_digest(wanted.encode(), (parsed.token or "").encode())

    async def _signed(self, request: CommandRequest, parsed: ParsedCommand, settings: Settings) -> bool:
        signing = settings.commands.signing
        if signing.key is None or (parsed.signature is None and not signing.required):
            return not signing.required
        if not parsed.own_id or (parsed.issued is None and parsed.expires is None):
            return False  # what a signature does not bind could be played again under a new id, or for ever
        key = await self._secret(self._signing_key, "the key of signatures")
        if key is None or parsed.signature is None or request.topic is None:
            return False
        octets = signed_octets(_target(request, settings), request.topic, parsed.canonical)
        try:
            return is_signed(signing.algorithm, key, octets, parsed.signature)
        except SettingsWrong as error:
            log.error("signed commands are refused: %s; %s", error.message, error.hint)
            return False

    async def _secret(self, get: Callable[[], str | None], what: str) -> str | None:
        """A flood of commands reads the file once in a while only."""
        if (known := self._known.get(what)) is not None and time.monotonic() - known[0] < KNOWN_FOR:
            return known[1]
        try:
            secret = await off_loop(what, get)
        except (GatepostError, OSError) as error:
            log.error("%s cannot be read, commands that need it are refused: %s", what, error)
            secret = None
        self._known[what] = time.monotonic(), secret or None
        return secret or None


def _target(request: CommandRequest, settings: Settings) -> str:
    """Whom a signature names: a gateway by its id, a device behind it, or with a broadcast every gateway."""
    if request.source.startswith("broadcast:"):
        return EVERY_GATEWAY
    gateway = settings.gateway.id
    return gateway if request.target is None else f"{gateway}/{request.target}"
