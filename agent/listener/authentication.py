"""Authentication of devices: a token, a password or a client certificate. Everybody else is refused alike."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from gatepost.agent.core.errors import Unauthenticated
from gatepost.agent.core.tcp_sockets import client_group

BAD_CREDENTIALS, SLOWED = 0x86, 0x8A  # MQTT 5
BAD_CREDENTIALS_3, SLOWED_3 = 4, 5  # 3.1.1
TOKEN_PREFIX = "gp_"  # noqa: S105
LONGEST_NAME = 64


class DeviceTokens(Protocol):
    """The part of the token store that the listener needs."""

    def judge(self, text: str) -> Any:
        """The token; raises Unauthenticated."""
        ...

    def holds(self, device: str, text: str) -> bool:
        """Whether this is a valid token of the device."""
        ...

    def note_soon(self, token: Any) -> None:
        """It was used."""
        ...


class SlowedPairs(Protocol):
    """Failed attempts by address and user name."""

    def locked(self, key: str) -> float: ...

    def failed(self, key: str) -> float: ...


class AdmittedClient(NamedTuple):
    """`token` is the id of the token that it came with; empty for a password or a certificate."""

    device: str
    token: str = ""
    expires: int | None = None  # microseconds since 1970


class RefusedClient(NamedTuple):
    """`why` is for the log, never for the client."""

    why: str
    slowed: bool = False

    def code(self, version: int) -> int:
        if version == 5:
            return SLOWED if self.slowed else BAD_CREDENTIALS
        return SLOWED_3 if self.slowed else BAD_CREDENTIALS_3


class DeviceAuthenticator:
    """`known(device)`: its password ("" = none), or None where no such device may connect."""

    def __init__(self, tokens: DeviceTokens, known: Callable[[str], str | None], slowed: SlowedPairs) -> None:
        self._tokens = tokens
        self._known = known
        self._slowed = slowed

    def judge(
        self, address: str, username: str | None, password: bytes | None, certificate: Mapping[str, Any] | None
    ) -> AdmittedClient | RefusedClient:
        """A token that holds is always let in; a password is not compared while its address and name are slowed."""
        name = username if username and len(username) <= LONGEST_NAME else ""
        pair = f"mqtt {client_group(address)} {name}"
        verdict = self._judge(name, password or b"", certificate, self._slowed.locked(pair) > 0)
        if isinstance(verdict, RefusedClient) and not verdict.slowed:
            self._slowed.failed(pair)
        return verdict

    def _judge(
        self, name: str, password: bytes, certificate: Mapping[str, Any] | None, slowed: bool
    ) -> AdmittedClient | RefusedClient:
        if certificate:
            return self._by_certificate(name, certificate)
        known = self._known(name)
        text = password.decode("utf-8", "replace")
        expected = (known or "").encode()
        verdict: AdmittedClient | RefusedClient
        try:  # done in any case: how long a refusal takes says nothing
            token = self._tokens.judge(text)
            verdict = RefusedClient("another's token")
            if token.device == name and known is not None:
                verdict = AdmittedClient(name, token.id, token.expires)
                self._tokens.note_soon(token)
        except Unauthenticated as error:
            verdict = RefusedClient("expired token" if error.kind == "token-expired" else "wrong token or password")
        if isinstance(verdict, AdmittedClient):
            return verdict
        if slowed:
            return RefusedClient("too many failed attempts", slowed=True)
        if hmac.compare_digest(password, expected) and expected:
            return AdmittedClient(name)
        return RefusedClient("no device of this name is allowed to connect") if known is None else verdict

    def _by_certificate(self, name: str, certificate: Mapping[str, Any]) -> AdmittedClient | RefusedClient:
        names = certificate_names(certificate)
        device = name or next((each for each in names if self._known(each) is not None), "")
        if device not in names:
            return RefusedClient("the certificate is another device's")
        return AdmittedClient(device) if self._known(device) is not None else RefusedClient("no such device")


def certificate_names(certificate: Mapping[str, Any]) -> list[str]:
    """Common name and DNS names of what `getpeercert` gives."""
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return common + [value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
